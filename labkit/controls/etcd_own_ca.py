"""An authority of etcd's own signs for its clients."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._etcd import ANY_CA, CA, ETCD
from labkit.model import Model
from labkit.model.rights import trusted_by

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    env = model.environment
    trusted = [c.setting("trusted-ca-file").value for c in env.components if c.kind == "etcd"]
    apiservers = [c for c in env.components if c.kind == "kube-apiserver"]
    cluster = frozenset[str]().union(
        *(trusted_by(env, it.setting("client-ca-file").value) for it in apiservers)
    )
    return all(path and not trusted_by(env, path) & cluster for path in trusted)


CONTROL = Control(
    name="etcd-own-ca",
    title="An authority of etcd's own signs for its clients",
    why="A certificate that was made for another purpose, any kubelet's say, is a stranger's.",
    on=(Flag("etcd", ETCD, "trusted-ca-file", CA),),
    off=(Flag("etcd", ETCD, "trusted-ca-file", ANY_CA),),
    holds=holds,
    changes="whose certificates pass the client_authentication of * -> etcd@*:2379, over TLS",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 2.7",
        "etcd documentation: Transport security model",
    ),
)
