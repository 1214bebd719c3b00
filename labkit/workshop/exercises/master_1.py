"""Predict what each control takes away from a user on the master."""

from __future__ import annotations

from labkit.cluster import read_environment
from labkit.controls import with_controls
from labkit.model import read_model
from labkit.model.footholds import USER_ON_MASTER
from labkit.workshop.checks import compare, predictions, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

TECHNIQUES = (
    "admin-kubeconfig",
    "apiserver-anonymous",
    "ca-key-theft",
    "impersonate",
    "insecure-port",
)
CONTROLS = (
    "abac-least-privilege",
    "admin-kubeconfig-permissions",
    "ca-key-permissions",
    "insecure-port",
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the model, once for each control."""
    expected = {}
    for control in CONTROLS:
        model = read_model(with_controls(read_environment("insecure"), {control: True}))
        said = predictions(model, TECHNIQUES, USER_ON_MASTER)
        expected[control] = {name for name, word in said.items() if word == "refused"}
    return compare(expected, sets_of_names(answer))


EXERCISE = Exercise(
    name="master-1",
    title="What does each control take from alice?",
    notebook="03-master",
    kind="predict",
    mode="insecure",
    task=f"""
alice, an ordinary user on the master, can do all of this in `insecure`:
{", ".join(f"`{it}`" for it in TECHNIQUES)}.

Put one control in place alone, and nothing else changes. Which of these techniques does it stop?
Say it for each of {", ".join(f"`{it}`" for it in CONTROLS)}. Set `answer` to a dict: the control's
name, and the set of the techniques that it stops.

`labkit.controls[NAME].why` says what a control is for.
""",
    hints=(
        Hint("A control of a file protects that file, and no other way to the same thing."),
        Hint(
            "Which of the techniques ask the apiserver on its TLS port, without a credential of an "
            "administrator? Only those meet its authorizer."
        ),
        Hint("system:masters passes every authorizer: no policy stops who has such a certificate."),
    ),
    check=check,
    solution="""
answer = {
    "abac-least-privilege": {"apiserver-anonymous", "impersonate"},
    "admin-kubeconfig-permissions": {"admin-kubeconfig"},
    "ca-key-permissions": {"ca-key-theft"},
    "insecure-port": {"insecure-port"},
}
""",
    wrong=(
        WrongSolution(
            "a policy stops an administrator",
            """
answer = {
    "abac-least-privilege": {"apiserver-anonymous", "impersonate", "admin-kubeconfig"},
    "admin-kubeconfig-permissions": {"admin-kubeconfig"},
    "ca-key-permissions": {"ca-key-theft"},
    "insecure-port": {"insecure-port"},
}
""",
            "wrong-answer",
            "3 of 4 are as the model says",
        ),
        WrongSolution(
            "a list instead of a dict", 'answer = ["insecure-port"]', "no-answer", "give a dict"
        ),
    ),
    techniques=TECHNIQUES,
)
