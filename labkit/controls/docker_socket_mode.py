"""Only root and the socket's group can use the docker socket."""

from __future__ import annotations

from labkit.cluster.edits import Option
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        channel.client_authentication.value == "file-mode"
        for channel in model.open_channels("local-users@* -> dockerd@*")
    )


CONTROL = Control(
    name="docker-socket-mode",
    title="Only root and the socket's group can use the docker socket",
    why="A socket of mode 0666 makes every account root.",
    on=(Option("worker", "docker.socket", "SocketMode", "0660"),),
    off=(Option("worker", "docker.socket", "SocketMode", "0666"),),
    holds=holds,
    changes="client_authentication of local-users@* -> dockerd@*:/run/docker.sock",
    stops=("docker-socket",),
    references=("CIS Docker Benchmark 3.16",),
)
