"""No pod with folders of its machine gets into a namespace that is not marked for it."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model
from labkit.model.pod_security import host_paths

__all__ = ["CONTROL"]

APISERVER, FLAG = "kube-apiserver.service", "admission-control-config-file"
FILE = "/etc/kubernetes/admission.yaml"


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    apiservers = [c for c in model.environment.components if c.kind == "kube-apiserver"]
    return all(host_paths(model.environment, it, "default").value == "refused" for it in apiservers)


CONTROL = Control(
    name="pod-security",
    title="No pod with folders of its machine gets into a namespace that is not marked for it",
    why="Who may create pods decides what they get of the machine, unless admission objects. It "
    "is worth what the right to label namespaces is worth.",
    on=lambda: (as_in("hardened", FILE, "master"), Flag("master", APISERVER, FLAG, FILE)),
    off=(Flag("master", APISERVER, FLAG, None),),
    holds=holds,
    changes="what whoever may create pods may put into them",
    stops=("host-path-pod",),
    references=(
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
        "Kubernetes documentation: Pod Security Admission, Pod Security Standards",
    ),
)
