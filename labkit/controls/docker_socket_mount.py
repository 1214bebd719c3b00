"""No workload is given the docker socket of its machine."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import as_in
from labkit.model import Model
from labkit.model.workloads import mounted, pods

__all__ = ["CONTROL"]

FILE, SOCKET = "manifests/builder.yaml", "/run/docker.sock"


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return all(
        mounted(model.environment, *pod, SOCKET).value == "none" for pod in pods(model.environment)
    )


CONTROL = Control(
    name="docker-socket-mount",
    title="No workload is given the docker socket of its machine",
    why="A socket is called, not written to: a read-only mount lets a pod command the machine.",
    on=lambda: (as_in("hardened", FILE),),
    off=lambda: (as_in("insecure", FILE),),
    holds=holds,
    changes="who stands at local-users@* -> dockerd@*:/run/docker.sock",
    stops=("docker-socket-in-pod",),
    references=(
        "CIS Docker Benchmark 5.32",
        "CIS Kubernetes Benchmark 5.2 (Pod Security Standards)",
    ),
)
