"""``labkit control``: list mitigations, and put each one in place or take it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import Mode, Name, NoWait, Quiet, patience
from labkit.model import read_model

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["app"]

app = typer.Typer(
    help="List the controls (mitigations), and put them in place in a running lab.",
    no_args_is_help=True,
)
Which = Annotated[str, typer.Argument(metavar="CONTROL", help="A name from labkit control list.")]


@app.command("list")
def listed(mode: Mode, name: Name = "default") -> None:
    """List the controls, and whether each is in place: in the lab if it is up, else in the mode.

    A hyphen stands where a control does not apply.
    """
    from labkit import controls

    model = read_model(_environment(mode, name))
    for control in controls.values():
        state = "on " if control.holds(model) else "off"
        if control.why_not(model.environment):
            state = "-  "
        typer.echo(f"{state}  {control.name}  {control.title}")


@app.command()
def show(control: Which) -> None:
    """Show what a control changes, the techniques that it stops, and its references."""
    from labkit import controls

    found = controls[control]
    typer.echo(f"{found.name}: {found.title}\n{found.why}\nchanges: {found.changes}")
    for word, on in (("on", True), ("off", False)):
        for edit in found.edits(on):
            typer.echo(f"{word}: {edit}")
    typer.echo(f"stops alone: {', '.join(found.stops) or 'nothing'}")
    for reference in found.references:
        typer.echo(f"see: {reference}")


@app.command("on")
def put(
    control: Which,
    mode: Mode,
    name: Name = "default",
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Put a control in place in a running lab, and restart the components that it changes."""
    _flip(control, mode, name, True, quiet, wait=patience(no_wait))


@app.command("off")
def take(
    control: Which,
    mode: Mode,
    name: Name = "default",
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Take a control out of a running lab, and restart the components that it changes."""
    _flip(control, mode, name, False, quiet, wait=patience(no_wait))


def _flip(control: str, mode: str, name: str, on: bool, quiet: bool, wait: float | None) -> None:
    from labkit import controls
    from labkit.controls._in_lab import flip_in_lab
    from labkit.lab import Lab

    found = controls[control]
    lab = Lab(mode, name=name, reporter=reporter(quiet), wait=wait)
    word = "on" if on else "off"
    timings = flip_in_lab(lab, found, on)
    if timings is None:
        say(f"{found.name} is already {word}", quiet=quiet)
        return
    say(f"{found.name} is {word} in lab {name} ({lab.mode}), {timings.seconds:.1f} s", quiet=quiet)


def _environment(mode: str, name: str) -> Environment:
    """Return the environment of a lab, or that of the mode if there is no lab or no engine."""
    from labkit.cluster import read_environment
    from labkit.errors import EngineError
    from labkit.lab import Lab

    try:
        lab = Lab(mode, name=name)
        lab.require_same_files()
        return lab.environment
    except EngineError:
        return read_environment(mode)
