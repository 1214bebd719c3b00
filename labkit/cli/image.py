"""``labkit image build | save | load | push | pull``: make or transfer the node image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import Quiet

__all__ = ["app", "build", "load", "pull", "push", "save"]

app = typer.Typer(no_args_is_help=True, help="Build the node image, or transfer it.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The image file, usually NAME.tar.gz.")]
Registry = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="The registry: HOST:PORT or HOST:PORT/PREFIX.")
]


@app.command()
def build(quiet: Quiet = False) -> None:
    """Build the node image if it is missing, and print its name."""
    from labkit.lab.engine import connect
    from labkit.lab.images import ensure_node_image

    typer.echo(ensure_node_image(connect(), reporter(quiet)))


@app.command()
def save(file: File, quiet: Quiet = False) -> None:
    """Write the node image to a file."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    size = images.save(connect(), file, reporter(quiet))
    say(f"{file}: {size / 2**20:.0f} MiB", quiet=quiet)


@app.command()
def load(file: File, quiet: Quiet = False) -> None:
    """Load the node image from a file, and print its name."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.load(connect(), file, reporter(quiet)))


@app.command()
def push(registry: Registry, quiet: Quiet = False) -> None:
    """Push the node image to a registry, and print its name there."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.push(connect(), registry, reporter(quiet)))


@app.command()
def pull(registry: Registry, quiet: Quiet = False) -> None:
    """Pull the node image from a registry, and print its name."""
    from labkit.lab import images
    from labkit.lab.engine import connect

    typer.echo(images.pull(connect(), registry, reporter(quiet)))
