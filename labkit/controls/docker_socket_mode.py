"""The docker socket is root's, and its group's."""

from __future__ import annotations

from labkit.cluster.edits import Option
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether it is in place."""
    return all(
        channel.client_authentication.value == "file-mode"
        for channel in model.open_channels("local-users@* -> dockerd@*")
    )


CONTROL = Control(
    name="docker-socket-mode",
    title="The docker socket is root's, and its group's",
    why="A socket of mode 0666 makes everybody with an account root.",
    on=(Option("worker", "docker.socket", "SocketMode", "0660"),),
    off=(Option("worker", "docker.socket", "SocketMode", "0666"),),
    holds=holds,
    changes="client_authentication of local-users@* -> dockerd@*:/run/docker.sock",
    stops=("docker-socket",),
    references=("CIS Docker Benchmark 3.16",),
)
