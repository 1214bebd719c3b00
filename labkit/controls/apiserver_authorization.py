"""The apiserver allows callers only what their roles permit."""

from __future__ import annotations

from labkit.cluster.edits import Flag, Whole
from labkit.controls._base import Control
from labkit.controls._policy import POLICY, broad
from labkit.model import Model
from labkit.model.decision import authorizers

__all__ = ["CONTROL"]

APISERVER, CONTROLLERS = "kube-apiserver.service", "kube-controller-manager.service"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    apiservers = [c for c in model.environment.components if c.kind == "kube-apiserver"]
    kinds = [{it.kind for it in authorizers(model.environment, each)} for each in apiservers]
    return all("RBAC" in found for found in kinds) and all(
        channel.authorization.value == "enforced"
        for channel in model.open_channels("* -> kube-apiserver@*")
    )


CONTROL = Control(
    name="apiserver-authorization",
    title="The apiserver allows callers only what their roles permit",
    why="Node and RBAC give each caller its own role; a broad ABAC policy allows everything.",
    on=(
        Flag("master", APISERVER, "authorization-mode", "Node,RBAC"),
        Flag("master", APISERVER, "authorization-policy-file", None),
        # the roles are bound to the controllers' service accounts, not to the manager
        Flag("master", CONTROLLERS, "use-service-account-credentials", "true"),
    ),
    off=(
        Flag("master", APISERVER, "authorization-mode", "ABAC"),
        Flag("master", APISERVER, "authorization-policy-file", POLICY),
        Whole("master", POLICY, broad()),
    ),
    holds=holds,
    changes="authorization of * -> kube-apiserver@master:6443",
    stops=("apiserver-anonymous", "csr-self-approve", "impersonate", "pod-token"),
    references=(
        "CIS Kubernetes Benchmark 1.2.6, 1.2.7, 1.2.8",
        "Kubernetes documentation: Authorization, Using RBAC Authorization",
    ),
)
