"""``labkit bundle``: write one archive for laptops without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import Quiet
from labkit.cli.image import OF_PROFILES, known
from labkit.errors import ConfigError

__all__ = ["bundle"]


def bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive, usually NAME.tar.")],
    python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERSION",
            help="A version of Python that the laptops have, such as 3.12; may be repeated. "
            "Default: the one that runs labkit.",
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"A further image to add, beside the node image: {OF_PROFILES}. May be repeated.",
        ),
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Documentation to add, from make docs: site.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write an archive that installs labkit without a network: packages, images, notebooks.

    It needs the images and a network. On a laptop with Docker and Python:
    tar -xf FILE; python3 labkit-bundle/install.py
    """
    from labkit.lab.engine import connect
    from labkit.workshop.bundle import THIS_PYTHON, without_image, write_bundle

    if wrong := [it for it in python or () if not is_version(it)]:
        raise ConfigError(
            f"{wrong[0]!r} is not a version of Python that labkit runs on",
            hint=f"labkit bundle --python {sys.version_info[0]}.{sys.version_info[1]} {file}",
        )
    size = write_bundle(
        file,
        connect(),
        reporter(quiet),
        pythons=python or [THIS_PYTHON],
        other_images=[known(it) for it in image or ()],
        site=docs,
    )
    say(f"{file}: {size / 2**20:.0f} MiB", quiet=quiet)
    for name, notebooks in without_image(image or ()).items():
        say(f"no labs for {', '.join(notebooks)}, which need --image {name}", quiet=quiet)


def is_version(text: str) -> bool:
    """Say whether a text is a version of Python, with its second number, from 3.11 on.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> [is_version(text) for text in ("3.12", "3.9", "3", "python3.12", "3.12.1")]
    [True, False, False, False, False]
    """
    major, _, minor = text.partition(".")
    return major == "3" and minor.isdecimal() and int(minor) >= 11
