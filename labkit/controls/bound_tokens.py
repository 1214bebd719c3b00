"""No token of a service account is kept in a Secret."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Whole
from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model
from labkit.model.workloads import endless_tokens

__all__ = ["CONTROL"]

FILE = "manifests/reporter-token.yaml"


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return not endless_tokens(model.environment)


CONTROL = Control(
    name="bound-tokens",
    title="No token of a service account is kept in a Secret",
    why="A token that the kubelet asks for ends within the hour, and with its pod.",
    on=(Whole(PLAN, FILE, None),),
    off=lambda: (as_in("insecure", FILE),),
    holds=holds,
    changes="what proves an identity on * -> kube-apiserver@master:6443, and for how long",
    stops=("long-lived-token",),
    references=(
        "NSA/CISA Kubernetes Hardening Guide, Authentication and authorization",
        "Kubernetes documentation: Managing Service Accounts, Bound service account tokens",
    ),
)
