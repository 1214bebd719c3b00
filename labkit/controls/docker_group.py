"""The docker socket's group has no members."""

from __future__ import annotations

from labkit.cluster.edits import Option, Whole
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.file_access import is_member, ordinary_users

__all__ = ["CONTROL"]

ACCOUNTS = "/etc/sysusers.d/docker.conf"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    sockets = model.open_channels("local-users@* -> dockerd@*")
    groups = {c.client_authentication.detail.rpartition(":")[2] for c in sockets}
    env = model.environment
    return not any(
        is_member(env, node, user, group) is not False
        for node in env.nodes
        if node.role == "worker"
        for user in ordinary_users(env, node)
        for group in groups
    )


CONTROL = Control(
    name="docker-group",
    title="The docker socket's group has no members",
    why="dockerd has one permission, everything: its group is root by another name.",
    on=(Whole("worker", ACCOUNTS, "g docker -\n"),),
    off=(
        Whole("worker", ACCOUNTS, "g docker -\nm bob docker\n"),
        Option("worker", "docker.socket", "SocketGroup", "docker"),
        Option("worker", "docker.socket", "SocketMode", "0660"),
    ),
    holds=holds,
    changes="who has access by file mode to local-users@* -> dockerd@*:/run/docker.sock",
    stops=("docker-group",),
    references=("CIS Docker Benchmark 1.1.2", "Docker documentation: Docker security"),
)
