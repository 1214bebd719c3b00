"""Find two controls that stop a technique together, and neither of them alone."""

from __future__ import annotations

from collections.abc import Mapping

from labkit import controls, techniques
from labkit.workshop.checks import form, sets_of_names, tally
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._outcomes import stopped, with_all

__all__ = ["EXERCISE"]

TECHNIQUES = ("default-account", "docker-group", "etcd-read", "kubelet-exec")
PAIR = 2
SENTENCES = {
    "no-pair": "it is not a set of two controls",
    "alone": "one of the two suffices alone",
    "not-stopped": "the technique still succeeds",
}


def state_of(technique: str, pair: object) -> str:
    """Return "solved" if two controls stop a technique, and neither alone; or what is wrong."""
    if not isinstance(pair, set) or len(pair) != PAIR or not pair <= set(controls):
        return "no-pair"
    row = (technique, techniques[technique].footholds[0])
    if any(stopped(with_all([name]), [row]) for name in pair):
        return "alone"
    return "solved" if stopped(with_all(pair), [row]) else "not-stopped"


def check(lab: EditedLab, answer: object) -> Outcome:
    """Ask the model about each pair of the answer, together and alone."""
    if wrong := form(TECHNIQUES, answer):
        return wrong
    sets = sets_of_names(answer)
    given: Mapping[str, object] = sets if isinstance(sets, Mapping) else {}
    return tally({name: state_of(name, given[name]) for name in TECHNIQUES}, SENTENCES)


EXERCISE = Exercise(
    name="matrix-2",
    title="Nothing alone, and everything together",
    notebook="11-truth-matrix",
    kind="predict",
    mode="insecure",
    task=f"""
The stored matrix flips one control at a time. Some controls stop a technique only together. For
each of {", ".join(f"`{name}`" for name in TECHNIQUES)}, find two controls that stop
it in `insecure` if both are put in place, and that do not stop it if only one of them is. Each
technique starts from its first foothold. Set `answer` to a dict: the technique's name, and the set
of the two controls. Where several pairs do it, each of them is right.
""",
    hints=(
        Hint(
            "A control that the list above names for the technique stops it alone: take others.",
            "alone",
        ),
        Hint(
            "Who answers the request after your two controls? Ask predict() for its reason.",
            "not-stopped",
        ),
        Hint("A listener that asks for a certificate has to speak TLS first."),
        Hint("A kubelet that asks the apiserver gets the apiserver's answer."),
        Hint("A group gives rights only if the file's mode gives the group some."),
        Hint("RBAC takes the rights of everybody away, and a RoleBinding gives some back."),
    ),
    check=check,
    solution="""
answer = {
    "default-account": {"apiserver-authorization", "default-account-unbound"},
    "docker-group": {"docker-group", "docker-socket-mode"},
    "etcd-read": {"etcd-client-cert-auth", "etcd-client-tls"},
    "kubelet-exec": {"apiserver-authorization", "kubelet-authorization"},
}
""",
    wrong=(
        WrongSolution(
            "the two controls that sound most like it",
            """
answer = {
    "default-account": {"default-account-unbound", "service-account-automount"},
    "docker-group": {"docker-group", "docker-tcp"},
    "etcd-read": {"etcd-client-tls", "tls-min-version"},
    "kubelet-exec": {"kubelet-authorization", "nodes-proxy"},
}
""",
            "not-stopped",
            "4 answers: the technique still succeeds",
        ),
        WrongSolution(
            "a control that is enough, and another one",
            """
answer = {
    "default-account": {"abac-least-privilege", "default-account-unbound"},
    "docker-group": {"docker-group", "docker-socket-mode"},
    "etcd-read": {"etcd-client-tls", "etcd-users"},
    "kubelet-exec": {"kubelet-anonymous", "kubelet-authorization"},
}
""",
            "alone",
            "3 answers: one of the two suffices alone",
        ),
        WrongSolution(
            "one control for each",
            """
answer = {
    "default-account": {"apiserver-authorization"},
    "docker-group": {"docker-group"},
    "etcd-read": {"etcd-client-tls"},
    "kubelet-exec": {"kubelet-authorization"},
}
""",
            "no-pair",
            "4 answers: it is not a set of two controls",
        ),
    ),
    techniques=TECHNIQUES,
)
