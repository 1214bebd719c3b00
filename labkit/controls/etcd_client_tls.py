"""Clients reach etcd over TLS only."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._etcd import clients, serve_plaintext, serve_tls
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        channel.encryption.value != "none"
        for channel in model.open_channels("kube-apiserver@* -> etcd@*")
    )


CONTROL = Control(
    name="etcd-client-tls",
    title="Clients reach etcd over TLS only",
    why="An attacker on the path cannot eavesdrop. Another control decides who may call.",
    on=(*serve_tls(), *clients()),
    off=serve_plaintext(),
    holds=holds,
    changes="encryption and server_authentication of * -> etcd@*:2379",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 2.1",
        "etcd documentation: Transport security model",
    ),
)
