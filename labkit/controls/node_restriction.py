"""A kubelet can write only its own node and its own pods."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.admission_plugins import enabled

__all__ = ["CONTROL"]

PLUGIN, APISERVER = "NodeRestriction", "kube-apiserver.service"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    apiservers = [c for c in model.environment.components if c.kind == "kube-apiserver"]
    return all(enabled(it, PLUGIN).value == "enforced" for it in apiservers)


CONTROL = Control(
    name="node-restriction",
    title="A kubelet can write only its own node and its own pods",
    why="The Node authorizer lets every kubelet write all nodes; this plugin limits it to its own.",
    on=(Flag("master", APISERVER, "enable-admission-plugins", PLUGIN),),
    off=(Flag("master", APISERVER, "enable-admission-plugins", None),),
    holds=holds,
    changes="what a kubelet's certificate may write at the apiserver",
    stops=("node-changes-labels", "node-creates-pods", "node-writes-other-node"),
    references=(
        "CIS Kubernetes Benchmark 1.2.14",
        "Kubernetes documentation: Admission Controllers, NodeRestriction",
    ),
)
