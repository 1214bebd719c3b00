"""SIGINT, SIGTERM and SIGHUP all end a command in the same way: it undoes what it did first."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from labkit.interrupts import NUMBERS

__all__ = ["Interrupted", "interruptible"]


class Interrupted(KeyboardInterrupt):
    """A signal ended the command.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        """The exit status that a shell gives a process which this signal ended."""
        return 128 + self.number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise :class:`Interrupted` at the first signal of the block, and end at once at the second.

    A signal that the process ignores stays ignored, as under nohup.

    Examples
    --------
    >>> with interruptible():
    ...     pass
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: object) -> None:
    for other in NUMBERS:
        if signal.getsignal(other) is _raise:
            signal.signal(other, _end)
    if number == getattr(signal, "SIGHUP", None):
        _stay_silent()
    raise Interrupted(number)


def _end(number: int, _: object) -> None:
    os._exit(128 + number)


def _stay_silent() -> None:
    """Write to nothing, because the terminal is gone: an error would stop the clean-up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if stream.isatty():
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
