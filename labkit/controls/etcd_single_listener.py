"""Only one port of etcd serves its clients."""

from __future__ import annotations

from labkit.cluster.edits import Item
from labkit.controls._base import Control
from labkit.controls._etcd import ETCD
from labkit.model import Model

__all__ = ["CONTROL"]

FLAG, SECOND = "listen-client-urls", "http://0.0.0.0:2378"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    members = [c for c in model.environment.components if c.kind == "etcd"]
    return all(len(member.values(FLAG)) == 1 for member in members)


CONTROL = Control(
    name="etcd-single-listener",
    title="Only one port of etcd serves its clients",
    why="TLS on the well-known port does not protect a second port in plaintext.",
    on=(Item("etcd", ETCD, FLAG, SECOND, False),),
    off=(Item("etcd", ETCD, FLAG, SECOND, True),),
    holds=holds,
    changes="anyone@network -> etcd@*:2378 is gone",
    stops=("etcd-second-listener",),
    references=(
        "CIS Kubernetes Benchmark 2.1, which checks the certificate and not the URLs",
        "etcd documentation: Configuration options, --listen-client-urls",
    ),
)
