"""Default service accounts are bound to no role."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Whole
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.rights import default_bindings

__all__ = ["CONTROL"]

FILE = "manifests/default-account.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not default_bindings(model.environment)


CONTROL = Control(
    name="default-account-unbound",
    title="Default service accounts are bound to no role",
    why="Every pod that names no service account has the permissions of the default one.",
    on=(Whole(PLAN, FILE, None),),
    off=lambda: (file_from("insecure", FILE),),
    holds=holds,
    changes="permissions of default accounts at kube-apiserver@master:6443, if RBAC decides",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 5.1.5",
        "Kubernetes documentation: Role Based Access Control Good Practices",
    ),
)
