"""Move all Secrets of a lab out of etcd while the apiserver changes their encryption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment
from labkit.errors import CommandFailed
from labkit.lab.machine import FileSpec, execute, send_files

__all__ = ["APPLY", "SecretStore", "as_list"]

APPLY = ("apply", "--server-side", "--force-conflicts", "--validate=false")
DELETE = ("etcdctl", "del", "/registry/secrets/", "--prefix")
#: The file on the master that holds all secrets while they are not in etcd.
OUT = "/var/lib/labkit/secrets-out.json"
NEW = f"{OUT}.new"


def as_list(documents: Sequence[object]) -> bytes:
    """Return objects as one document for kubectl.

    Parameters
    ----------
    documents : sequence of object
        Kubernetes objects.

    Returns
    -------
    bytes
        JSON of kind List.

    Examples
    --------
    >>> as_list([])
    b'{"apiVersion": "v1", "kind": "List", "items": []}'
    """
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}).encode()


class SecretStore:
    """All secrets of a lab while the apiserver changes their encryption.

    An apiserver without the key can neither read nor delete an encrypted secret. So all secrets
    are taken out of etcd before the change, and put back afterwards. In between they are in a file
    on the master that only root can read. If labkit is killed in between, the next change finds
    the file and puts these secrets back as well.

    Parameters
    ----------
    etcd, master : docker.models.containers.Container
        The machine of an etcd member, and that of the apiserver.
    env : Environment
        The environment before the change.
    """

    def __init__(self, etcd: Container, master: Container, env: Environment) -> None:
        self.etcd, self.master, self.env = etcd, master, env

    def take_out(self) -> None:
        """Copy all secrets from the apiserver to the file, and delete them in etcd.

        Raises
        ------
        CommandFailed
            A command failed. No secret is lost.
        """
        waiting = self._waiting()
        argv = ["kubectl", f"--kubeconfig={self.env.bootstrap_kubeconfig}", "get", "secrets"]
        try:
            found = execute(self.master, [*argv, "--all-namespaces", "--output=json"], timeout=60)
        except CommandFailed:
            if not waiting:
                raise
            # an interrupted change left the apiserver down, and the secrets in the file
            return
        items = {_place(item): item for item in waiting}
        for item in json.loads(found.stdout)["items"]:
            for own in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
                item["metadata"].pop(own, None)
            items[_place(item)] = item
        send_files(self.master, [FileSpec(NEW, as_list(list(items.values())), 0o600)])
        execute(self.master, ["sync", NEW])
        execute(self.master, ["mv", NEW, OUT])
        execute(self.etcd, agents.argv("as_etcd_root", *DELETE))

    def put_back(self) -> None:
        """Apply the secrets of the file at the apiserver, and delete the file.

        Raises
        ------
        CommandFailed
            A command failed. The file stays.
        """
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
