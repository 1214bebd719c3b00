"""No TCP port of dockerd is open."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import View

__all__ = ["CONTROL"]


def holds(view: View) -> bool:
    """Say whether it is in place."""
    return not view.channels("anyone@network -> dockerd@*")


CONTROL = Control(
    name="docker-tcp",
    title="No TCP port of dockerd is open",
    why="Only the kubelet's machine needs its dockerd, and there is a socket for that.",
    on=(Flag("worker", "docker.service", "host", "fd://"),),
    off=(
        Flag("worker", "docker.service", "host", ("fd://", "tcp://0.0.0.0:2375")),
        Flag("worker", "docker.service", "tls", "false"),
    ),
    holds=holds,
    changes="anyone@network -> dockerd@*:2375 is closed",
    stops=("docker-tcp",),
    references=(
        "CIS Docker Benchmark 2.7",
        "Docker documentation: Protect the Docker daemon socket",
    ),
)
