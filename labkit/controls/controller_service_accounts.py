"""Each controller uses its own service account."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Flag, Whole
from labkit.cluster.syntax.source import is_true
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT, FLAG = "kube-controller-manager.service", "use-service-account-credentials"
FILE = "manifests/controller-manager.yaml"
#: Without the control, an operator adds this: the manager's role does not cover its controllers.
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "labkit:controller-manager"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:kube-controller-manager"}
"""


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    managers = [c for c in model.environment.components if c.kind == "kube-controller-manager"]
    return all(is_true(manager.setting(FLAG).value) for manager in managers)


CONTROL = Control(
    name="controller-service-accounts",
    title="Each controller uses its own service account",
    why="A compromised controller has only its own permissions. The manager's certificate keeps "
    "its power: it can request the tokens of all controllers.",
    on=(Flag("master", UNIT, FLAG, "true"), Whole(PLAN, FILE, None)),
    off=(Flag("master", UNIT, FLAG, "false"), Whole(PLAN, FILE, BINDING)),
    holds=holds,
    changes="the identity of the controllers at kube-apiserver@master:6443",
    stops=(),
    references=(
        "CIS Kubernetes Benchmark 1.3.3",
        "Kubernetes documentation: Using RBAC Authorization, Controller roles",
    ),
)
