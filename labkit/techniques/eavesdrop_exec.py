"""Read what is typed into a pod, on the apiserver's way to the kubelet."""

from __future__ import annotations

from labkit.techniques._lib.wire import listen as _listen
from labkit.techniques._lib.wire.listen import Tap
from labkit.techniques._lib.wire.traffic import command_typed

__all__ = ["TECHNIQUE"]

TECHNIQUE = _listen.technique(
    "eavesdrop-exec",
    "Read what is typed into a pod, on its way to the kubelet",
    Tap("kube-apiserver@* -> kubelet@worker1:*", command_typed),
)
