"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["BOTH", "Json", "Mode", "Modes", "Name", "NoWait", "Quiet", "Retain", "patience"]

BOTH = ("insecure", "hardened")

Name = Annotated[
    str,
    typer.Option(
        "--name",
        envvar="LABKIT_NAME",
        metavar="NAME",
        help="The lab's name: up to 32 lower-case letters, digits and hyphens.",
    ),
]
#: The prefixes are those of the profiles.
MODES_IN_WORDS = (
    "insecure or hardened, also with the prefix light-, oidc-, hook-, logs- or cloud-; or the "
    "folder of an environment"
)
Modes = Annotated[
    list[str] | None,
    typer.Option(
        "--mode",
        "-m",
        metavar="MODE",
        help=f"{MODES_IN_WORDS}; can be repeated. Default: insecure and hardened.",
    ),
]
# No default: a command in the wrong one of two clusters would mislead silently.
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        "-m",
        envvar="LABKIT_MODE",
        metavar="MODE",
        help=f"{MODES_IN_WORDS}.",
    ),
]
Techniques = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TECHNIQUE]...",
        help="Names from labkit technique list. Default: all; in a lab of a profile, those "
        "that it adds.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no messages but errors.")]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        help="Fail at once if another process changes the lab. Default: wait for its end.",
    ),
]
Retain = Annotated[
    bool, typer.Option("--retain", help="Keep the machines of a lab that does not start.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def patience(no_wait: bool) -> float | None:
    """Return the seconds that a lab waits for another process; None for its default.

    Parameters
    ----------
    no_wait : bool
        The value of the option ``--no-wait``.

    Returns
    -------
    float or None

    Examples
    --------
    >>> patience(True), patience(False)
    (0.0, None)
    """
    return 0.0 if no_wait else None
