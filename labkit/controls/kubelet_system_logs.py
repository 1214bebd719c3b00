"""The kubelet does not serve the machine's logs."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.cluster.syntax.source import is_true
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

CONFIG, HANDLER = "/etc/kubernetes/kubelet.yaml", "enableSystemLogHandler"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    kubelets = (c for c in model.environment.components if c.kind == "kubelet")
    return not any(is_true(kubelet.setting(HANDLER).value) for kubelet in kubelets)


CONTROL = Control(
    name="kubelet-system-logs",
    title="The kubelet does not serve the machine's logs",
    why="It serves /var/log as root and follows links: a writer there can read every file.",
    on=(Key("worker", CONFIG, HANDLER, False),),
    off=(Key("worker", CONFIG, HANDLER, True),),
    holds=holds,
    changes="the paths behind kube-apiserver@* -> kubelet@*:10250, not who may request them",
    stops=("kubelet-log-symlink",),
    references=("Kubernetes documentation: Kubelet Configuration (v1beta1)",),
)
