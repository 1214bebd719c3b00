"""Read the layout of the pod network on its way from etcd to flanneld.

flanneld watches the leases in etcd: which worker has which subnet, and under which MAC address.
The attacker needs a foothold on the cluster network, where they poison the ARP caches of a worker
and etcd. They read the leases if the channel is plaintext. TLS between flanneld and etcd stops
it.
"""

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
