"""``labkit export``: a model and its findings for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import say
from labkit.errors import ConfigError

__all__ = ["export"]


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="insecure, hardened, the folder of an environment, or a model's file.",
        ),
    ],
    format: Annotated[  # noqa: A002
        str, typer.Option("--format", "-f", metavar="NAME", help="docs/formats.md lists them.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Instead of printing it.")
    ] = None,
) -> None:
    """Write a model, with what is found about it, in the format of another tool.

    Needs no Docker. A model's file is one in a format that labkit reads.
    """
    from labkit import formats
    from labkit.analysis import find_threats
    from labkit.formats.table import find
    from labkit.loading import load_model

    chosen = find(format)
    found = load_model(model)
    text = formats.write(found, format, find_threats(found) if chosen.findings else None)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{output}: cannot be written: {error.strerror}", hint=f"ls -ld {output.parent}"
        ) from error
    say(f"{output}: {chosen.title}")
