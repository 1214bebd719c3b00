"""The command line: the list of its commands, and the exit statuses of errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

import labkit
from labkit.cli._messages import complain
from labkit.cli._signals import interruptible
from labkit.errors import EngineError, LabkitError, NotUnderstood

__all__ = ["NOT_UNDERSTOOD", "app"]

#: The exit status where the answer depends on something that was not understood.
NOT_UNDERSTOOD = 4

#: The commands whose exit status 1 means that a lab differs from the model.
HAVE_A_RESULT = ("verify", "attack", "matrix", "campaign", "detect")

#: Every command, with the module and name of its function or its group of commands.
COMMANDS = {
    "up": "lifecycle.up",
    "down": "lifecycle.down",
    "status": "lifecycle.status",
    "reset": "lifecycle.reset",
    "verify": "check.verify",
    "doctor": "check.doctor",
    "exec": "inside.execute",
    "kubectl": "inside.kubectl",
    "logs": "inside.logs",
    "attack": "attack.attack",
    "reach": "attack.reach",
    "matrix": "attack.matrix",
    "detect": "detect.detect",
    "campaign": "campaign.campaign",
    "analyze": "analyze.analyze",
    "export": "export.export",
    "report": "report.report",
    "notebooks": "notebooks.notebooks",
    "workshop": "workshop.app",
    "bundle": "bundle.bundle",
    "technique": "technique.app",
    "control": "control.app",
    "image": "image.app",
}


def _engine_error(error: Exception) -> EngineError | None:
    """Return an error of Docker's client as an `EngineError`, or None for any other error."""
    # Only a command that has loaded the client can have an error of it.
    docker, requests = sys.modules.get("docker"), sys.modules.get("requests")
    if docker is None or requests is None:
        return None
    if not isinstance(error, (docker.errors.DockerException, requests.RequestException)):
        return None
    timed_out = isinstance(error, requests.Timeout)
    return EngineError(
        "Docker Engine does not answer" if timed_out else "Docker Engine refused a request",
        evidence=str(error).splitlines()[:10],
        hint="labkit doctor",
    )


@cache
def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(".")
    found = getattr(import_module(f"labkit.cli.{module}"), attribute)
    alone = typer.Typer()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    return get_group(alone).commands[name]


class _Commands(Mapping[str, Any]):
    """The commands by name; a command is loaded when it is used, which keeps the start fast."""

    def __getitem__(self, name: str) -> Any:
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    """A group that loads a command by name, and turns its errors into exit statuses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "commands": _Commands()})

    def invoke(self, ctx: Any) -> Any:
        try:
            with interruptible():
                return super().invoke(ctx)
        except KeyboardInterrupt as end:
            typer.echo("interrupted", err=True)
            raise typer.Exit(getattr(end, "exit_code", 130)) from None
        except NotUnderstood as error:
            complain(error)
            raise typer.Exit(NOT_UNDERSTOOD) from None
        except LabkitError as error:
            complain(error)
        except Exception as error:
            known = _engine_error(error)
            if known is None:
                raise
            complain(known)
        raise typer.Exit(2 if ctx.invoked_subcommand in HAVE_A_RESULT else 1)


app = typer.Typer(
    name="labkit",
    cls=_Group,
    help="Model the threats to a Kubernetes cluster's communications, and check them in a lab.",
    epilog="See labkit COMMAND --help for one command.",
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
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Handle the options before the command."""
