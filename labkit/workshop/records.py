"""What a participant has solved, kept on the lab's master: a new kernel loses nothing.

A participant who is root on the master can write the file. So for the board of a workshop it is a
claim, which :mod:`labkit.workshop.proofs` proves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from labkit import agents
from labkit.errors import LabError
from labkit.workshop.definition import Exercise, Hint, Outcome
from labkit.workshop.edited import EditedLab

__all__ = ["Record", "after_check", "next_hint", "read_progress", "write_progress"]

PROGRESS = "/var/lib/labkit/workshop/progress.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What a participant has done of one exercise.

    Parameters
    ----------
    solved : bool
        Whether a check ever passed.
    tries : int
        The number of checks.
    state : str
        The state that the last check found; "" before the first check.
    hints : tuple of int
        The numbers of the hints that were shown.
    answer : object
        The answer that solved it, as JSON has it; None for an exercise without one.
    about : str
        A wrong part of the last answer that no hint has named yet.
    """

    solved: bool = False
    tries: int = 0
    state: str = ""
    hints: tuple[int, ...] = ()
    answer: object = field(default=None, repr=False)
    about: str = field(default="", repr=False)


def after_check(record: Record, outcome: Outcome, answer: object = None) -> Record:
    """Return the record of an exercise after a check.

    Parameters
    ----------
    record : Record
    outcome : Outcome
    answer : object
        What the participant answered. The last answer that solves the exercise is kept.

    Returns
    -------
    Record

    Examples
    --------
    >>> after_check(Record(), Outcome("open"))
    Record(solved=False, tries=1, state='open', hints=())
    >>> after_check(Record(), Outcome("solved"), {"insecure": {"b", "a"}}).answer
    {'insecure': ['a', 'b']}
    """
    return replace(
        record,
        solved=record.solved or outcome.solved,
        tries=record.tries + 1,
        state=outcome.state,
        about=outcome.about,
        answer=as_json(answer) if outcome.solved else record.answer,
    )


def as_json(answer: object) -> object:
    """Return an answer with what JSON cannot express replaced: sets, tuples, bytes, other keys.

    Parameters
    ----------
    answer : object

    Returns
    -------
    object

    Examples
    --------
    >>> as_json({"a": {2, 1}, "b": ("x", None), 3: b"flag"})
    {'a': [1, 2], 'b': ['x', None], '3': 'flag'}
    """
    if isinstance(answer, Mapping):
        return {str(key): as_json(value) for key, value in answer.items()}
    if isinstance(answer, (set, frozenset)):
        return [as_json(item) for item in sorted(answer, key=str)]
    if isinstance(answer, (list, tuple)):
        return [as_json(item) for item in answer]
    if isinstance(answer, bytes):
        return answer.decode(errors="replace")
    return answer if isinstance(answer, (str, int, float, bool, type(None))) else str(answer)


def next_hint(exercise: Exercise, record: Record) -> tuple[str, Record]:
    """Return the next hint, and the record after it.

    Parameters
    ----------
    exercise : Exercise
    record : Record

    Returns
    -------
    text : str
        First a wrong part of the last answer, then the hints for the state of the last check, then
        those for any state, in their order. After the last one it is the solution.
    record : Record

    Examples
    --------
    >>> from labkit.workshop import exercises
    >>> text, record = next_hint(exercises["etcd-2"], Record(state="uneven"))
    >>> text
    'Machines of one role share their work. Change all of them, not only the first.'
    >>> record.hints
    (0,)
    """
    if record.about:
        return f"Look again at {record.about}.", replace(record, about="")

    def rank(item: tuple[int, Hint]) -> bool:
        return item[1].state != record.state

    fitting = [
        (number, hint)
        for number, hint in enumerate(exercise.hints)
        if number not in record.hints and hint.state in ("", record.state)
    ]
    for number, hint in sorted(fitting, key=rank):
        return hint.text, replace(record, hints=(*record.hints, number))
    return f"the solution:\n\n{exercise.solution.strip()}", record


def read_progress(lab: EditedLab) -> dict[str, Record]:
    """Return the records of a lab by the exercise's name.

    Parameters
    ----------
    lab : EditedLab

    Returns
    -------
    dict of str to Record

    Raises
    ------
    LabError
        The lab's master does not answer, or its record is not JSON.
    """
    output = lab.exec(lab.master, ["cat", PROGRESS], check=False)
    if output.exit_code:
        if "No such file" in output.error:
            return {}
        raise LabError("the progress cannot be read", evidence=[output.error], hint="labkit status")
    try:
        kept: dict[str, dict[str, object]] = json.loads(output.stdout)
        return {name: Record(**_tuples(item)) for name, item in kept.items()}  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError) as error:
        raise LabError(
            f"{PROGRESS} on {lab.master} is not labkit's",
            evidence=[str(error)],
            hint=f"labkit exec {lab.master} --mode {lab.mode} -- rm {PROGRESS}",
        ) from error


def write_progress(lab: EditedLab, records: Mapping[str, Record]) -> None:
    """Write the records of a lab.

    Parameters
    ----------
    lab : EditedLab
    records : mapping of str to Record

    Raises
    ------
    LabError
        The lab's master does not answer.
    """
    text = json.dumps({name: asdict(record) for name, record in records.items()})
    lab.exec(lab.master, agents.argv("replace_file", PROGRESS), stdin=text.encode())


def _tuples(item: Mapping[str, object]) -> dict[str, object]:
    return {name: tuple(it) if isinstance(it, list) else it for name, it in item.items()}
