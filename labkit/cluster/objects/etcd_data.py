"""The folders of nodes in which etcd's pods keep their data, by their flags and mounts."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from labkit.cluster.objects.apiservers import started
from labkit.cluster.objects.open_ports import ETCD, flags_of
from labkit.cluster.objects.pods import clean_path
from labkit.cluster.syntax.values import sequence, text_of

__all__ = ["DATA", "data_folders", "is_etcd"]

#: Where the data is, unless a flag names another folder: of kubeadm, OpenShift and most packages.
DATA = "/var/lib/etcd"
#: Those of kubeadm, kops and others, and of OpenShift.
NAMESPACES = frozenset({"kube-system", "openshift-etcd"})


def is_etcd(namespace: str, pod: str) -> bool:
    """Say whether a pod is etcd's, by its name.

    Examples
    --------
    >>> is_etcd("kube-system", "etcd-manager-main-i-1"), is_etcd("shop", "etcd-0")
    (True, False)
    """
    return namespace in NAMESPACES and pod.startswith(ETCD)


def data_folders(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the folders of the node in which a static pod of etcd keeps its data.

    Parameters
    ----------
    spec : mapping
        As the API has it.

    Returns
    -------
    tuple of str
        With an empty one for data of which nobody knows where it is: etcd-manager of kops mounts a
        volume of its own, and a configuration file may name a folder.

    Raises
    ------
    ValueError
        The specification is malformed.

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/configuration/: ``--data-dir``, ``--wal-dir``

    Examples
    --------
    >>> etcd = {"image": "etcd:3.6", "command": ["etcd", "--data-dir=/data"],
    ...     "volumeMounts": [{"name": "d", "mountPath": "/data"}]}
    >>> data_folders({"containers": [etcd], "volumes": [
    ...     {"name": "d", "hostPath": {"path": "/srv/etcd"}}]})
    ('/srv/etcd',)
    >>> data_folders({"containers": [{"name": "etcd-manager", "image": "etcd-manager-slim:v3"}]})
    ('',)
    """
    found: dict[str, None] = {}
    is_one, known = False, False
    for container in sequence(spec, "containers"):
        _, kind, launch, _ = started(container)
        is_one = is_one or kind == ETCD or text_of(container, "name").startswith(ETCD)
        flags = flags_of(container, kind, launch) if kind == ETCD else {}
        if "config-file" in flags:
            # then etcd looks at no other flag
            return ("",)
        for flag in ("data-dir", "wal-dir"):
            if flag in flags:
                found[_on_node(spec, container, flags[flag])] = None
        # beside etcd, a pod may run its proxy for metrics
        known = known or "data-dir" in flags
    return (*found, "") if is_one and not known else tuple(found)


def _on_node(spec: Mapping[str, Any], container: Mapping[str, Any], path: str) -> str:
    """Return where a container's path is on the node; empty if it is in no hostPath volume."""
    folders: dict[str, str] = {}
    for volume in sequence(spec, "volumes"):
        folders[text_of(volume, "name")] = text_of(volume, "hostPath", "path")
    mounts = [
        (posixpath.normpath(text_of(it, "mountPath")), folders.get(text_of(it, "name"), ""), it)
        for it in sequence(container, "volumeMounts")
    ]
    wanted = posixpath.normpath(path)
    for inside, outside, it in sorted(mounts, key=lambda mount: -len(mount[0])):
        if wanted == inside or wanted.startswith(f"{inside.rstrip('/')}/"):
            rest = wanted.removeprefix(inside)
            return clean_path(f"{outside}/{text_of(it, 'subPath')}/{rest}") if outside else ""
    return ""
