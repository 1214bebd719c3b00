"""A monitoring agent may read the kubelets' metrics, and nothing else of theirs."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model

__all__ = ["CONTROL"]

FILE = "manifests/agent-rights.yaml"
GIVEN = frozenset({"nodes/proxy", "nodes/log", "nodes/*", "*"})


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return not any(
        GIVEN & set(rule.resources) for role in model.environment.rbac.roles for rule in role.rules
    )


CONTROL = Control(
    name="nodes-proxy",
    title="A monitoring agent may read the kubelets' metrics, and nothing else of theirs",
    why="To get nodes/proxy is to run commands in every container: a WebSocket begins as a GET.",
    on=lambda: (as_in("hardened", FILE),),
    off=lambda: (as_in("insecure", FILE),),
    holds=holds,
    changes="what the token of monitoring/agent may do at * -> kubelet@*:10250",
    stops=(),
    references=(
        "Kubernetes documentation: Kubelet authentication/authorization",
        "Kubernetes documentation: RBAC Good Practices, access to proxy subresource of nodes",
    ),
)
