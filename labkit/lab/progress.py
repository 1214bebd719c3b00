"""Show the progress of the work, and its duration, on standard error or below a cell."""

from __future__ import annotations

import contextlib
import html
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = [
    "PROGRESS_MARK",
    "NotebookReporter",
    "PlainReporter",
    "ProgressStep",
    "QuietReporter",
    "Reporter",
    "RichReporter",
    "make_reporter",
    "reporter_of_cells",
    "without_progress",
]

#: Seconds between two signs of life of a step.
HEARTBEAT_S = 15.0
#: Seconds until a notebook shows that something runs, and between two looks at it.
SHOWN_AFTER_S, LOOK_S = 2.0, 1.0
#: The metadata of an output that shows progress: it is no result of its cell.
PROGRESS_MARK = "labkit_progress"


class ProgressStep(Protocol):
    """A running step."""

    def line(self, text: str) -> None:
        """Show the latest line of output.

        Parameters
        ----------
        text : str
            One line.
        """


class Reporter(Protocol):
    """Shows the running steps to a person. Steps may be nested, and open in many threads."""

    def step(self, title: str) -> AbstractContextManager[ProgressStep]:
        """Return a context that is open while the step runs.

        Parameters
        ----------
        title : str
            The step's title on the screen.

        Returns
        -------
        context manager of ProgressStep
        """


class _Latest:
    """The latest line of a step that is shown only from time to time."""

    def __init__(self) -> None:
        self.text = ""

    def line(self, text: str) -> None:
        self.text = text.strip() or self.text


class PlainReporter:
    """Write whole lines: for logs, pipes and continuous integration.

    Parameters
    ----------
    stream : file, optional
        The output; by default standard error.
    heartbeat_s : float, optional
        Seconds between two signs of life of a running step.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> with PlainReporter(stream).step("node image") as step:
    ...     step.line("compiling")
    >>> stream.getvalue().splitlines()[0]
    ' … node image'
    """

    def __init__(self, stream: TextIO | None = None, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._stream = stream
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()

    def _write(self, text: str) -> None:
        with self._lock:
            print(text, file=self._stream or sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Print the start of a step, its signs of life, and its end.

        Parameters
        ----------
        title : str
            The step's title.

        Yields
        ------
        ProgressStep
        """
        started = time.monotonic()
        ended = threading.Event()
        latest = _Latest()

        def heartbeat() -> None:
            while not ended.wait(self._heartbeat_s):
                shown = (f"{time.monotonic() - started:.0f} s", latest.text)
                self._write(f"   {title}: {', '.join(filter(None, shown))}")

        self._write(f" … {title}")
        thread = threading.Thread(target=heartbeat, daemon=True)
        thread.start()
        mark = "✗"
        try:
            yield latest
            mark = "✓"
        finally:
            ended.set()
            thread.join()
            self._write(f" {mark} {title} ({time.monotonic() - started:.1f} s)")


class QuietReporter:
    """Print nothing.

    Examples
    --------
    >>> with QuietReporter().step("node image") as step:
    ...     step.line("compiling")
    """

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Return a context that prints nothing.

        Parameters
        ----------
        title : str
            Not shown.

        Yields
        ------
        ProgressStep
        """
        yield _Latest()


class _Task:
    """A step in the live display."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def line(self, text: str) -> None:
        if text.strip():
            self._progress.update(self._task, latest=text.strip())


class RichReporter:
    """Show a spinner, the time and the latest line of each open step on a terminal.

    Parameters
    ----------
    console : rich.console.Console, optional
        The console; by default one on standard error.

    Examples
    --------
    >>> import io
    >>> from rich.console import Console
    >>> console = Console(file=io.StringIO())
    >>> with RichReporter(console).step("node image") as step:
    ...     step.line("compiling")
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console  # a tenth of a command's start, without a terminal in vain

        self._console = console or Console(stderr=True)
        self._lock = threading.Lock()
        self._open = 0
        self._progress = self._new_progress()

    def _new_progress(self) -> Progress:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[latest]:.60}", style="dim", markup=False),
            console=self._console,
            transient=True,
        )

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Show a step while it runs, then print one line about it.

        Parameters
        ----------
        title : str
            The step's title.

        Yields
        ------
        ProgressStep
        """
        started = time.monotonic()
        with self._lock:
            if self._open == 0:
                # nothing is drawn between steps, so that other output is not overwritten
                self._progress = self._new_progress()
                self._progress.start()
            self._open += 1
            progress = self._progress
            task = progress.add_task(title, total=None, latest="")
        mark, style = "✗", "red"
        try:
            yield _Task(progress, task)
            mark, style = "✓", "green"
        finally:
            progress.remove_task(task)
            seconds = time.monotonic() - started
            progress.console.print(
                f" {mark} {title} ({seconds:.1f} s)", style=style, markup=False, highlight=False
            )
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    progress.stop()


class NotebookReporter:
    """Show the open steps below a cell that takes more than two seconds; nothing of it stays.

    Parameters
    ----------
    show : callable, optional
        Takes the lines of the steps that are open, and returns a function that takes those that
        follow. By default an output of the cell that the calling thread runs.
    after_s, look_s : float
        Seconds until something is shown, and between two looks.

    Examples
    --------
    >>> with NotebookReporter().step("a step of less than two seconds") as step:
    ...     step.line("some output")
    """

    def __init__(
        self,
        show: Callable[[list[str]], Callable[[list[str]], None]] | None = None,
        after_s: float = SHOWN_AFTER_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._show = show or _below_the_cell
        self._after_s, self._look_s = after_s, look_s
        self._lock = threading.Lock()
        self._open: dict[object, tuple[str, float, _Latest]] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Show a step while it runs.

        Parameters
        ----------
        title : str
            The step's title.

        Yields
        ------
        ProgressStep
        """
        key, latest = object(), _Latest()
        with self._lock:
            self._open[key] = title, time.monotonic(), latest
            if self._thread is None:
                self._ended = threading.Event()
                # the context says of which cell the output is
                of_cell = copy_context()
                self._thread = threading.Thread(
                    target=of_cell.run, args=(self._watch, self._ended), daemon=True
                )
                self._thread.start()
        try:
            yield latest
        finally:
            with self._lock:
                del self._open[key]
                last = None if self._open else self._thread
                if last:
                    self._thread = None
                    self._ended.set()
            if last:
                last.join()

    def _watch(self, ended: threading.Event) -> None:
        if ended.wait(self._after_s):
            return
        update = self._show(self._lines())
        while not ended.wait(self._look_s):
            update(self._lines())
        update([])

    def _lines(self) -> list[str]:
        with self._lock:
            found = list(self._open.values())
        now = time.monotonic()
        return [
            ", ".join(filter(None, (f"{title}: {now - since:.0f} s", latest.text)))
            for title, since, latest in found
        ]


