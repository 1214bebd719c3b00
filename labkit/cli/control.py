"""``labkit control``: mitigations, put in place and taken out one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import Mode, Name, Quiet
from labkit.model import read_model

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["app"]

app = typer.Typer(
    help="Mitigations: what there is, and putting one in place.", no_args_is_help=True
)
Which = Annotated[str, typer.Argument(metavar="CONTROL")]


@app.command("list")
def listed(mode: Mode, name: Name = "default") -> None:
    """List the controls, and whether each is in place in a mode (of a lab, where one is up)."""
    from labkit import controls

    model = read_model(_environment(mode, name))
    for control in controls.values():
        typer.echo(f"{'on ' if control.holds(model) else 'off'}  {control.name}  {control.title}")


@app.command()
def show(control: Which) -> None:
    """Say what a control changes, what it is claimed to stop, and where it is described."""
    from labkit import controls

    found = controls[control]
    typer.echo(f"{found.name}: {found.title}\n{found.why}\nchanges: {found.changes}")
    for word, on in (("on", True), ("off", False)):
        for edit in found.edits(on):
            typer.echo(f"{word}: {edit}")
    typer.echo(f"stops by itself: {', '.join(found.stops) or 'nothing'}")
    for reference in found.references:
        typer.echo(f"see: {reference}")


@app.command("on")
def put(control: Which, mode: Mode, name: Name = "default", quiet: Quiet = False) -> None:
    """Put a control in place in a running lab, and restart just what it is about."""
    _flip(control, mode, name, True, quiet)


@app.command("off")
def take(control: Which, mode: Mode, name: Name = "default", quiet: Quiet = False) -> None:
    """Take a control out of a running lab, and restart just what it is about."""
    _flip(control, mode, name, False, quiet)


def _flip(control: str, mode: str, name: str, on: bool, quiet: bool) -> None:
    from labkit import controls
    from labkit.lab import Lab

    found = controls[control]
    lab = Lab(mode, name=name, reporter=reporter(quiet))
    edits = found.flip(lab.environment, on)
    word = "on" if on else "off"
    if edits == lab.environment.edits and not lab.status().interrupted:
        say(f"{found.name} is {word} already", quiet=quiet)
        return
    timings = lab.apply(edits)
    say(f"{found.name} is {word} in lab {name} ({lab.mode}), {timings.seconds:.1f} s", quiet=quiet)


def _environment(mode: str, name: str) -> Environment:
    """Return what a lab runs, or the mode's files where there is no lab or no engine."""
    from labkit.cluster import read_environment
    from labkit.errors import EngineError
    from labkit.lab import Lab

    try:
        return Lab(mode, name=name).environment
    except EngineError:
        return read_environment(mode)
