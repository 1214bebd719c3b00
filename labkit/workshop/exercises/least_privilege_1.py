"""Predict what a narrow ABAC policy stops, and what RBAC with the Node authorizer stops."""

from __future__ import annotations

from labkit.cluster import read_environment
from labkit.controls import with_controls
from labkit.model import read_model
from labkit.workshop.checks import compare, predictions, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

TECHNIQUES = (
    "agent-token",
    "apiserver-anonymous",
    "controller-manager-credential",
    "default-account",
    "long-lived-token",
    "node-changes-labels",
    "node-reads-secrets",
    "proxy-reads-secrets",
    "scheduler-credential",
)
CONTROLS = ("abac-least-privilege", "apiserver-authorization")


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the model, once for each control."""
    expected = {}
    for control in CONTROLS:
        model = read_model(with_controls(read_environment("insecure"), {control: True}))
        said = predictions(model, TECHNIQUES)
        expected[control] = {name for name, word in said.items() if word == "succeeded"}
    return compare(expected, sets_of_names(answer))


EXERCISE = Exercise(
    name="least-privilege-1",
    title="ABAC's example policy, and RBAC",
    notebook="08-least-privilege",
    kind="predict",
    mode="insecure",
    task=f"""
`insecure` allows everybody everything. Two controls would replace that: `abac-least-privilege`
gives each component and account the lines of ABAC that it needs, and `apiserver-authorization` uses
the Node authorizer and RBAC. Put one of them in place alone, and nothing else changes. Which of
these techniques still succeed, each from its first foothold?

{chr(10).join(f"- `{name}`" for name in TECHNIQUES)}

Set `answer` to a dict with the name of each control, and the set of techniques that still succeed.
""",
    hints=(
        Hint("ABAC has no names of objects: who may read one secret of a namespace reads all."),
        Hint("Which accounts have a RoleBinding in the manifests of insecure?"),
        Hint("The controller-manager needs to read all secrets: no policy can refuse it that."),
        Hint("A node may change its own object. Only NodeRestriction looks at its labels."),
    ),
    check=check,
    solution="""
both = {"controller-manager-credential", "node-changes-labels"}
answer = {
    "abac-least-privilege": both | {"node-reads-secrets"},
    "apiserver-authorization": both | {"default-account", "long-lived-token"},
}
""",
    wrong=(
        WrongSolution(
            "RBAC stops everything that a narrow policy stops",
            """
answer = {
    "abac-least-privilege": {
        "controller-manager-credential", "node-changes-labels", "node-reads-secrets"
    },
    "apiserver-authorization": {"controller-manager-credential", "node-changes-labels"},
}
""",
            "wrong-answer",
            "1 of 2 is as the model says",
        ),
        WrongSolution(
            "only one of the two",
            'answer = {"abac-least-privilege": {"node-reads-secrets"}}',
            "incomplete",
            "no answer for apiserver-authorization",
        ),
    ),
    techniques=TECHNIQUES,
)