def _below_the_cell(lines: list[str]) -> Callable[[list[str]], None]:
    """Show lines below the cell, and return a function that replaces them."""
    from IPython.display import display

    how: dict[str, Any] = {"raw": True, "metadata": {PROGRESS_MARK: True}}
    handle = display(_bundle(lines), display_id=True, **how)  # type: ignore[no-untyped-call]
    return lambda more: handle.update(_bundle(more), **how)


def _bundle(lines: list[str]) -> dict[str, str]:
    rows = "".join(f"<div>⏳ {html.escape(line)}</div>" for line in lines)
    return {"text/html": f"<small>{rows}</small>" if rows else "", "text/plain": "\n".join(lines)}


@cache
def reporter_of_cells() -> Reporter:
    """Return the reporter for what a person calls in Python.

    Returns
    -------
    Reporter
        In a notebook, one for all that runs there; elsewhere one that prints nothing.

    Examples
    --------
    >>> reporter_of_cells()  # doctest: +ELLIPSIS
    <labkit.lab.progress.QuietReporter object at ...>
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    # a terminal's shell has no kernel, and prints each update on a line of its own
    return NotebookReporter() if hasattr(shell, "kernel") else QuietReporter()


def without_progress(outputs: Iterable[Any]) -> list[Any]:
    """Return the outputs of a cell that are its results: those that show progress are not.

    Parameters
    ----------
    outputs : iterable of mapping
        As a notebook stores them.

    Returns
    -------
    list of mapping

    Examples
    --------
    >>> without_progress([{"metadata": {PROGRESS_MARK: True}}, {"name": "stdout"}])
    [{'name': 'stdout'}]
    """
    return [it for it in outputs if PROGRESS_MARK not in it.get("metadata", {})]


def make_reporter() -> Reporter:
    """Return the reporter that suits standard error.

    Returns
    -------
    Reporter
        A live display on a terminal, else plain lines.

    Examples
    --------
    >>> with make_reporter().step("an example") as step:
    ...     step.line("some output")
    """
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return RichReporter()
    return PlainReporter()
