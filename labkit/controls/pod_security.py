"""Only namespaces labelled privileged accept pods with host paths."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.pod_security import host_paths

__all__ = ["CONTROL"]

APISERVER, FLAG = "kube-apiserver.service", "admission-control-config-file"
FILE = "/etc/kubernetes/admission.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    apiservers = [c for c in model.environment.components if c.kind == "kube-apiserver"]
    return all(host_paths(model.environment, it, "default").value == "refused" for it in apiservers)


CONTROL = Control(
    name="pod-security",
    title="Only namespaces labelled privileged accept pods with host paths",
    why="Without admission, the creator of a pod chooses its access to the machine. It helps only "
    "if few callers may label namespaces.",
    on=lambda: (file_from("hardened", FILE, "master"), Flag("master", APISERVER, FLAG, FILE)),
    off=(Flag("master", APISERVER, FLAG, None),),
    holds=holds,
    changes="what callers who may create pods may put into them",
    stops=("host-path-pod",),
    references=(
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
        "Kubernetes documentation: Pod Security Admission, Pod Security Standards",
    ),
)
