"""Where the files of this checkout are."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.errors import ConfigError

__all__ = ["environments_dir", "state_dir"]


def environments_dir() -> Path:
    """Return the folder that holds the environments.

    ``LABKIT_ENVIRONMENTS`` names another one; without it, it is the folder
    ``environments`` beside the package, as in a checkout.

    Returns
    -------
    pathlib.Path
        An absolute path of a folder that exists.

    Raises
    ------
    ConfigError
        The folder is not there.

    Examples
    --------
    >>> (environments_dir() / "topology.yaml").exists()
    True
    """
    default = Path(__file__).resolve().parent.parent / "environments"
    folder = Path(os.environ.get("LABKIT_ENVIRONMENTS", default)).resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"no folder of environments at {folder}",
            hint="run from a checkout, or set LABKIT_ENVIRONMENTS",
        )
    return folder


def state_dir() -> Path:
    """Return the folder for build logs, made if it is not there.

    Returns
    -------
    pathlib.Path
        ``$XDG_STATE_HOME/labkit``, or ``~/.local/state/labkit``.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = base / "labkit"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
