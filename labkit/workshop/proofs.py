"""Prove again what a lab's record claims, because root in the lab can write the record."""

from __future__ import annotations

import json

import docker

from labkit.errors import LabError
from labkit.lab.connection import connection_to
from labkit.lab.progress import QuietReporter
from labkit.workshop.definition import Exercise, Outcome
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import compare_flag, derive_flag
from labkit.workshop.ledger import Seat
from labkit.workshop.records import PROGRESS, Record

__all__ = ["parse_claims", "prove", "read_claims"]

#: The most bytes that are read of a lab's record: several times what all exercises take.
LONGEST = 200_000
#: Seconds for a lab to show its record, and for the program that reads it there: one lab that does
#: not answer must not stop the board.
READ_S, PROGRAM_S = 10.0, 6
NO_ANSWER = Outcome("no-answer", ("the record holds no answer: check the exercise again",))
NO_KEY = Outcome("no-key", ("the trainer's machine does not know the key of this lab",))


def read_claims(lab: EditedLab) -> dict[str, Record]:
    """Return what the record of a lab claims, by the exercise's name.

    Parameters
    ----------
    lab : EditedLab

    Returns
    -------
    dict of str to Record
        Empty if the lab has no record yet.

    Raises
    ------
    LabError
        The lab's master does not answer, or its record is malformed.
    """
    argv = ["timeout", "--kill-after=1", str(PROGRAM_S), "head", f"--bytes={LONGEST}", PROGRESS]
    master = lab.container(lab.master)
    code, output, error = connection_to(master).run(argv, None, "", READ_S)
    if code and b"No such file" in error:
        return {}
    if code:
        raise LabError("the record cannot be read", hint=f"labkit status --name {lab.name}")
    return parse_claims(output[:LONGEST])


def parse_claims(data: bytes) -> dict[str, Record]:
    """Return what a record claims; every value may be forged, so each type is checked.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    dict of str to Record
        By the exercise's name. Values of another type are left out.

    Raises
    ------
    LabError
        It is not the JSON of a record.

    Examples
    --------
    >>> parse_claims(b'{"etcd-1": {"solved": true, "tries": "many", "answer": "x"}}')
    {'etcd-1': Record(solved=True, tries=0, state='', hints=())}
    """
    try:
        kept = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LabError("the record is not JSON") from error
    if not isinstance(kept, dict):
        raise LabError("the record is not a JSON object")
    return {
        name: Record(
            solved=item.get("solved") is True,
            tries=tries if type(tries := item.get("tries")) is int else 0,
            answer=item.get("answer"),
        )
        for name, item in kept.items()
        if isinstance(item, dict)
    }


def prove(
    exercise: Exercise,
    record: Record,
    seat: Seat,
    client: docker.DockerClient,
    key: str | None,
) -> Outcome:
    """Check an exercise that a record claims to be solved, without trust in the record.

    A hardened lab is probed as it is now. A prediction is compared with the model, and a flag with
    that of the key which the trainer's machine read when the lab was made.

    Parameters
    ----------
    exercise : Exercise
    record : Record
        The claim, with the answer.
    seat : Seat
        The participant's lab.
    client : docker.DockerClient
        The engine.
    key : str or None
        The lab's key in hexadecimal; None if it is not known.

    Returns
    -------
    Outcome

    Raises
    ------
    LabBusy
        Another process changes the lab.
    LabkitError
        The lab gave no clear answer.
    """
    if exercise.kind == "harden":
        lab = EditedLab(
            seat.mode, name=seat.name, client=client, reporter=QuietReporter(), wait=0.0
        )
        return exercise.check(lab, None)
    if record.answer is None:
        return NO_ANSWER
    if exercise.kind == "attack":
        if key is None:
            return NO_KEY
        return compare_flag(
            derive_flag(bytes.fromhex(key), exercise.name), exercise.name, record.answer
        )
    try:
        return exercise.check(None, record.answer)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        # an answer of a type that no participant gives
        return Outcome("wrong-answer", ("the answer in the record is malformed",))
