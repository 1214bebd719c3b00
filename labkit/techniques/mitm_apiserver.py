"""Be the apiserver for what runs on another worker, its kubelet and its kube-proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


def call(lab: Lab) -> None:
    """Let worker2's kube-proxy start anew: it calls at once; an attacker would wait.

    One that was cut off before waits ever longer until it tries again.
    """
    lab.exec("worker2", ["systemctl", "restart", "kube-proxy"])


def positive_control(lab: Lab) -> str:
    """Show that worker2 is in touch with the true apiserver when nobody is in the way."""
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
    ),
    stride=("spoofing", "tampering", "information disclosure"),
    sources=(
        "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
    ),
)
