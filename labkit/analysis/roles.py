"""What is known of each kind of listener: what access to it gives, what closes and shows a gap."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.model import Channel
from labkit.model.strangers import METRICS
from labkit.model.threat_model import ADMIN, SECRETS

__all__ = [
    "ADMIN",
    "NODE_ROOT",
    "OUTSIDE",
    "POD",
    "ROLES",
    "SECRETS",
    "Gap",
    "Role",
    "role_of",
]

NODE_ROOT, POD, OUTSIDE = "root on a node", "inside a pod", "outside the cluster"


@dataclass(frozen=True, slots=True)
class Gap:
    """What labkit knows about one missing property: the control, the technique, the references."""

    control: str = ""
    technique: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """What a listener is for.

    Attributes
    ----------
    name : str
    gives : tuple of str
        What whoever commands it has; ``{node}`` is its machine.
    impact : int
        Of its loss, from 1 to 4.
    gaps : dict of str to Gap
        By property.
    by_design : str
        Why authorization is no question here, where it is none.
    """

    name: str
    gives: tuple[str, ...]
    impact: int
    gaps: dict[str, Gap]
    by_design: str = ""


def _cis(*numbers: str) -> tuple[str, ...]:
    return tuple(f"CIS Kubernetes Benchmark {number}" for number in numbers)


DOCKER = "whoever may start containers may mount the machine: a socket's mode is all there is"
ROLES = {
    role.name: role
    for role in (
        Role(
            "etcd",
            (ADMIN,),
            4,
            {
                "encryption": Gap("etcd-client-tls", "eavesdrop-etcd", _cis("2.1", "1.2.26")),
                "server_authentication": Gap("etcd-client-tls", "mitm-etcd", _cis("1.2.26")),
                "client_authentication": Gap("etcd-client-cert-auth", "etcd-read", _cis("2.2")),
                "authorization": Gap(
                    "etcd-users",
                    "flannel-credential",
                    ("etcd documentation: Role-based access control",),
                ),
            },
        ),
        Role(
            "etcd peer",
            # to join as a member takes etcd's other port as well
            (),
            4,
            {
                "encryption": Gap("etcd-peer-tls", "eavesdrop-etcd-peer", _cis("2.4")),
                "server_authentication": Gap("etcd-peer-tls", "etcd-rogue-member", _cis("2.4")),
                "client_authentication": Gap("etcd-peer-tls", "etcd-rogue-member", _cis("2.5")),
                "authorization": Gap(
                    "etcd-peer-cn",
                    "etcd-rogue-member",
                    ("etcd documentation: --peer-cert-allowed-cn",),
                ),
            },
        ),
        Role(
            "etcd metrics",
            # server/embed/etcd.go serveMetrics: /metrics and /health, and no key
            (),
            1,
            {},
            by_design="etcd asks nobody on this port, and serves only its metrics and its health",
        ),
        Role(
            "apiserver",
            (ADMIN,),
            4,
            {
                "encryption": Gap("tls-min-version", "tls-downgrade", _cis("1.2.29")),
                "server_authentication": Gap("apiserver-ca-pinned", "mitm-apiserver"),
                "client_authentication": Gap(
                    "apiserver-anonymous", "apiserver-anonymous", _cis("1.2.1")
                ),
                "authorization": Gap(
                    "apiserver-authorization", "pod-token", _cis("1.2.6", "1.2.7", "1.2.8")
                ),
            },
        ),
        Role(
            "insecure port",
            (ADMIN,),
            4,
            dict.fromkeys(
                (
                    "encryption",
                    "server_authentication",
                    "client_authentication",
                    "authorization",
                ),
                Gap("insecure-port", "insecure-port", ("Kubernetes documentation: kubectl proxy",)),
            ),
        ),
        Role(
            "kubelet",
            (POD, SECRETS),
            4,
            {
                "encryption": Gap("tls-min-version", "tls-downgrade", _cis("4.2.12")),
                "server_authentication": Gap("kubelet-ca-pinned", "mitm-kubelet", _cis("1.2.5")),
                "client_authentication": Gap("kubelet-anonymous", "kubelet-exec", _cis("4.2.1")),
                "authorization": Gap("kubelet-authorization", "kubelet-neighbour", _cis("4.2.2")),
            },
        ),
        Role(
            "kubelet read-only",
            (),
            2,
            dict.fromkeys(
                ("encryption", "client_authentication", "authorization"),
                Gap("kubelet-read-only-port", "kubelet-read-only", _cis("4.2.4")),
            ),
        ),
        Role(
            "docker",
            ("root on {node}",),
            4,
            {
                "encryption": Gap("docker-tcp", "eavesdrop-docker", ("CIS Docker Benchmark 2.7",)),
                "server_authentication": Gap("docker-tcp", "", ("CIS Docker Benchmark 2.7",)),
                "client_authentication": Gap(
                    "docker-tcp", "docker-tcp", ("CIS Docker Benchmark 2.7",)
                ),
            },
            by_design=DOCKER,
        ),
        Role(
            "docker socket",
            ("root on {node}",),
            4,
            {
                "client_authentication": Gap(
                    "docker-socket-mode", "docker-socket", ("CIS Docker Benchmark 3.16",)
                )
            },
            by_design=DOCKER,
        ),
        Role(
            "containerd socket",
            ("root on {node}",),
            4,
            {"client_authentication": Gap(references=_cis("1.1 (file permissions)"))},
            by_design=DOCKER,
        ),
        Role("service", ("commands {server}",), 3, {}),
    )
}
KINDS = {
    "etcd": "etcd",
    "kube-apiserver": "apiserver",
    "kubectl-proxy": "insecure port",
    "kubelet": "kubelet",
    "dockerd": "docker",
    "containerd": "containerd socket",
}


def role_of(channel: Channel) -> Role:
    """Return what the listener of a channel is for.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> sorted({role_of(channel).name for channel in model.channels})[:4]
    ['apiserver', 'containerd socket', 'docker', 'docker socket']
    """
    kind = KINDS.get(channel.server.partition("@")[0], "service")
    if kind == "etcd" and channel.client.startswith("etcd@"):
        kind = "etcd peer"
    elif kind == "etcd" and channel.data == METRICS:
        kind = "etcd metrics"
    elif kind == "kubelet" and channel.protocol == "http":
        kind = "kubelet read-only"
    elif kind == "apiserver" and channel.protocol == "http":
        kind = "insecure port"
    elif kind == "docker" and channel.protocol == "unix":
        kind = "docker socket"
    return ROLES[kind]
