"""Flags: what an attack exercise asks for, different in each lab."""

from __future__ import annotations

import base64
import hashlib
import hmac

from labkit import agents
from labkit.errors import LabError
from labkit.lab.running import RunningLab
from labkit.workshop.definition import SOLVED, Outcome
from labkit.workshop.edited import EditedLab

__all__ = ["KEY", "check_flag", "compare_flag", "derive_flag", "flag_of", "key_of"]

#: The key of a lab, on its master.
KEY = "/var/lib/labkit/workshop/key"


def flag_of(lab: EditedLab, exercise: str) -> str:
    """Return the flag of an exercise in a lab.

    It is an HMAC of the exercise's name. Its key is random, and only root on the lab's master can
    read it, so that a flag of one lab is of no use in another.

    Parameters
    ----------
    lab : EditedLab
    exercise : str
        The exercise's name.

    Returns
    -------
    str

    Raises
    ------
    LabError
        The lab's master does not answer.
    """
    return derive_flag(key_of(lab), exercise)


def key_of(lab: RunningLab) -> bytes:
    """Return the key of a lab, which its first reader makes.

    Parameters
    ----------
    lab : RunningLab

    Returns
    -------
    bytes

    Raises
    ------
    LabError
        The lab's master does not answer, or its file does not hold a key.
    """
    text = lab.exec(lab.master, agents.argv("workshop_key", KEY)).text.strip()
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise LabError(
            f"{KEY} on {lab.master} is not labkit's",
            hint=f"labkit exec {lab.master} --name {lab.name} --mode {lab.mode} -- rm {KEY}",
        ) from error


def derive_flag(key: bytes, exercise: str) -> str:
    """Return the flag that belongs to a key and the name of an exercise.

    Parameters
    ----------
    key : bytes
    exercise : str

    Returns
    -------
    str

    Examples
    --------
    >>> derive_flag(bytes(32), "etcd-1")
    'labkit-flag-45dfe7177c20a684f9134c3e'
    """
    mac = hmac.new(key, exercise.encode(), hashlib.sha256)
    return f"labkit-flag-{mac.hexdigest()[:24]}"


def check_flag(lab: EditedLab, exercise: str, answer: object) -> Outcome:
    """Compare an answer with the flag of an exercise.

    Parameters
    ----------
    lab : EditedLab
    exercise : str
        The exercise's name.
    answer : object
        A text, or None if there is no answer yet.

    Returns
    -------
    Outcome
    """
    return compare_flag(flag_of(lab, exercise), exercise, answer)


def compare_flag(right: str, exercise: str, answer: object) -> Outcome:
    """Compare an answer with a known flag.

    Parameters
    ----------
    right : str
        The flag.
    exercise : str
        The exercise's name.
    answer : object
        A text, or None if there is no answer yet.

    Returns
    -------
    Outcome

    Examples
    --------
    >>> compare_flag("labkit-flag-1", "etcd-1", "labkit-flag-2")
    not yet: this is not the flag of etcd-1 in this lab
      a reset takes the flag away: %exercise etcd-1 puts it there again
    """
    again = f"a reset takes the flag away: %exercise {exercise} puts it there again"
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer or "")
    given, flag = text.strip().encode(errors="replace"), right.encode()
    if not given:
        line = "there is no answer: put the flag into the variable answer"
        return Outcome("no-answer", (line, again))
    if hmac.compare_digest(given, flag):
        return Outcome(SOLVED, ("this is the flag of this lab",))
    if hmac.compare_digest(given, base64.b64encode(flag)):
        return Outcome("encoded", ("this is the right value in base64: decode it",))
    if flag in given:
        line = "the flag is in your answer, and so is other text: give the flag alone"
        return Outcome("wrong-answer", (line,))
    return Outcome("wrong-answer", (f"this is not the flag of {exercise} in this lab", again))
