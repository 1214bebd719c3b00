"""Find labkit's own data files, in a checkout or in an installed package.

The wheel holds them in ``labkit/_data``, under their names in the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

from labkit.errors import ConfigError

__all__ = [
    "docs_dir",
    "environments_dir",
    "notebooks_dir",
    "server_room_dir",
    "split_mode",
    "state_dir",
]

PACKAGE = Path(__file__).resolve().parent


def environments_dir() -> Path:
    """Return the folder that holds the environments and the recipe of the images.

    The environment variable ``LABKIT_ENVIRONMENTS`` names another folder.

    Returns
    -------
    pathlib.Path
        The absolute path of an existing folder.

    Raises
    ------
    ConfigError
        The folder does not exist.

    Examples
    --------
    >>> (environments_dir() / "topology.yaml").exists()
    True
    """
    if named := os.environ.get("LABKIT_ENVIRONMENTS"):
        folder = Path(named).resolve()
        if not folder.is_dir():
            raise ConfigError(
                f"LABKIT_ENVIRONMENTS names {folder}, which is not a folder",
                hint="unset LABKIT_ENVIRONMENTS, to use the environments of labkit",
            )
        return folder
    return _find("environments")


def split_mode(mode: str) -> tuple[str, str]:
    """Return the profile in an environment's name, and the mode in it.

    Parameters
    ----------
    mode : str
        The name of an environment.

    Returns
    -------
    profile : str
        Empty for an environment without a profile.
    word : str

    Examples
    --------
    >>> split_mode("oidc-insecure"), split_mode("insecure")
    (('oidc', 'insecure'), ('', 'insecure'))
    """
    profile, _, word = mode.rpartition("-")
    return profile, word


def notebooks_dir() -> Path:
    """Return the folder that holds the notebooks.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ConfigError
        The folder does not exist.

    Examples
    --------
    >>> (notebooks_dir() / "00-start.ipynb").exists()
    True
    """
    return _find("notebooks")


def docs_dir() -> Path:
    """Return the folder with the truth matrix and the pages that notebooks link to.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ConfigError
        The folder does not exist.

    Examples
    --------
    >>> (docs_dir() / "matrix.json").exists()
    True
    """
    return _find("docs")


def server_room_dir() -> Path:
    """Return the folder with JupyterHub's configuration and the recipe of its image.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ConfigError
        The folder does not exist.

    Examples
    --------
    >>> sorted(path.name for path in server_room_dir().iterdir())
    ['Dockerfile', 'jupyterhub_config.py']
    """
    return _find("workshop")


def state_dir() -> Path:
    """Return the folder for build logs; create it if it is missing.

    Returns
    -------
    pathlib.Path
        ``$XDG_STATE_HOME/labkit``, or ``~/.local/state/labkit``.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = base / "labkit"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _find(name: str) -> Path:
    inside = PACKAGE / "_data"
    path = (inside if inside.is_dir() else PACKAGE.parent) / name
    if not path.exists():
        raise ConfigError(
            f"this installation of labkit is not complete: {path} is missing",
            hint=f"install labkit again; in a clone: git status {name}",
        )
    return path
