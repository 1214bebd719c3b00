"""Find the one flip that turns some rows of the matrix, and leaves others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from labkit import controls
from labkit.model.footholds import COPIED_CREDENTIAL, NETWORK, POD, ROOT_ON_WORKER
from labkit.workshop.checks import form, tally
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._outcomes import Row, stopped, with_all

__all__ = ["EXERCISE"]


@dataclass(frozen=True, slots=True)
class Question:
    """Rows that one flip must turn, and rows that it must leave.

    Parameters
    ----------
    turned, left : tuple of Row
    """

    turned: tuple[Row, ...]
    left: tuple[Row, ...]


POD_FROM_NETWORK, POD_FROM_WORKER = ("host-path-pod", NETWORK), ("host-path-pod", ROOT_ON_WORKER)
QUESTIONS = {
    "a": Question((POD_FROM_NETWORK, POD_FROM_WORKER), ()),
    "b": Question((POD_FROM_WORKER,), (POD_FROM_NETWORK,)),
    "c": Question((("default-account", POD),), (("default-account", COPIED_CREDENTIAL),)),
    "d": Question(
        (("etcd-read", NETWORK), ("flannel-credential", ROOT_ON_WORKER)),
        (("etcd-forge", NETWORK),),
    ),
}
SENTENCES = {
    "no-control": "there is no such control",
    "not-turned": "the flip leaves a row that it has to turn",
    "too-much": "the flip also turns the row that has to stay",
}


def state_of(question: Question, control: object) -> str:
    """Return "solved" if a control alone turns the right rows, or what is wrong."""
    if control not in list(controls):
        return "no-control"
    done = stopped(with_all([str(control)]), (*question.turned, *question.left))
    if not done.issuperset(question.turned):
        return "not-turned"
    return "too-much" if done.intersection(question.left) else "solved"


def check(lab: EditedLab, answer: object) -> Outcome:
    """Ask the model which rows each control of the answer turns."""
    if wrong := form(QUESTIONS, answer):
        return wrong
    given: Mapping[str, object] = answer if isinstance(answer, Mapping) else {}
    return tally({key: state_of(it, given[key]) for key, it in QUESTIONS.items()}, SENTENCES)


def _written(rows: Collection[Row]) -> str:
    return " and ".join(f"`{name}` ({foothold})" for name, foothold in rows)


def _line(key: str, question: Question) -> str:
    rest = f", and leaves {_written(question.left)}" if question.left else ""
    return f"- `{key}` turns {_written(question.turned)}{rest}"


EXERCISE = Exercise(
    name="matrix-1",
    title="Which flip turns these rows?",
    notebook="11-truth-matrix",
    kind="predict",
    mode="insecure",
    task=f"""
A row of the matrix is a technique from one foothold. In `insecure` all of the rows below succeed.
One control is put in place alone, and a row *turns* if it is refused then. Which control is it?

{chr(10).join(_line(key, it) for key, it in QUESTIONS.items())}

The lists above do not say from which foothold a technique is stopped. Set `answer` to a dict: the
letter, and the name of one control. Where several controls do it, each of them is right.
""",
    hints=(
        Hint(
            "Take the rows that have to stay into account: what do they use that the others do not?"
        ),
        Hint("A worker's own identity creates pods as well. Who limits that identity alone?"),
        Hint("A copied token is used outside: no pod has to mount it."),
        Hint("Reading what etcd keeps and writing something into it are two different things."),
        Hint(
            "Yours also stops the row that has to stay: take one that is about fewer callers.",
            "too-much",
        ),
        Hint(
            "matrix.effects() gives for each flip the techniques with their footholds.",
            "not-turned",
        ),
    ),
    check=check,
    solution="""
answer = {
    "a": "pod-security",
    "b": "node-restriction",
    "c": "service-account-automount",
    "d": "encryption-at-rest",
}
""",
    wrong=(
        WrongSolution(
            "the strongest control everywhere",
            """
answer = {
    "a": "pod-security",
    "b": "pod-security",
    "c": "abac-least-privilege",
    "d": "etcd-users",
}
""",
            "too-much",
            "3 answers: the flip also turns the row that has to stay",
        ),
        WrongSolution(
            "anonymous callers are refused, and a worker has a certificate",
            """
answer = {
    "a": "apiserver-anonymous",
    "b": "node-restriction",
    "c": "service-account-automount",
    "d": "encryption-at-rest",
}
""",
            "not-turned",
            "1 answer: the flip leaves a row that it has to turn",
        ),
        WrongSolution(
            "techniques in place of controls",
            """
answer = {"a": "host-path-pod", "b": "host-path-pod", "c": "pod-token", "d": "etcd-read"}
""",
            "no-control",
            "4 answers: there is no such control",
        ),
    ),
    techniques=(
        "default-account",
        "etcd-forge",
        "etcd-read",
        "flannel-credential",
        "host-path-pod",
    ),
)
