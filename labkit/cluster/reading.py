"""Read a cluster from an environment, copied files, or a dump of its objects."""

from __future__ import annotations

from pathlib import Path

from labkit.cluster.copied.cluster import read_cluster
from labkit.cluster.copied.files import is_copied
from labkit.cluster.environment import read_environment
from labkit.cluster.facts import Environment
from labkit.cluster.objects.facts import Dump
from labkit.cluster.objects.reader import DUMP_COMMAND, has_objects, read_dump
from labkit.errors import ConfigError, NotUnderstood

__all__ = ["read_anything"]


def read_anything(path: Path | str) -> Environment | Dump:
    """Read a cluster with the reader that fits the path's content.

    Parameters
    ----------
    path : path or str
        A folder with an ``environment.yaml`` (or the name of one of the kit's environments), a
        folder with files copied from machines, or a file or folder that ``kubectl get -o json``
        or ``-o yaml`` wrote.

    Returns
    -------
    Environment or Dump

    Raises
    ------
    ConfigError
        The path has no such files, or a file is malformed.

    Examples
    --------
    >>> read_anything("hardened").name
    'hardened'
    """
    where = Path(path)
    if where.is_file():
        return read_dump(where)
    if (where / "environment.yaml").is_file():
        return read_environment(where)
    if is_copied(where):
        return read_cluster(where)
    if where.is_dir() and has_objects(where):
        return read_dump(where)
    if isinstance(path, str) and not where.exists() and len(where.parts) == 1:
        return read_environment(path)
    hint = f"files of machines under FOLDER/NODE/etc/..., or {DUMP_COMMAND}"
    if where.exists():
        raise NotUnderstood(f"{path} holds no files of a cluster", hint=hint)
    raise ConfigError(f"{path} does not exist", hint=hint)
