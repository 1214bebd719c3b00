"""Members of etcd authenticate each other by certificate."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Flag
from labkit.controls._base import Control
from labkit.controls._etcd import ETCD
from labkit.model import Model

__all__ = ["CONTROL"]

MEMBERS = ("etcd1", "etcd2", "etcd3")
PKI = "/etc/etcd/pki"


def _urls(scheme: str) -> tuple[Edit, ...]:
    cluster = ",".join(f"{member}={scheme}://{member}:2380" for member in MEMBERS)
    return (
        Flag("etcd", ETCD, "listen-peer-urls", f"{scheme}://0.0.0.0:2380"),
        Flag("etcd", ETCD, "initial-advertise-peer-urls", f"{scheme}://%H:2380"),
        Flag("etcd", ETCD, "initial-cluster", cluster),
    )


def holds(model: Model) -> bool:
    """Say whether the control is in place; a single member listens for others as well."""
    members, others = "etcd@* -> etcd@*", "anyone@* -> etcd@*:2380"
    found = [*model.open_channels(members), *model.open_channels(others)]
    return all(channel.encryption.value != "none" for channel in found)


CONTROL = Control(
    name="etcd-peer-tls",
    title="Members of etcd authenticate each other by certificate",
    why="Members replicate all data to each other, secrets included.",
    on=(
        *_urls("https"),
        Flag("etcd", ETCD, "peer-client-cert-auth", "true"),
        Flag("etcd", ETCD, "peer-trusted-ca-file", "/etc/kubernetes/pki/ca.crt"),
        Flag("etcd", ETCD, "peer-cert-file", f"{PKI}/peer.crt"),
        Flag("etcd", ETCD, "peer-key-file", f"{PKI}/peer.key"),
    ),
    off=_urls("http"),
    holds=holds,
    changes="all four properties of etcd@* -> etcd@*:2380",
    stops=("etcd-rogue-member",),
    references=(
        "CIS Kubernetes Benchmark 2.4, 2.5",
        "etcd documentation: Transport security model",
    ),
)
