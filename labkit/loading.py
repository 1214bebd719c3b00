"""Load a model from a folder, from a model by hand or from another tool's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labkit import cluster, model
from labkit.cluster.syntax.disk import MAX_MODEL, read_bytes
from labkit.cluster.syntax.source import decode
from labkit.cluster.syntax.yamldoc import read_documents
from labkit.errors import ConfigError
from labkit.model.threat_model import Model

if TYPE_CHECKING:
    from labkit.cluster.facts import Environment
    from labkit.cluster.objects.facts import Dump

__all__ = ["load_model"]


def load_model(what: Environment | Path | str) -> Model:
    """Load a model from a configuration, a dump of objects, or a file.

    Parameters
    ----------
    what : Environment, path or str
        One of these: "insecure" or "hardened"; the folder of an environment; a folder of files
        copied from a cluster's machines; a file or folder that ``kubectl get`` wrote in JSON or
        YAML; a model by hand in YAML; a file of another tool, see :data:`labkit.formats.FORMATS`.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        The path does not exist, or labkit does not know its format.

    Examples
    --------
    >>> load_model("hardened").name
    'hardened'
    """
    # the facts of an environment are not loaded for a file
    if not isinstance(what, Path | str) and isinstance(what, cluster.Environment):
        return model.read_model(what)
    path = Path(what)
    if path.is_dir() or (not path.exists() and len(path.parts) == 1 and not path.suffix):
        return _of(cluster.read_anything(what))
    if not path.exists():
        raise ConfigError(f"nothing at {path}", hint="give a folder, or a model's file")
    if cluster.is_dump(path):
        return _of(cluster.read_anything(path))
    if _is_by_hand(path):
        return model.read_model_file(path)
    from labkit import formats

    return formats.read(path)


def _of(found: Environment | Dump) -> Model:
    # the attributes of a package load their modules: a reader is imported when it is called
    if isinstance(found, cluster.Environment):
        return model.read_model(found)
    return model.model_of_dump(found)


def _is_by_hand(path: Path) -> bool:
    if path.suffix not in (".yaml", ".yml"):
        return False
    text = decode(read_bytes(path, path.name, MAX_MODEL), path.name, utf16=True)
    documents = read_documents(text, path.name)
    return len(documents) == 1 and isinstance(documents[0].get("components"), dict)
