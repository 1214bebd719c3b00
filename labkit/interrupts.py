"""Signals that interrupt, kept off code that an exception would leave with a lock held.

A signal's handler raises its exception between any two steps of the main thread, also inside
``threading.Condition.__enter__`` after the lock was taken. Nobody gives that lock back then, and
every thread that needs it waits for ever.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["NUMBERS", "postponed"]

#: The signals that end a command.
NUMBERS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in dir(signal)
)


@contextmanager
def postponed() -> Iterator[list[BaseException]]:
    """Keep the exception of the first signal until the end of the block, and raise it there.

    A second signal is handled at once, as without the block.

    Yields
    ------
    list of BaseException
        The exception, once the signal has come. The block must look, and end soon.

    Raises
    ------
    BaseException
        What the signal's own handler raises.

    Examples
    --------
    >>> with postponed() as came:
    ...     len(came)
    0
    """
    came: list[BaseException] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def keep(number: int, frame: FrameType | None) -> None:
        restore()
        try:
            before[number](number, frame)
        except BaseException as error:  # a KeyboardInterrupt, as a rule
            came.append(error)

    if threading.current_thread() is threading.main_thread():
        before |= {it: signal.getsignal(it) for it in NUMBERS if callable(signal.getsignal(it))}
        for number in before:
            signal.signal(number, keep)
    try:
        yield came
    finally:
        if not came:
            restore()
    if came:
        raise came[0]
