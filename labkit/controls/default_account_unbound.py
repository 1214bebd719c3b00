"""Default service accounts are bound to no role."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Whole
from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model
from labkit.model.rights import default_bindings

__all__ = ["CONTROL"]

FILE = "manifests/default-account.yaml"


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return not default_bindings(model.environment)


CONTROL = Control(
    name="default-account-unbound",
    title="Default service accounts are bound to no role",
    why="Whatever a default account may do, every pod of its namespace may that names none.",
    on=(Whole(PLAN, FILE, None),),
    off=lambda: (as_in("insecure", FILE),),
    holds=holds,
    changes="what default accounts may do at kube-apiserver@master:6443, where RBAC decides",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 5.1.5",
        "Kubernetes documentation: Role Based Access Control Good Practices",
    ),
)
