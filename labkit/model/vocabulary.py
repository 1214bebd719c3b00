"""Defaults of Kubernetes components for models by hand: ports, protocols, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KINDS", "Kind", "kind_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The defaults of a kind of component.

    Attributes
    ----------
    port : int or None
        Its well-known port.
    path : str
        Its well-known socket if it has no port.
    protocol : str
    zone : str
    node : str
        Where it usually runs; empty if that does not matter.
    data : tuple of str
        What its callers exchange with it.
    claims : mapping of str to str
        The properties of a channel to it that the model does not give.
    """

    port: int | None = None
    path: str = ""
    protocol: str = "https"
    zone: str = ""
    node: str = ""
    data: tuple[str, ...] = ()
    #: labkit assumes nothing about an unknown component.
    claims: Mapping[str, str] = field(default_factory=dict)


MASTER, WORKER = "master node", "worker node"
SOCKET = {
    "encryption": "local",
    "server_authentication": "local",
    "client_authentication": "file-mode",
    "authorization": "allow-all",
}
PLAINTEXT = {
    "encryption": "none",
    "server_authentication": "none",
    "client_authentication": "none",
    "authorization": "allow-all",
}
#: What the components do without flags; see labkit.cluster.defaults.
KINDS = {
    "kube-apiserver": Kind(
        6443,
        zone=MASTER,
        node="master",
        data=("all objects", "secrets"),
        claims={
            "encryption": "tls1.2",
            "client_authentication": "anonymous",
            "authorization": "allow-all",
        },
    ),
    "etcd": Kind(
        2379,
        protocol="http",
        zone=MASTER,
        node="master",
        data=("all objects", "secrets"),
        claims=PLAINTEXT,
    ),
    "kubelet": Kind(
        10250,
        zone=WORKER,
        node="worker",
        data=("exec sessions", "pod logs"),
        claims={
            "encryption": "tls1.2",
            "server_authentication": "unverified",
            "client_authentication": "anonymous",
            "authorization": "allow-all",
        },
    ),
    "dockerd": Kind(
        path="/run/docker.sock",
        protocol="unix",
        zone=WORKER,
        node="worker",
        data=("containers", "root on the node"),
        claims=SOCKET,
    ),
    "containerd": Kind(
        path="/run/containerd/containerd.sock",
        protocol="unix",
        zone=WORKER,
        node="worker",
        data=("containers", "images"),
        claims=SOCKET,
    ),
    "kubectl-proxy": Kind(
        8001,
        protocol="http",
        zone=MASTER,
        node="master",
        data=("all objects", "secrets"),
        claims=PLAINTEXT,
    ),
    "kube-scheduler": Kind(10259, zone=MASTER, node="master"),
    "kube-controller-manager": Kind(10257, zone=MASTER, node="master"),
    "kube-proxy": Kind(10256, protocol="http", zone=WORKER, node="worker"),
    "flanneld": Kind(zone=WORKER, node="worker"),
    "kubectl": Kind(zone="outside"),
    "pod": Kind(zone="container", node="worker"),
    "person": Kind(zone="outside"),
    "process": Kind(),
    "datastore": Kind(),
}
UNUSUAL = Kind()


def kind_of(name: str) -> Kind:
    """Return the defaults of a kind of component; an unknown kind has none.

    Parameters
    ----------
    name : str
        "etcd", "kubelet" ...

    Returns
    -------
    Kind

    Examples
    --------
    >>> kind_of("etcd").port, kind_of("billing").port
    (2379, None)
    """
    return KINDS.get(name, UNUSUAL)
