"""Work on several labs at once, and clean up after an interrupt."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.errors import LabkitError
from labkit.interrupts import postponed
from labkit.lab.connection import callers, close_all, readmit, refuse
from labkit.lab.lock import is_held

if TYPE_CHECKING:
    from labkit.lab import Lab, Timings
    from labkit.lab.progress import ProgressStep, Reporter

__all__ = ["Stopped", "aside", "bring_up", "bring_up_labs", "checkpoint", "in_parallel"]

#: Seconds after which a signal is seen.
STEP_S = 0.1
#: The threads of :func:`in_parallel` that an interrupt has to end.
_ENDING: set[int] = set()

T = TypeVar("T")
R = TypeVar("R")


class Stopped(LabkitError):
    """The start of a lab ended because a person interrupted it."""


class _Stoppable:
    """A reporter that can end the start of a lab at its next step."""

    def __init__(self, inner: Reporter, stop: threading.Event) -> None:
        self._inner, self.stop = inner, stop

    def step(self, title: str) -> AbstractContextManager[ProgressStep]:
        if self.stop.is_set():
            raise Stopped(f"{title}: not started because of an interrupt")
        return self._step(title)

    @contextlib.contextmanager
    def _step(self, title: str) -> Iterator[ProgressStep]:
        with self._inner.step(title) as step:
            yield _StoppableStep(step, self.stop)


class _StoppableStep:
    """A step whose next line of output ends it."""

    def __init__(self, inner: ProgressStep, stop: threading.Event) -> None:
        self._inner, self._stop = inner, stop

    def line(self, text: str) -> None:
        if self._stop.is_set():
            raise Stopped("ended because of an interrupt")
        self._inner.line(text)


def _results(futures: Sequence[Future[R]]) -> list[R]:
    """Return all results, or raise the first error with the other errors as its notes."""
    errors = [error for error in (future.exception() for future in futures) if error]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"error: {other}")
        raise errors[0]
    return [future.result() for future in futures]


def in_parallel(items: Sequence[T], action: Callable[[T], R]) -> list[R]:
    """Call a function for each item, for all items at once.

    Parameters
    ----------
    items : sequence
        The items.
    action : callable
        Takes one item.

    Returns
    -------
    list
        The results, in the order of the items.

    Raises
    ------
    Exception
        The first error of `action`, after all calls have ended. The other errors are its notes.
    KeyboardInterrupt
        After an interrupt, when all calls have undone what they did.

    Examples
    --------
    >>> in_parallel([1, 2], str)
    ['1', '2']
    """
    threads: set[int] = set()
    guard = threading.Lock()
    is_interrupted = False

    def act(item: T) -> R:
        with guard:
            if is_interrupted:
                raise KeyboardInterrupt
            threads.add(threading.get_ident())
        try:
            return action(item)
        finally:
            # an interrupt in the code of the pool would end a thread without its result
            with guard:
                threads.discard(threading.get_ident())
                _ENDING.discard(threading.get_ident())

    with postponed() as came, ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        futures = [pool.submit(act, item) for item in items]
        _wait_for(futures, came)
        if came:
            with guard:
                is_interrupted = True
                _ENDING.update(threads)
                # A thread that waits for a command is interrupted before the command ends, so that
                # it undoes its work at once. What another thread starts from now on, perhaps to
                # undo something, must not lose its connection.
                waiting = threads & callers()
                _interrupt(waiting)
                close_all()
                _interrupt(threads - waiting)
    return _results(futures)


def checkpoint() -> None:
    """Raise KeyboardInterrupt in a thread of :func:`in_parallel` that an interrupt has to end.

    The first interrupt of a thread is lost if undoing something fails at that moment, because the
    error takes its place. So code that goes on after an error calls this before its next work.

    Raises
    ------
    KeyboardInterrupt

    Examples
    --------
    >>> checkpoint()
    """
    if threading.get_ident() in _ENDING:
        raise KeyboardInterrupt


@contextlib.contextmanager
def aside() -> Iterator[ThreadPoolExecutor]:
    """Run a program on a machine beside a block, which makes it end.

    An interrupt may come when the block is just about to end the program, or before the program has
    started. This process would then wait for it, so no command of its thread starts any more, and
    the one that runs is ended.

    Yields
    ------
    ThreadPoolExecutor
        With one thread.

    Raises
    ------
    KeyboardInterrupt
        After an interrupt, when the program has ended.

    Examples
    --------
    >>> with aside() as pool:
    ...     pool.submit(str, 1).result()
    '1'
    """
    threads: set[int] = set()
    guard, over = threading.Lock(), False

    def enter() -> None:
        with guard:
            threads.add(threading.get_ident())
            if over:
                refuse(threading.get_ident())

    try:
        with ThreadPoolExecutor(max_workers=1, initializer=enter) as pool:
            try:
                yield pool
            except KeyboardInterrupt:
                with guard:
                    over = True
                    for thread in threads:
                        refuse(thread)
                raise
    finally:
        for thread in threads:
            readmit(thread)


def _wait_for(futures: Sequence[Future[Any]], came: Sequence[BaseException]) -> None:
    """Wait until all futures are done, or a signal has come."""
    while wait(futures, timeout=STEP_S).not_done and not came:
        pass


def _interrupt(threads: set[int]) -> None:
    """Raise KeyboardInterrupt in other threads, at their next step in Python."""
    for thread in threads:
        kind = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


def bring_up(
    modes: Sequence[str],
    *,
    name: str,
    reporter: Reporter,
    retain: bool = False,
    wait_s: float | None = None,
) -> list[tuple[Lab, Timings]]:
    """Bring up labs of several modes at once.

    A lab that is up already stays unchanged. If one lab cannot start, the others go on. An
    interrupt removes the labs that are not up yet.

    Parameters
    ----------
    modes : sequence of str
        Names or folders of environments.
    name : str
        The name of all these labs.
    reporter : Reporter
        Shows the progress.
    retain : bool
        Keep the machines of a lab that does not start.
    wait_s : float, optional
        Seconds to wait for another process that changes one of these labs.

    Returns
    -------
    list of tuple of Lab and Timings

    Raises
    ------
    LabkitError
        A lab did not start.
    """
    from labkit.lab import Lab

    labs = [Lab(mode, name=name, reporter=reporter, wait=wait_s) for mode in dict.fromkeys(modes)]
    return bring_up_labs(labs, reporter=reporter, retain=retain)


def bring_up_labs(
    labs: Sequence[Lab], *, reporter: Reporter, retain: bool = False, at_once: int | None = None
) -> list[tuple[Lab, Timings]]:
    """Bring up labs, as :func:`bring_up` does, of any names and modes.

    Parameters
    ----------
    labs : sequence of Lab
        No two of them have the same name and mode.
    reporter : Reporter
        Shows the progress that is not of one lab alone.
    retain : bool
        Keep the machines of a lab that does not start.
    at_once : int, optional
        The most labs that start at the same time; by default all of them.

    Returns
    -------
    list of tuple of Lab and Timings

    Raises
    ------
    LabkitError
        A lab did not start.
    """
    from labkit.lab.images import ensure_image

    stop = threading.Event()
    for lab in labs:
        lab.reporter = _Stoppable(lab.reporter, stop)
    if any(lab.status().state != "ready" for lab in labs):
        # here, so that the threads do not build the image at the same time
        ensure_image(labs[0].client, "node", reporter)
    workers = max(1, at_once or len(labs))
    with postponed() as came, ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(lab.up, retain=retain) for lab in labs]
        _wait_for(futures, came)
        if came:
            stop.set()
            waiting = {future for future in futures if future.cancel()}
            begun = {lab: it for lab, it in zip(labs, futures, strict=True) if it not in waiting}
            with reporter.step("interrupted: end the labs that are not up yet"):
                _give_up(begun, retain=retain)
    return list(zip(labs, _results(futures), strict=True))


def _give_up(starts: dict[Lab, Future[Timings]], *, retain: bool) -> None:
    """End the unfinished starts, and remove their machines."""
    from labkit.lab.nodes import find_nodes

    unfinished = {lab: future for lab, future in starts.items() if not future.done()}
    begun: set[Lab] = set()
    while not all(future.done() for future in unfinished.values()):
        # Without its lock, a lab belongs to the process that this one still waits for.
        begun |= {lab for lab in unfinished if is_held(lab.client, lab.name, lab.mode)}
        for lab in () if retain else begun:
            # A start fails at once if its machines do not run. They are killed, not removed: a
            # container that is removed while it starts leaves Docker's network in use.
            for container in find_nodes(lab.client, lab.name, lab.mode):
                with contextlib.suppress(Exception):
                    container.kill()
        wait(unfinished.values(), timeout=1)
    for lab in () if retain else begun:
        lab.down()
