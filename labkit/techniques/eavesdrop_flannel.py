"""Read how the overlay network is built, on flanneld's way to etcd."""

from __future__ import annotations

from labkit.techniques._lib.wire import listen as _listen
from labkit.techniques._lib.wire.listen import Tap
from labkit.techniques._lib.wire.traffic import lease_renewed

__all__ = ["TECHNIQUE"]

TECHNIQUE = _listen.technique(
    "eavesdrop-flannel",
    "Read the overlay network's leases on their way from etcd",
    Tap("flanneld@worker1 -> etcd@*", lease_renewed, plaintext="plaintext gRPC, it can be read"),
)
