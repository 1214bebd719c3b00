"""What is said to a person, all of it on standard error."""

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
    """Takes every step and says nothing of it."""

    def line(self, text: str) -> None:
        """Take a line of a step's output."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Take a step."""
        yield self


def reporter(quiet: bool) -> Reporter:
    """Return who is told of the progress of a command.

    Parameters
    ----------
    quiet : bool
        Nobody is.

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
    """Say a line, unless quiet."""
    if not quiet:
        typer.echo(text, err=True)


def complain(error: LabkitError) -> None:
    """Say what went wrong: the message, what was seen, what to do next."""
    typer.secho("error: ", err=True, nl=False, fg="red", bold=True)
    typer.echo(str(error), err=True)
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)
