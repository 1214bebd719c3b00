"""The command line as a whole: which commands there are, and how errors leave it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import labkit
from labkit.cli import (
    analyze,
    attack,
    check,
    control,
    export,
    image,
    inside,
    lifecycle,
    report,
    technique,
)
from labkit.cli._talk import complain
from labkit.errors import EngineError, LabkitError

__all__ = ["app"]


def _engine_error(error: Exception) -> EngineError | None:
    """Return what Docker's client raised on its own as one of our errors."""
    # Only a command that has loaded the client can have got an error from it.
    docker, requests = sys.modules.get("docker"), sys.modules.get("requests")
    if docker is None or requests is None:
        return None
    if not isinstance(error, (docker.errors.DockerException, requests.RequestException)):
        return None
    return EngineError(
        "Docker Engine did not do what was asked of it",
        evidence=str(error).splitlines()[:10],
        hint="labkit doctor",
    )


class _Group(TyperGroup):
    """Turns what a command raises into a message and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except LabkitError as error:
            complain(error)
        except Exception as error:
            known = _engine_error(error)
            if known is None:
                raise
            complain(known)
        # these keep 1 for "the lab is not what the model says"
        raise typer.Exit(2 if ctx.invoked_subcommand in ("verify", "attack", "matrix") else 1)


app = typer.Typer(
    name="labkit",
    cls=_Group,
    help="Labs of the communications of a Kubernetes cluster, and their threat model checked live.",
    epilog="labkit COMMAND --help says more about one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labkit {labkit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for _command in (
    lifecycle.up,
    lifecycle.down,
    lifecycle.status,
    lifecycle.reset,
    check.verify,
    check.doctor,
):
    app.command()(_command)
app.command("exec")(inside.execute)
app.command()(inside.kubectl)
app.command()(inside.logs)
app.command()(attack.attack)
app.command()(attack.reach)
app.command()(attack.matrix)
app.command()(analyze.analyze)
app.command()(export.export)
app.command()(report.report)
app.add_typer(technique.app, name="technique")
app.add_typer(control.app, name="control")
app.add_typer(image.app, name="image")
