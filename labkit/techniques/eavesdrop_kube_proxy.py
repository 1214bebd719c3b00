"""Read what kube-proxy is told by the apiserver, on its way over the network."""

from __future__ import annotations

from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import service_changed

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-kube-proxy",
    "Read the services on their way to kube-proxy",
    EavesdropTarget(
        "kube-proxy@worker1 -> *@master:*", service_changed, process="kube-proxy", pushed=True
    ),
)
