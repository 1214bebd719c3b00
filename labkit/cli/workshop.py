"""``labkit workshop``: exercises, their checks and hints, notebooks, and a room's labs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli import room
from labkit.cli._files import write
from labkit.cli._messages import reporter, say
from labkit.cli._options import Name, Quiet
from labkit.cli.notebooks import say_how_to_open, write_notebooks
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.workshop import Exercise

__all__ = ["app"]

app = typer.Typer(
    help="Exercises: show, check and hint; the participants' copies of the notebooks; and the labs "
    "of a room full of people: up, down, board, say, doctor, guard and jupyter.",
    no_args_is_help=True,
)
for command in (room.up, room.down, room.board, room.doctor, room.guard, room.jupyter):
    app.command()(command)
app.command("say")(room.tell)
Which = Annotated[str, typer.Argument(metavar="EXERCISE", help="A name from labkit workshop list.")]


@app.command("list")
def listed() -> None:
    """List the exercises, with the notebook, the kind and the lab of each."""
    from labkit.tables import columns
    from labkit.workshop import exercises

    rows = [(it.notebook, it.name, it.kind, it.mode, it.title) for it in exercises.values()]
    typer.echo(columns(("notebook", "exercise", "kind", "lab", "title"), sorted(rows)))


@app.command()
def show(exercise: Which, name: Name = "default") -> None:
    """Show the task of an exercise, and put what it needs into the lab."""
    from labkit import workshop

    typer.echo(workshop.exercise(exercise, lab=name))


@app.command()
def check(exercise: Which, name: Name = "default", quiet: Quiet = False) -> None:
    """Check an exercise by live probes; an answer is read from standard input.

    The answer to an attack is its flag, the answer to a prediction a JSON object. Exit status: 0 if
    the exercise is solved, 1 if it is not.
    """
    from labkit import workshop
    from labkit.workshop import exercises  # not yet an attribute of the package in a new process

    found = exercises[exercise]
    answer = _answer(found) if found.has_answer else None
    outcome = workshop.check(exercise, answer, lab=name, reporter=reporter(quiet))
    typer.echo(repr(outcome))
    raise typer.Exit(0 if outcome.solved else 1)


def _answer(exercise: Exercise) -> object:
    """Read an answer; a flag that is typed is not shown, and never a process argument."""
    if exercise.kind == "attack":
        if sys.stdin.isatty():
            return typer.prompt("flag", hide_input=True)
        return sys.stdin.read()
    try:
        return json.load(sys.stdin)
    except ValueError as error:
        raise ConfigError(
            f"the answer to {exercise.name} is not JSON: {error}",
            hint=f"labkit workshop check {exercise.name} < answer.json",
        ) from error


@app.command()
def hint(exercise: Which, name: Name = "default") -> None:
    """Show the next hint for what the last check saw; after the last hint, the solution."""
    from labkit import workshop

    typer.echo(workshop.hint(exercise, lab=name))


@app.command()
def progress(name: Name = "default") -> None:
    """Show which exercises have been solved in the labs that are up."""
    from labkit import workshop

    typer.echo(workshop.progress(lab=name))


@app.command()
def switch(
    mode: Annotated[str, typer.Argument(metavar="MODE", help="insecure or hardened.")],
    name: Name = "default",
    quiet: Quiet = False,
) -> None:
    """Put the light lab of a mode in the place of the other light lab, and keep the progress.

    For a machine without the memory for two labs. What was changed in the other lab is lost.
    """
    from labkit import workshop

    say(str(workshop.switch(mode, lab=name, reporter=reporter(quiet))), quiet=quiet)


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; created if missing.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace notebooks that differ from the new copies.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write the participants' copies of the notebooks: without solutions and without outputs."""
    from labkit.workshop import participants_notebooks

    kit = participants_notebooks()
    write_notebooks(folder, kit, overwrite=overwrite, command="labkit workshop make")
    say_how_to_open(folder, quiet=quiet)


@app.command()
def slides(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The page of HTML to write.")],
    quiet: Quiet = False,
) -> None:
    """Write slides for the projector: the notebooks' pictures, exercises and questions.

    One page that needs no network. Arrow keys, Page Up and Page Down turn the slides.
    """
    from labkit.workshop.slides import as_page, workshop_slides

    found = workshop_slides()
    write(file, as_page(found))
    say(f"{len(found)} slides: {file}", quiet=quiet)
