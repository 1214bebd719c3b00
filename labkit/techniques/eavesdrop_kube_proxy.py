"""Read the services on their way from the apiserver to kube-proxy.

kube-proxy watches all services and endpoints, so its traffic is a map of the cluster. The
attacker needs a foothold on the cluster network, where they poison the ARP caches of a worker and
the master. They read the objects if kube-proxy calls the apiserver in plaintext. TLS on this
channel stops it.
"""

from __future__ import annotations

from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import service_changed

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-kube-proxy",
    "Read the services on their way to kube-proxy",
    EavesdropTarget(
        "kube-proxy@worker1 -> *@master:*",
        service_changed,
        process="kube-proxy",
        pushed=True,
        leaves=("annotation",),
    ),
)
