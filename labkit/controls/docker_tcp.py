"""The Docker Engine has no plaintext TCP port."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = model.open_channels("anyone@network -> dockerd@*")
    return not any(channel.encryption.value == "none" for channel in found)


CONTROL = Control(
    name="docker-tcp",
    title="The Docker Engine has no plaintext TCP port",
    why="Every client of it is root on the machine, and an attacker on the path can eavesdrop.",
    on=(Flag("worker", "docker.service", "host", "fd://"),),
    off=(
        Flag("worker", "docker.service", "host", ("fd://", "tcp://0.0.0.0:2375")),
        # these flags apply to all ports of dockerd
        Flag("worker", "docker.service", "tlsverify", None),
        Flag("worker", "docker.service", "tls", "false"),
    ),
    holds=holds,
    changes="anyone@network -> dockerd@*:2375 is closed",
    stops=("docker-tcp", "eavesdrop-docker"),
    references=(
        "CIS Docker Benchmark 2.7",
        "Docker documentation: Protect the Docker daemon socket",
    ),
)
