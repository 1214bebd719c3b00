"""Impersonate the apiserver towards the kubelet and the kube-proxy of another worker.

The attacker needs root on a worker, where they poison ARP caches and redirect the packets to a
server of their own. The clients send their requests to it if the channel is plaintext, or if they
do not verify the server's certificate. The attacker could then answer anything. Clients that
verify the apiserver's certificate end the handshake with a TLS alert, which stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


def call(lab: Lab) -> None:
    """Restart worker2's kube-proxy, so that it calls the apiserver at once.

    After a lost connection it would wait longer before each new attempt. A real attacker would
    wait.
    """
    lab.exec("worker2", ["systemctl", "restart", "kube-proxy"])


def positive_control(lab: Lab) -> str:
    """Show that worker2 reaches the real apiserver when no attacker is in between."""
    lab.kubectl("wait", "--for=condition=Ready", "node/worker2", "--timeout=20s")
    return "worker2 is ready in the true apiserver's eyes"


TECHNIQUE = interception.technique(
    "mitm-apiserver",
    "Be the apiserver for a worker",
    InterceptionTarget(
        about="kube*@worker2 -> *@master:*",
        call=call,
        wanted=" HTTP/1.1\r\n",
        read="a request for the apiserver; any answer to it could have been made up",
        positive_control=positive_control,
        machines=("worker2",),
    ),
    stride=("spoofing", "tampering", "information disclosure"),
    sources=(
        "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
    ),
)
