"""Each client of etcd has its own prefix of keys."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._etcd import CA, ETCD, clients, no_users, serve_tls, users
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return model.environment.etcd_auth is not None


CONTROL = Control(
    name="etcd-users",
    title="Each client of etcd has its own prefix of keys",
    why="flannel's credential, which is on every worker, cannot read the cluster's secrets.",
    on=(
        *serve_tls(),
        *clients(),
        Flag("etcd", ETCD, "client-cert-auth", "true"),
        Flag("etcd", ETCD, "trusted-ca-file", CA),
        *users(),
    ),
    off=no_users(),
    holds=holds,
    changes="authorization of * -> etcd@*:2379, and TLS: users are names in certificates",
    stops=("etcd-forge", "etcd-read", "etcd-rogue-member", "etcd-snapshot", "flannel-credential"),
    references=(
        "etcd documentation: Role-based access control",
        "Securing communications in Kubernetes (2016), etcd",
    ),
)
