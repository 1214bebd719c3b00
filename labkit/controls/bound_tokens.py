"""No Secret holds a service account token."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Whole
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.workloads import endless_tokens

__all__ = ["CONTROL"]

FILE = "manifests/reporter-token.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not endless_tokens(model.environment)


CONTROL = Control(
    name="bound-tokens",
    title="No Secret holds a service account token",
    why="A bound token, which the kubelet requests, expires within an hour and with its pod.",
    on=(Whole(PLAN, FILE, None),),
    off=lambda: (file_from("insecure", FILE),),
    holds=holds,
    changes="the credential on * -> kube-apiserver@master:6443, and how long it is valid",
    stops=("long-lived-token",),
    references=(
        "NSA/CISA Kubernetes Hardening Guide, Authentication and authorization",
        "Kubernetes documentation: Managing Service Accounts, Bound service account tokens",
    ),
)
