"""Members of etcd accept only certificates of members."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._etcd import ETCD
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    members = [c for c in model.environment.components if c.kind == "etcd"]
    return all(member.setting("peer-cert-allowed-cn").value for member in members)


CONTROL = Control(
    name="etcd-peer-cn",
    title="Members of etcd accept only certificates of members",
    why="Another certificate of the same authority does not make its holder a member.",
    on=(Flag("etcd", ETCD, "peer-cert-allowed-cn", "etcd-peer"),),
    off=(Flag("etcd", ETCD, "peer-cert-allowed-cn", None),),
    holds=holds,
    changes="authorization of etcd@* -> etcd@*:2380, where there is TLS",
    stops=(),
    references=("etcd documentation: Configuration options, --peer-cert-allowed-cn",),
)
