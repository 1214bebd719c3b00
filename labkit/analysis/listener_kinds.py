"""The kinds of listeners: what access to one gives, what closes a gap, what demonstrates it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from labkit.model import Channel, Component, Foothold
from labkit.model.strangers import METRICS

__all__ = ["LISTENER_KINDS", "NO_GAP", "Gap", "ListenerKind", "gap_at", "kind_of_listener"]


@dataclass(frozen=True, slots=True)
class Gap:
    """One property that a listener may lack.

    Attributes
    ----------
    control : str
        The control that closes it.
    technique : str
        The technique that demonstrates it in a lab.
    references : tuple of str
        Benchmarks and documentation, by name.
    """

    control: str = ""
    technique: str = ""
    references: tuple[str, ...] = ()


NO_GAP = Gap()


@dataclass(frozen=True, slots=True)
class ListenerKind:
    """What a kind of listener is for.

    Attributes
    ----------
    name : str
    gives : tuple of str
        Kinds of the footholds that commanding it gives; "root" is on its machine.
    impact : int
        Of its loss, from 1 to 4.
    gaps : dict of str to Gap
        By property.
    by_design : str
        Why authorization does not apply to this listener; empty where it does.
    with_credential : str
        The technique that demonstrates what its clients' credentials open.
    """

    name: str
    gives: tuple[str, ...]
    impact: int
    gaps: dict[str, Gap]
    by_design: str = ""
    with_credential: str = ""

    def gains(self, server: Component) -> tuple[Foothold, ...]:
        """Return the footholds that commanding a server of this kind gives."""
        where = {"root": server.node, "commands": server.id}
        return tuple(Foothold(kind, where.get(kind, "")) for kind in self.gives)


def _cis(*numbers: str) -> tuple[str, ...]:
    return tuple(f"CIS Kubernetes Benchmark {number}" for number in numbers)


DOCKER = "whoever may start containers may mount the machine: a socket's mode is all there is"
LISTENER_KINDS = {
    it.name: it
    for it in (
        ListenerKind(
            "etcd",
            ("admin",),
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
            with_credential="flannel-credential",
        ),
        ListenerKind(
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
        ListenerKind(
            "etcd metrics",
            # server/embed/etcd.go serveMetrics: /metrics and /health, and no key
            (),
            1,
            {},
            by_design="etcd asks nobody on this port, and serves only its metrics and its health",
        ),
        ListenerKind(
            "apiserver",
            ("admin",),
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
            with_credential="node-reads-secrets",
        ),
        ListenerKind(
            "insecure port",
            ("admin",),
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
        ListenerKind(
            "kubelet",
            ("pod", "secrets"),
            4,
            {
                "encryption": Gap("tls-min-version", "tls-downgrade", _cis("4.2.12")),
                "server_authentication": Gap("kubelet-ca-pinned", "mitm-kubelet", _cis("1.2.5")),
                "client_authentication": Gap("kubelet-anonymous", "kubelet-exec", _cis("4.2.1")),
                "authorization": Gap("kubelet-authorization", "kubelet-neighbour", _cis("4.2.2")),
            },
            with_credential="kubelet-neighbour",
        ),
        ListenerKind(
            "kubelet read-only",
            (),
            2,
            dict.fromkeys(
                ("encryption", "client_authentication", "authorization"),
                Gap("kubelet-read-only-port", "kubelet-read-only", _cis("4.2.4")),
            ),
        ),
        ListenerKind(
            "docker",
            ("root",),
            4,
            {
                "encryption": Gap("docker-tcp", "eavesdrop-docker", ("CIS Docker Benchmark 2.7",)),
                "server_authentication": Gap("docker-tcp", "", ("CIS Docker Benchmark 2.7",)),
                "client_authentication": Gap(
                    "docker-tcp", "docker-tcp", ("CIS Docker Benchmark 2.7",)
                ),
            },
            by_design=DOCKER,
            with_credential="docker-client-certificate",
        ),
        ListenerKind(
            "docker socket",
            ("root",),
            4,
            {
                "client_authentication": Gap(
                    "docker-socket-mode", "docker-socket", ("CIS Docker Benchmark 3.16",)
                )
            },
            by_design=DOCKER,
        ),
        ListenerKind(
            "containerd socket",
            ("root",),
            4,
            {"client_authentication": Gap(references=_cis("1.1 (file permissions)"))},
            by_design=DOCKER,
        ),
        ListenerKind("service", ("commands",), 3, {}),
    )
}
#: The kind of listener that each kind of component usually has.
USUAL = {
    "etcd": "etcd",
    "kube-apiserver": "apiserver",
    "kubectl-proxy": "insecure port",
    "kubelet": "kubelet",
    "dockerd": "docker",
    "containerd": "containerd socket",
}
#: What demonstrates a plaintext channel to the insecure port, by the client.
EAVESDROP = {
    "kubelet": "eavesdrop",
    "kube-proxy": "eavesdrop-kube-proxy",
    "kube-scheduler": "eavesdrop-scheduler",
    "kube-controller-manager": "eavesdrop-controller-manager",
}


def kind_of_listener(channel: Channel) -> ListenerKind:
    """Return the kind of listener that a channel goes to.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> sorted({kind_of_listener(it).name for it in read_model("insecure").channels})[:4]
    ['apiserver', 'containerd socket', 'docker', 'docker socket']
    """
    kind = USUAL.get(channel.server.partition("@")[0], "service")
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
    return LISTENER_KINDS[kind]


def gap_at(channel: Channel, property_: str) -> Gap:
    """Return what is known about a property that a channel lacks.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> [channel] = read_model("insecure").open_channels("kube-proxy@worker1 -> *:8080")
    >>> gap_at(channel, "encryption").technique
    'eavesdrop-kube-proxy'
    """
    kind = kind_of_listener(channel)
    gap = kind.gaps.get(property_, NO_GAP)
    client = channel.client.partition("@")[0]
    if property_ != "encryption":
        return gap
    if kind.name == "insecure port" and client in EAVESDROP:
        return replace(gap, technique=EAVESDROP[client])
    if kind.name == "etcd" and client == "flanneld":
        return replace(gap, technique="eavesdrop-flannel")
    return gap
