"""Become root on a worker as a member of the group of the Docker socket.

Members of this group may send any request to dockerd, and dockerd has no permissions. The
attacker needs a user account in the group. They start a container that mounts the machine's files
and read what only root can read. An empty group stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.techniques._lib.stores.docker import SOCKET, become_root, opens_socket
from labkit.techniques._lib.technique import (
    ROOT_ON_WORKER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "local-users@worker1 -> dockerd@worker1:/run/docker.sock"
PERSON = "bob"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the socket belongs to a group that has bob as a member."""
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(CHANNEL)))
    return opens_socket(model, "worker1", found[0].client_authentication, PERSON)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, as a member of the group."""
    return become_root(lab, TECHNIQUE.name, foothold, f"unix://{SOCKET}", user=PERSON)


TECHNIQUE = Technique(
    name="docker-group",
    title="Become root on a worker as a member of the group docker",
    footholds=(USER_ON_WORKER,),
    grants=(ROOT_ON_WORKER,),
    about="local-users@worker1 -> dockerd@worker1:/run/docker.sock",
    properties=("client_authentication",),
    attack=("T1610", "T1611", "T1078.003"),
    stride=("elevation of privilege",),
    cwe=("CWE-269",),
    sources=(
        "Securing communications in Kubernetes (2016), Securing the Docker endpoint",
        "https://docs.docker.com/engine/install/linux-postinstall/",
        "https://attack.mitre.org/techniques/T1078/003/",
    ),
    predict=predict,
    execute=execute,
    leaves=("container",),
)
