"""Read what kube-proxy is told by the apiserver, on its way over the network."""

from __future__ import annotations

from labkit.techniques._lib.wire import listen as _listen
from labkit.techniques._lib.wire.listen import Tap
from labkit.techniques._lib.wire.traffic import service_changed

__all__ = ["TECHNIQUE"]

TECHNIQUE = _listen.technique(
    "eavesdrop-kube-proxy",
    "Read the services on their way to kube-proxy",
    Tap("kube-proxy@worker1 -> *@master:*", service_changed, process="kube-proxy", pushed=True),
)
