"""All Secrets of a lab, while its apiserver changes how it stores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment
from labkit.errors import CommandFailed
from labkit.lab.machine import FileSpec, execute, write_files

__all__ = ["APPLY", "SecretStore", "as_list"]

APPLY = ("apply", "--server-side", "--force-conflicts", "--validate=false")
DELETE = ("etcdctl", "del", "/registry/secrets/", "--prefix")
#: On the master: all secrets, while they are not in etcd.
OUT = "/var/lib/labkit/secrets-out.json"
NEW = f"{OUT}.new"


def as_list(documents: Sequence[object]) -> bytes:
    """Return objects as one document for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}).encode()


class SecretStore:
    """All secrets, while the apiserver changes how it stores them.

    What one apiserver encrypted, another without the key cannot read, nor delete: so they are
    taken out of etcd before it changes, and put back afterwards. Meanwhile they are in a file on
    the master that only root reads, so that a process that is killed loses none: the next change
    takes those along that it finds there.

    Parameters
    ----------
    etcd, master : docker.models.containers.Container
    env : Environment
        The one that holds when they are taken out.
    """

    def __init__(self, etcd: Container, master: Container, env: Environment) -> None:
        self.etcd, self.master, self.env = etcd, master, env

    def take_out(self) -> None:
        """Read all secrets through the apiserver, write them to the file, delete them in etcd."""
        waiting = self._waiting()
        argv = ["kubectl", f"--kubeconfig={self.env.bootstrap_kubeconfig}", "get", "secrets"]
        try:
            found = execute(self.master, [*argv, "--all-namespaces", "--output=json"], timeout=60)
        except CommandFailed:
            if not waiting:
                raise
            return  # an interrupted change has left the apiserver down, and the secrets in the file
        items = {_place(item): item for item in waiting}
        for item in json.loads(found.stdout)["items"]:
            for own in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
                item["metadata"].pop(own, None)
            items[_place(item)] = item
        write_files(self.master, [FileSpec(NEW, as_list(list(items.values())), 0o600)])
        execute(self.master, ["sync", NEW])
        execute(self.master, ["mv", NEW, OUT])
        execute(self.etcd, agents.argv("as_etcd_root", *DELETE))

    def put_back(self) -> None:
        """Have the apiserver store those in the file again, and delete the file."""
        if self._waiting():
            kubeconfig = f"--kubeconfig={self.env.bootstrap_kubeconfig}"
            argv = ["kubectl", kubeconfig, *APPLY, f"--filename={OUT}"]
            execute(self.master, argv, timeout=60)
        execute(self.master, ["rm", "-f", OUT])

    def _waiting(self) -> list[Any]:
        found = execute(self.master, ["cat", OUT], check=False)
        items: list[Any] = json.loads(found.stdout)["items"] if found.stdout else []
        return items


def _place(item: Any) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]
