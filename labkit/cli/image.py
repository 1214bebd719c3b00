"""``labkit image build | save | load | push | pull``: make or transfer an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import Quiet

__all__ = ["app", "build", "known", "load", "pull", "push", "save"]

app = typer.Typer(no_args_is_help=True, help="Build the image of a lab's machines, or transfer it.")


#: The images of profiles, for help texts.
OF_PROFILES = (
    "provider, for labs with an OpenID provider; reviewer, for those with webhooks; monitor, for "
    "those with collected logs and metrics; cloud, for those with a stand-in for a cloud"
)


def known(name: str) -> str:
    """Return the name of an image for a lab's machines; raise for another one.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Raises
    ------
    typer.BadParameter
        There is no such image.

    Examples
    --------
    >>> known("provider")
    'provider'
    """
    from labkit.lab._recipe import IMAGES

    names = [it.name for it in IMAGES.values() if it.starts_machines]
    if name not in names:
        raise typer.BadParameter(f"there is no image {name}, only {' and '.join(names)}")
    return name


File = Annotated[Path, typer.Argument(metavar="FILE", help="The image file, usually NAME.tar.gz.")]
Registry = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="The registry: HOST:PORT or HOST:PORT/PREFIX.")
]

Image = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"node, for every lab; {OF_PROFILES}.",
        callback=known,
    ),
]


@app.command()
def build(image: Image = "node", quiet: Quiet = False) -> None:
    """Build an image if it is missing, and print its name."""
    from labkit.lab.engine import connect
    from labkit.lab.images import ensure_image

    typer.echo(ensure_image(connect(), image, reporter(quiet)))


@app.command()
def save(file: File, image: Image = "node", quiet: Quiet = False) -> None:
    """Write an image to a file."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    size = images.save(connect(), file, reporter(quiet), image)
    say(f"{file}: {size / 2**20:.0f} MiB", quiet=quiet)


@app.command()
def load(file: File, quiet: Quiet = False) -> None:
    """Load an image from a file, whichever it holds, and print its name."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.load(connect(), file, reporter(quiet)))


@app.command()
def push(registry: Registry, image: Image = "node", quiet: Quiet = False) -> None:
    """Push an image to a registry, and print its name there."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.push(connect(), registry, reporter(quiet), image))


@app.command()
def pull(registry: Registry, image: Image = "node", quiet: Quiet = False) -> None:
    """Pull an image from a registry, and print its name."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.pull(connect(), registry, reporter(quiet), image))
