"""Read what is typed into a pod, on the apiserver's way to the kubelet."""

from __future__ import annotations

from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import command_typed

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-exec",
    "Read what is typed into a pod, on its way to the kubelet",
    EavesdropTarget("kube-apiserver@* -> kubelet@worker1:*", command_typed),
)
