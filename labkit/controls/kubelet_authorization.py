"""The kubelet asks the apiserver what a caller may do."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

CONFIG = "/etc/kubernetes/kubelet.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        component.setting("authorization.mode").value == "Webhook"
        for component in model.environment.components
        if component.kind == "kubelet"
    )


CONTROL = Control(
    name="kubelet-authorization",
    title="The kubelet asks the apiserver what a caller may do",
    why="An authenticated caller is not automatically authorized: one kubelet may not command "
    "another. It helps only if the apiserver's own authorization is strict.",
    on=(
        Key("worker", CONFIG, "authorization.mode", "Webhook"),
        Key("worker", CONFIG, "authentication.webhook.enabled", True),
    ),
    off=(Key("worker", CONFIG, "authorization.mode", "AlwaysAllow"),),
    holds=holds,
    changes="authorization of * -> kubelet@*:10250",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 4.2.2",
        "Kubernetes documentation: Kubelet authentication/authorization",
    ),
)
