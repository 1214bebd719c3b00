"""Have a webhook's denials hold without its answer, and keep everybody else out of it."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.model.decision import Action, decide
from labkit.model.reviewers import reviewer_of
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: A person to whom the webhook denies nothing.
PERSON = "alice"
FILE = "/etc/kubernetes/authorization.yaml"
START = f"""
path = "{FILE}"
text = insecure.read_file("master", path).decode()
"""
DENY = """text = text.replace("failurePolicy: NoOpinion", "failurePolicy: Deny")
"""
END = """insecure.write_file("master", path, text.encode())
_ = insecure.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=90)
"""
LIST = Action("list", "pods", namespace="shop")


def decided(env: Environment, *, unanswered: bool) -> str:
    """Return what is decided for a person whom the webhook denies nothing: "allowed", as before."""
    reviewer = reviewer_of(env)
    person = reviewer.person(PERSON) if reviewer else None
    apiserver = env.component("kube-apiserver@master")
    if person is None:  # whom nobody knows is denied everything
        return "denied"
    return decide(env, apiserver, person, LIST, unanswered=unanswered).claim.value


def check(lab: EditedLab, answer: object) -> Outcome:
    """Cut the webhook off, and look whether only those depend on it whom it denies something."""
    found = hardened_state(
        lab,
        [Attempt("webhook-outage", "HTTP 500: no authorizer after the webhook is asked")],
        ["kube-apiserver@master -> opa@*"],
    )
    if found.solved and decided(lab.environment, unanswered=False) == "denied":
        lines = (
            f"the denial holds, but {PERSON} is denied everything, and also with its answer",
            "no authorizer allows anything any more: a webhook that denies nothing allows nothing",
        )
        return Outcome("nobody-allows", lines)
    if found.solved and decided(lab.environment, unanswered=True) != "allowed":
        lines = (
            f"the denial holds, but without the webhook {PERSON} is denied everything as well",
            "and so are the components of the cluster: one machine that fails stops all of them",
        )
        return Outcome("too-wide", lines)
    return found


EXERCISE = Exercise(
    name="delegation-2",
    title="No answer is no permission",
    notebook="14-delegated-decisions",
    kind="harden",
    mode="hook-insecure",
    task=f"""
mallory, a contractor, may do everything in `hook-insecure` but read secrets: only the webhook
denies that. Who cuts it off gets the secrets with her token. Edit the master until her request is
refused as well while the webhook does not answer (HTTP 500, as no authorizer after it is asked).

While it answers, everything stays as it is: mallory is refused with HTTP 403. And without its
answer, those whom it denies nothing, such as {PERSON}, keep all their rights. The channel to the
webhook is not part of this task.
""",
    hints=(
        Hint("Who has to wait for the webhook now? Look at its matchConditions.", "too-wide"),
        Hint("Which authorizer gave people their rights? Put it back.", "nobody-allows"),
        Hint("The webhook must deny before another authorizer allows: mind the order.", "unclear"),
        Hint(
            "labkit knows conditions that look for a group, or compare the user or an attribute of "
            "the resource with one word, joined by &&. Write yours in that form.",
            "files-unclear",
        ),
        Hint("labkit logs master kube-apiserver --mode hook-insecure", "does-not-run"),
        Hint(
            f"The authorizers stand in {FILE} on the master, in the order in which they are asked."
        ),
        Hint("failurePolicy says what no answer means. The documentation knows two values."),
    ),
    check=check,
    solution=START + DENY + END,
    wrong=(
        WrongSolution(
            "the apiserver waits longer",
            START + 'text = text.replace("timeout: 3s", "timeout: 10s")\n' + END,
            "open",
            "webhook-outage (root on a worker) still succeeds",
        ),
        WrongSolution(
            "the webhook is asked about everybody",
            START
            + DENY
            + """head, _, _ = text.partition("      matchConditions:")
text = head + "  - type: ABAC\\n    name: abac\\n"
"""
            + END,
            "too-wide",
            "without the webhook alice is denied everything as well",
        ),
        WrongSolution(
            "nobody but the webhook is asked",
            START + DENY + 'text = text.replace("  - type: ABAC\\n    name: abac\\n", "")\n' + END,
            "nobody-allows",
            "no authorizer allows anything any more",
        ),
        WrongSolution(
            "the webhook is asked last",
            START
            + DENY
            + """abac = "  - type: ABAC\\n    name: abac\\n"
text = text.replace(abac, "").replace("authorizers:\\n", "authorizers:\\n" + abac)
"""
            + END,
            "unclear",
            "no webhook denies mallory secrets before another authorizer",
        ),
        WrongSolution(
            "a value that does not exist",
            START
            + 'text = text.replace("NoOpinion", "Forbid")\n'
            + END.replace("timeout=90", "timeout=90, check=False"),
            "does-not-run",
            "%lab reset hook-insecure master",
        ),
    ),
    techniques=("webhook-outage",),
)
