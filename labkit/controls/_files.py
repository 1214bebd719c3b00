"""Copy files from one of the kit's environments to another."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, UNITS, Whole
from labkit.errors import ConfigError
from labkit.resources import environments_dir

__all__ = ["KUBECTL_PROXY", "file_from"]

#: The unit of the apiserver's plaintext port; only the environment insecure has it.
KUBECTL_PROXY = f"{UNITS}kubectl-proxy.service"


def file_from(mode: str, path: str, role: str = PLAN) -> Whole:
    """Return the edit that gives an environment the same file as another one has.

    Parameters
    ----------
    mode : str
        The environment to copy from: "insecure" or "hardened".
    path : str
        The file's path on the machine, or beside the roles' folders.
    role : str, optional
        The machines' role; by default a file of no machine.

    Returns
    -------
    Whole

    Raises
    ------
    ConfigError
        The file cannot be read.

    Examples
    --------
    >>> edit = file_from("hardened", "manifests/builder.yaml")
    >>> "hostPath" in edit.text
    False
    """
    file = environments_dir() / mode / role / path.lstrip("/")
    try:
        return Whole(role, path, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}",
            hint="unset LABKIT_ENVIRONMENTS, or copy the environments insecure and hardened there",
        ) from error
