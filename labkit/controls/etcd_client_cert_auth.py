"""Clients of etcd must show certificates."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.cluster.syntax.source import is_true
from labkit.controls._base import Control
from labkit.controls._etcd import CA, ETCD, no_users
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    members = [c for c in model.environment.components if c.kind == "etcd"]
    return all(is_true(member.setting("client-cert-auth").value) for member in members)


CONTROL = Control(
    name="etcd-client-cert-auth",
    title="Clients of etcd must show certificates",
    why="TLS alone accepts every client.",
    on=(
        Flag("etcd", ETCD, "client-cert-auth", "true"),
        Flag("etcd", ETCD, "trusted-ca-file", CA),
    ),
    off=(
        Flag("etcd", ETCD, "client-cert-auth", "false"),
        Flag("etcd", ETCD, "trusted-ca-file", None),
        # without certificates etcd learns no names, and with users it would refuse all clients
        *no_users(),
    ),
    holds=holds,
    changes="client_authentication of * -> etcd@*:2379, and so the names of etcd's users",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 2.2",
        "etcd documentation: Transport security model",
    ),
)
