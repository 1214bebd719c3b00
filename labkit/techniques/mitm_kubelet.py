"""Impersonate a kubelet towards the apiserver, and answer its requests.

The attacker needs root on a worker, where they poison ARP caches and redirect the packets to a
server of their own. The apiserver always calls kubelets over TLS, but it accepts any certificate
unless it is given a CA for kubelets. The attacker then reads requests for logs and exec sessions,
and answers them. An apiserver that verifies the kubelets' certificates stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

LOGS = ("logs", "--namespace=payments", "card-processor")


def call(lab: Lab) -> bytes:
    """Ask the apiserver for the logs of a pod on worker2, and return its answer."""
    return lab.kubectl(*LOGS, check=False).stdout


def positive_control(lab: Lab) -> str:
    """Show that the apiserver gets the logs when no attacker is in between."""
    lab.kubectl(*LOGS)
    return "the apiserver gets the logs from the true kubelet"


TECHNIQUE = interception.technique(
    "mitm-kubelet",
    "Be a kubelet for the apiserver",
    InterceptionTarget(
        about="kube-apiserver@* -> kubelet@worker2:*",
        call=call,
        wanted="/containerLogs/",
        read="that the apiserver wants the logs of a pod; an exec session would be read as well",
        positive_control=positive_control,
        machines=("worker2",),
    ),
    stride=("spoofing", "tampering", "information disclosure"),
    sources=("https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/",),
)
