"""Messages to a person, all of them on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.lab.progress import ProgressStep, Reporter

__all__ = ["complain", "reporter", "say"]


class _Silent:
    """A reporter that prints nothing."""

    def line(self, text: str) -> None:
        """Ignore a line of a step's output."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Return a context that prints nothing."""
        yield self


def reporter(quiet: bool) -> Reporter:
    """Return the reporter of a command's progress.

    Parameters
    ----------
    quiet : bool
        Return a reporter that prints nothing.

    Returns
    -------
    Reporter

    Examples
    --------
    >>> with reporter(quiet=True).step("an example") as step:
    ...     step.line("not seen")
    """
    if quiet:
        return _Silent()
    from labkit.lab.progress import make_reporter

    return make_reporter()


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line on standard error.

    Parameters
    ----------
    text : str
        The line.
    quiet : bool
        Print nothing.
    """
    if not quiet:
        typer.echo(text, err=True)


def complain(error: LabkitError) -> None:
    """Print an error on standard error: its message, evidence, hint and notes.

    Parameters
    ----------
    error : LabkitError
        The error.
    """
    typer.secho("error: ", err=True, nl=False, fg="red", bold=True)
    typer.echo(str(error), err=True)
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)
