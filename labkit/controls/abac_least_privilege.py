"""ABAC policies allow each caller only its own work."""

from __future__ import annotations

from labkit.cluster.edits import Flag, Whole
from labkit.controls._base import Control
from labkit.controls._policy import POLICY, broad, narrow
from labkit.model import Model
from labkit.model.decision import (
    AUTHENTICATED,
    DENIED,
    EVERYTHING,
    UNAUTHENTICATED,
    decide,
    member_of,
)

__all__ = ["CONTROL"]

APISERVER, CONTROLLERS = "kube-apiserver.service", "kube-controller-manager.service"


def holds(model: Model) -> bool:
    """Say whether the control is in place; it is, if another authorizer decides."""
    apiservers = [c for c in model.environment.components if c.kind == "kube-apiserver"]
    return all(
        decide(model.environment, it, member_of(group), EVERYTHING).value == DENIED
        for it in apiservers
        for group in (AUTHENTICATED, UNAUTHENTICATED)
    )


CONTROL = Control(
    name="abac-least-privilege",
    title="ABAC policies allow each caller only its own work",
    why="It is better than a policy for everybody, and worse than Node and RBAC: ABAC cannot "
    "distinguish verbs, objects or nodes.",
    on=lambda: (
        Whole("master", POLICY, narrow()),
        # the policy has lines for the controllers' service accounts, not for the manager
        Flag("master", CONTROLLERS, "use-service-account-credentials", "true"),
    ),
    off=(
        Flag("master", APISERVER, "authorization-mode", "ABAC"),
        Flag("master", APISERVER, "authorization-policy-file", POLICY),
        Whole("master", POLICY, broad()),
    ),
    holds=holds,
    changes="authorization of * -> kube-apiserver@master:6443",
    stops=(
        "apiserver-anonymous",
        "impersonate",
        "pod-token",
        "proxy-creates-pods",
        "proxy-reads-pods",
        "proxy-reads-secrets",
        "proxy-writes-nodes",
    ),
    references=(
        "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs",
        "Kubernetes documentation: Using ABAC Authorization",
    ),
)
