"""Pods that do not call the apiserver have no token."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Whole
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.workloads import account_of, pods, token_in

__all__ = ["CONTROL"]

FILE = "manifests/service-accounts.yaml"
ACCOUNT = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: default, namespace: {namespace}}}
automountServiceAccountToken: {mounted}
"""


def _accounts(mounted: str) -> str:
    spaces = ("shop", "payments")
    return "---\n".join(ACCOUNT.format(namespace=name, mounted=mounted) for name in spaces)


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not any(
        token_in(model.environment, *pod).value == "mounted"
        for pod in pods(model.environment)
        # a pod with its own account probably calls the apiserver
        if account_of(model.environment, *pod) == "default"
    )


CONTROL = Control(
    name="service-account-automount",
    title="Pods that do not call the apiserver have no token",
    why="An attacker cannot steal from a pod a token that it does not have.",
    on=(Whole(PLAN, FILE, _accounts("false")),),
    off=(Whole(PLAN, FILE, _accounts("true")),),
    holds=holds,
    changes="whether the pods carry a credential for * -> kube-apiserver@master:6443",
    stops=("pod-token",),
    references=(
        "CIS Kubernetes Benchmark 5.1.5, 5.1.6",
        "Kubernetes documentation: Configure Service Accounts for Pods",
    ),
)
