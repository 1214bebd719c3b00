"""Read what an administrator types into a pod, between the apiserver and the kubelet.

``kubectl exec`` goes through the apiserver to the kubelet of the pod's machine. The attacker
needs a foothold on the cluster network, where they poison the ARP caches of both. The kubelet
serves this port only with TLS, so the attacker sees TLS records in both environments and no text.
It shows that encryption holds here even if the certificate is not verified.
"""

from __future__ import annotations

from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import command_typed

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-exec",
    "Read what is typed into a pod, between the apiserver and the kubelet",
    EavesdropTarget("kube-apiserver@* -> kubelet@worker1:*", command_typed),
)
