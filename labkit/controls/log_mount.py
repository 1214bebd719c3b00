"""No workload may write into its machine's folder of logs."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model
from labkit.model.workloads import mounted, pods

__all__ = ["CONTROL"]

FILE, FOLDER = "manifests/agent.yaml", "/var/log"


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return not any(
        mounted(model.environment, *pod, FOLDER).value == "writable"
        for pod in pods(model.environment)
    )


CONTROL = Control(
    name="log-mount",
    title="No workload may write into its machine's folder of logs",
    why="Who collects logs reads them; a link that is put there is followed by whoever else does.",
    on=lambda: (as_in("hardened", FILE),),
    off=lambda: (as_in("insecure", FILE),),
    holds=holds,
    changes="what the pod monitoring/agent is given of its machine",
    stops=("kubelet-log-symlink",),
    references=(
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
        "Kubernetes documentation: Volumes, hostPath",
    ),
)
