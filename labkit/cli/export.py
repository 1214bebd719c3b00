"""``labkit export``: write a model and its findings for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._files import write
from labkit.cli._messages import say

__all__ = ["export"]


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="insecure, hardened, the folder of a cluster's files, or a model's file.",
        ),
    ],
    format: Annotated[  # noqa: A002
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="sarif, junit, tm-bom, otm, threat-dragon, threagile, pytm, graphml, mermaid or "
            "navigator; see docs/formats.md.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file. Default: standard output."),
    ] = None,
) -> None:
    """Write a model and its findings in the format of another tool. Needs no Docker."""
    from labkit import formats
    from labkit.analysis import find_threats
    from labkit.analysis.gate import require_understood
    from labkit.formats.table import find
    from labkit.loading import load_model

    chosen = find(format)
    found = load_model(model)
    require_understood(found, model)
    text = formats.write(found, format, find_threats(found) if chosen.findings else None)
    if output is None:
        typer.echo(text, nl=False)
        return
    write(output, text)
    say(f"{output}: {chosen.title}")
