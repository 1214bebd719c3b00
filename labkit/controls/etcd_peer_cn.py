"""Only members' certificates are taken by members."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._etcd import ETCD
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    members = [c for c in model.environment.components if c.kind == "etcd"]
    return all(member.setting("peer-cert-allowed-cn").value for member in members)


CONTROL = Control(
    name="etcd-peer-cn",
    title="Only members' certificates are taken by members",
    why="A certificate that the same authority made for something else makes no member.",
    on=(Flag("etcd", ETCD, "peer-cert-allowed-cn", "etcd-peer"),),
    off=(Flag("etcd", ETCD, "peer-cert-allowed-cn", None),),
    holds=holds,
    changes="authorization of etcd@* -> etcd@*:2380, where there is TLS",
    stops=(),
    references=("etcd documentation: Configuration options, --peer-cert-allowed-cn",),
)
