"""Become root on a worker as a member of the socket's group.

docker has no permissions below everything: its group is root by another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.model.listener import socket_group
from labkit.techniques._lib.stores.docker import SOCKET, become_root
from labkit.techniques._lib.technique import ROOT_ON_WORKER, USER_ON_WORKER, Prediction, Technique
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "local-users@worker1 -> dockerd@worker1:/run/docker.sock"
PERSON = "bob"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whether the socket has a group, and bob is in it."""
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(CHANNEL)))
    claim = found[0].client_authentication
    if claim.value == "none":
        return Prediction(True, (str(claim),))
    group = socket_group(model.environment, "worker1", claim)
    member = next((member for member in group if member.member == PERSON), None)
    if member is None:
        return Prediction(False, (str(claim),))
    return Prediction(True, (str(claim), str(member.source)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, as somebody in the group."""
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
)
