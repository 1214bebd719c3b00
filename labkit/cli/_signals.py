"""SIGINT, SIGTERM and SIGHUP all end a command in the same way: it undoes what it did first."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from labkit.interrupts import NUMBERS

__all__ = ["Interrupted", "interruptible"]

#: Seconds after which a signal that has not ended a wait of the main thread wakes it.
WAKE_S = (0.1, 1)


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
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    with _woken():
        for number in NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, _raise)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _woken() -> Iterator[None]:
    """Wake the main thread at each signal.

    Python calls a signal's handler in the main thread. If another thread of the process got the
    signal, or it came just before the main thread began to wait, it would be called only after the
    wait.
    """
    if not hasattr(signal, "pthread_kill"):
        yield
        return
    reading, written = os.pipe()
    os.set_blocking(written, False)
    fd = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGURG, lambda *_: None)
    threading.Thread(target=_wake_main_thread, args=(reading,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd)
        signal.signal(signal.SIGURG, handler)
        os.close(written)


def _wake_main_thread(reading: int) -> None:
    """Read the numbers of signals from a pipe until it is closed."""
    main = threading.main_thread().ident
    assert main is not None
    with open(reading, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if number[0] != signal.SIGURG:
                for pause in WAKE_S:
                    time.sleep(pause)
                    signal.pthread_kill(main, signal.SIGURG)


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
