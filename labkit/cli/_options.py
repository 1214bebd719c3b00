"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["BOTH", "Json", "Mode", "Modes", "Name", "Quiet"]

BOTH = ("insecure", "hardened")

Name = Annotated[
    str, typer.Option("--name", envvar="LABKIT_NAME", metavar="NAME", help="The lab's name.")
]
Modes = Annotated[
    list[str] | None,
    typer.Option(
        "--mode",
        "-m",
        metavar="MODE",
        help="insecure, hardened, or the folder of an environment; may be given again. "
        "Without it: both.",
    ),
]
# Where one is meant there is no default: a command that lands in the wrong one of two clusters
# misleads without a word.
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        "-m",
        envvar="LABKIT_MODE",
        metavar="MODE",
        help="insecure, hardened, or the folder of an environment.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
