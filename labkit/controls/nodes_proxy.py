"""A monitoring agent may read only the kubelets' metrics."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model

__all__ = ["CONTROL"]

FILE = "manifests/agent-rights.yaml"
GIVEN = frozenset({"nodes/proxy", "nodes/log", "nodes/*", "*"})


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not any(
        GIVEN & set(rule.resources) for role in model.environment.rbac.roles for rule in role.rules
    )


CONTROL = Control(
    name="nodes-proxy",
    title="A monitoring agent may read only the kubelets' metrics",
    why="GET on nodes/proxy runs commands in every container: a WebSocket begins as a GET.",
    on=lambda: (file_from("hardened", FILE),),
    off=lambda: (file_from("insecure", FILE),),
    holds=holds,
    changes="permissions of monitoring/agent's token at * -> kubelet@*:10250",
    stops=(),
    references=(
        "Kubernetes documentation: Kubelet authentication/authorization",
        "Kubernetes documentation: RBAC Good Practices, access to proxy subresource of nodes",
    ),
)
