"""Copy the files of an environment's machines, as of a cluster of your own, and forget some."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from labkit.cluster import Environment
from labkit.model.bootstrap import FILE, to_objects

__all__ = ["copy_machines"]

#: How the kinds of RBAC's objects begin.
RIGHTS = ("Role", "ClusterRole")


def copy_machines(env: Environment, folder: Path | str, *, forgotten: Collection[str] = ()) -> None:
    """Write the files of an environment's machines as somebody copies those of a cluster.

    Parameters
    ----------
    env : Environment
    folder : path or str
        It gets a folder for each machine and ``rbac.yaml``, as ``docs/your-own-cluster.md``
        describes. There are no modes, certificates, users of etcd or other objects.
    forgotten : collection of str
        The paths of files that are copied from no machine.

    Examples
    --------
    >>> import tempfile
    >>> from labkit import load_model, read_environment
    >>> folder = tempfile.mkdtemp()
    >>> unit = "/etc/systemd/system/etcd.service"
    >>> copy_machines(read_environment("hardened"), folder, forgotten=[unit])
    >>> print(load_model(folder).unknowns[-1])
    etcd not among the files: not known: where the objects are stored, and who can access them
    """
    for node in env.nodes:
        for path, file in node.files.items():
            if path not in forgotten:
                target = Path(folder, node.name, path.lstrip("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(file.read_text(), encoding="utf-8")
    rights = [it.value for it in env.objects if str(it.get("kind")).startswith(RIGHTS)]
    rights += to_objects(json.loads(FILE.read_text()))
    Path(folder, "rbac.yaml").write_text(json.dumps({"kind": "List", "items": rights}))
