"""Only etcd's own certificate authority signs for its clients."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._etcd import ANY_CA, CA, ETCD
from labkit.model import Model
from labkit.model.rights import trusted_by

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    env = model.environment
    trusted = [c.setting("trusted-ca-file").value for c in env.components if c.kind == "etcd"]
    apiservers = [c for c in env.components if c.kind == "kube-apiserver"]
    cluster = frozenset[str]().union(
        *(trusted_by(env, it.setting("client-ca-file").value) for it in apiservers)
    )
    return all(path and not trusted_by(env, path) & cluster for path in trusted)


CONTROL = Control(
    name="etcd-own-ca",
    title="Only etcd's own certificate authority signs for its clients",
    why="etcd refuses the certificates of other authorities, for example those of kubelets.",
    on=(Flag("etcd", ETCD, "trusted-ca-file", CA),),
    off=(Flag("etcd", ETCD, "trusted-ca-file", ANY_CA),),
    holds=holds,
    changes="which authorities client_authentication of * -> etcd@*:2379 accepts, over TLS",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 2.7",
        "etcd documentation: Transport security model",
    ),
)
