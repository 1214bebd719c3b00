"""The kubelet refuses anonymous callers."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        channel.client_authentication.value == "required"
        for channel in model.open_channels("kube-apiserver@* -> kubelet@*")
    )


CONTROL = Control(
    name="kubelet-anonymous",
    title="The kubelet refuses anonymous callers",
    why="Callers of port 10250 must show a client certificate or a token.",
    on=(Key("worker", "/etc/kubernetes/kubelet.yaml", "authentication.anonymous.enabled", False),),
    off=(Key("worker", "/etc/kubernetes/kubelet.yaml", "authentication.anonymous.enabled", True),),
    holds=holds,
    changes="client_authentication of * -> kubelet@*:10250",
    stops=("kubelet-exec",),
    references=(
        "CIS Kubernetes Benchmark 4.2.1",
        "Kubernetes documentation: Kubelet authentication/authorization",
    ),
)
