"""``labkit notebooks``: the notebooks, in a folder of one's own."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import say
from labkit.cli._options import Quiet
from labkit.errors import ConfigError

__all__ = ["notebooks"]


def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite notebooks that were changed there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write the notebooks into a folder, print their paths, and say how to open them."""
    from labkit.resources import notebooks_dir

    kit = {path.name: path.read_bytes() for path in sorted(notebooks_dir().glob("*.ipynb"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {name: (folder / name).read_bytes() for name in kit if (folder / name).exists()}
        changed = [name for name, data in there.items() if data != kit[name]]
        if changed and not overwrite:
            raise ConfigError(
                f"{folder} holds notebooks that differ from labkit's; nothing was written",
                evidence=changed,
                hint=f"choose another folder, or: labkit notebooks --overwrite {_quoted(folder)}",
            )
        for name, data in kit.items():
            if there.get(name) != data:
                (folder / name).write_bytes(data)
                typer.echo(folder / name)
    except OSError as error:
        raise ConfigError(f"{folder}: notebooks cannot be written: {error.strerror}") from error
    python = _quoted(sys.executable)
    if find_spec("jupyterlab") is None:
        say(f"JupyterLab is missing: {python} -m pip install 'labkit[notebooks]'", quiet=quiet)
    # Jupyter does not start as root unless it is told to
    root = " --allow-root" if os.geteuid() == 0 else ""
    say(f"open them: {python} -m jupyterlab{root} {_quoted(folder)}", quiet=quiet)


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
