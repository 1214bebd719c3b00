"""``labkit notebooks``: write the notebooks into a folder of your choice."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import say
from labkit.cli._options import Quiet
from labkit.errors import ConfigError

__all__ = ["notebooks", "say_how_to_open", "write_notebooks"]


def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; created if missing.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace notebooks that differ from labkit's.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write the notebooks into a folder, print their paths, and show how to open them."""
    from labkit.resources import notebooks_dir

    kit = {path.name: path.read_bytes() for path in sorted(notebooks_dir().glob("*.ipynb"))}
    write_notebooks(folder, kit, overwrite=overwrite, command="labkit notebooks")
    say_how_to_open(folder, quiet=quiet)


def write_notebooks(
    folder: Path, kit: Mapping[str, bytes], *, overwrite: bool, command: str
) -> None:
    """Write notebooks into a folder, and print the paths of those that it did not hold.

    The pages of the documentation that they link to are written as well.

    Parameters
    ----------
    folder : Path
        Created if missing.
    kit : mapping of str to bytes
        The notebooks by their file names.
    overwrite : bool
        Replace notebooks that differ.
    command : str
        The command that writes them, for a hint.

    Raises
    ------
    ConfigError
        The folder holds notebooks that differ, or cannot be written.
    """
    from labkit.workshop.linked_pages import with_pages

    kit = with_pages(kit)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {name: (folder / name).read_bytes() for name in kit if (folder / name).exists()}
        changed = [name for name, data in there.items() if data != kit[name]]
        if changed and not overwrite:
            raise ConfigError(
                f"{folder} holds notebooks that differ from labkit's; nothing was written",
                evidence=changed,
                hint=f"choose another folder, or: {command} --overwrite {_quoted(folder)}",
            )
        for name, data in kit.items():
            if there.get(name) != data:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(data)
                typer.echo(folder / name)
    except OSError as error:
        raise ConfigError(
            f"{folder}: notebooks cannot be written: {error.strerror}",
            hint=f"ls -ld {_quoted(folder.parent)}",
        ) from error


def say_how_to_open(folder: Path, *, quiet: bool) -> None:
    """Say which command opens the notebooks of a folder in JupyterLab.

    Parameters
    ----------
    folder : Path
    quiet : bool
        Say nothing.
    """
    python = _quoted(sys.executable)
    if find_spec("jupyterlab") is None:
        say(f"JupyterLab is missing: {python} -m pip install 'labkit[notebooks]'", quiet=quiet)
    # Jupyter does not start as root without this option
    root = " --allow-root" if os.geteuid() == 0 else ""
    say(f"open them: {python} -m jupyterlab{root} {_quoted(folder)}", quiet=quiet)


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
