"""No workload mounts the docker socket of its machine."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.workloads import mounted, pods

__all__ = ["CONTROL"]

FILE, SOCKET = "manifests/builder.yaml", "/run/docker.sock"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        mounted(model.environment, *pod, SOCKET).value == "none" for pod in pods(model.environment)
    )


CONTROL = Control(
    name="docker-socket-mount",
    title="No workload mounts the docker socket of its machine",
    why="A read-only mount does not protect a socket: the pod can still call dockerd.",
    on=lambda: (file_from("hardened", FILE),),
    off=lambda: (file_from("insecure", FILE),),
    holds=holds,
    changes="which pods reach local-users@* -> dockerd@*:/run/docker.sock",
    stops=("docker-socket-in-pod",),
    references=(
        "CIS Docker Benchmark 5.32",
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
    ),
)
