"""Files as one of the kit's own environments has them, for the other."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, UNITS, Whole
from labkit.errors import ConfigError
from labkit.resources import environments_dir

__all__ = ["KUBECTL_PROXY", "as_in"]

#: The unit of the plaintext port before the apiserver, which only insecure has.
KUBECTL_PROXY = f"{UNITS}kubectl-proxy.service"


def as_in(mode: str, path: str, role: str = PLAN) -> Whole:
    """Read a file of a mode, and return the edit that makes it the same elsewhere.

    Raises
    ------
    ConfigError
        The file cannot be read.

    Examples
    --------
    >>> edit = as_in("hardened", "manifests/builder.yaml")
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
