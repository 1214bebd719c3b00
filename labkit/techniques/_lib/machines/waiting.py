"""Wait in a lab for an event; a busy machine gets more time, and never a wrong answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from labkit.errors import ProbeTimeout

__all__ = ["wait_for"]

T = TypeVar("T")
PAUSE = 0.2


class _Stretching(Protocol):
    def stretch(self) -> float: ...


def wait_for(lab: _Stretching, attempt: Callable[[], T | None], seconds: float, missing: str) -> T:
    """Repeat an attempt until it has a result.

    Parameters
    ----------
    lab : Lab
    attempt : callable
        Returns something false as long as there is no result.
    seconds : float
        The time on an idle machine; a busy one gets more (:meth:`labkit.lab.Lab.stretch`).
    missing : str
        What did not happen, for the error.

    Returns
    -------
    object
        The result of the last attempt.

    Raises
    ------
    ProbeTimeout
        There was no result in time.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> answers = iter(["", "signed"])
    >>> wait_for(SimpleNamespace(stretch=lambda: 1.0), lambda: next(answers), 5, "nobody signed it")
    'signed'
    """
    began = time.monotonic()
    while not (found := attempt()):
        waited = time.monotonic() - began
        # the load may have risen since
        if waited > seconds and waited > seconds * lab.stretch():
            raise ProbeTimeout(f"{missing} within {waited:.0f} s")
        time.sleep(PAUSE)
    return found
