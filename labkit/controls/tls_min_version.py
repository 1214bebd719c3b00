"""The TLS listeners of Kubernetes and etcd accept only TLS 1.3."""

from __future__ import annotations

from labkit.cluster.edits import Flag, Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

NAME = "tls-min-version"
CONFIG = "/etc/kubernetes/kubelet.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    servers = ("kube-apiserver@*", "kubelet@*", "etcd@*")
    found = [c for server in servers for c in model.open_channels(f"* -> {server}:*")]
    return all(c.encryption.value == "tls1.3" for c in found if c.protocol == "https")


CONTROL = Control(
    name="tls-min-version",
    title="The TLS listeners accept only TLS 1.3",
    why="TLS 1.2 still allows weak cipher suites, such as those in CBC mode.",
    on=(
        Flag("master", "kube-apiserver.service", NAME, "VersionTLS13"),
        Flag("master", "kube-controller-manager.service", NAME, "VersionTLS13"),
        Flag("master", "kube-scheduler.service", NAME, "VersionTLS13"),
        Key("worker", CONFIG, "tlsMinVersion", "VersionTLS13"),
        Flag("etcd", "etcd.service", NAME, "TLS1.3"),
    ),
    off=(
        Flag("master", "kube-apiserver.service", NAME, None),
        Key("worker", CONFIG, "tlsMinVersion", None),
        Flag("etcd", "etcd.service", NAME, None),
    ),
    holds=holds,
    changes="encryption of all TLS channels: tls1.3",
    stops=("tls-downgrade",),
    references=(
        "CIS Kubernetes Benchmark 1.2.29",
        "https://cheatsheetseries.owasp.org/cheatsheets/Transport_Layer_Security_Cheat_Sheet.html",
    ),
)
