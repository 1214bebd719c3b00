"""No workload can write to its machine's log folder."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.workloads import mounted, pods

__all__ = ["CONTROL"]

FILE, FOLDER = "manifests/agent.yaml", "/var/log"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not any(
        mounted(model.environment, *pod, FOLDER).value == "writable"
        for pod in pods(model.environment)
    )


CONTROL = Control(
    name="log-mount",
    title="No workload can write to its machine's log folder",
    why="A log collector only reads; the kubelet, which serves logs, would follow a planted link.",
    on=lambda: (file_from("hardened", FILE),),
    off=lambda: (file_from("insecure", FILE),),
    holds=holds,
    changes="the host paths of the pod monitoring/agent",
    stops=("kubelet-log-symlink",),
    references=(
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
        "Kubernetes documentation: Volumes, hostPath",
    ),
)
