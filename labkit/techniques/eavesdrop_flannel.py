"""Read how the overlay network is built, on flanneld's way to etcd."""

from __future__ import annotations

from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import lease_renewed

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-flannel",
    "Read the overlay network's leases on their way from etcd",
    EavesdropTarget(
        "flanneld@worker1 -> etcd@*", lease_renewed, plaintext="plaintext gRPC, it can be read"
    ),
)
