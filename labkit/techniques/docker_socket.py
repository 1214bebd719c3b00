"""Become root on a worker through a Docker socket that every user can open.

The attacker needs an ordinary user account on the worker. If the mode of the socket lets
everybody write, they can start a container that mounts the machine's files. They read
``/etc/shadow``, which only root can read. A mode that admits only root and the socket's group
stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.techniques._lib.machines.reach import PERSON
from labkit.techniques._lib.stores.docker import SOCKET, become_root, opens_socket
from labkit.techniques._lib.technique import ROOT_ON_WORKER, USER_ON_WORKER, Prediction, Technique
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "local-users@worker1 -> dockerd@worker1:/run/docker.sock"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the mode of the socket admits an ordinary user."""
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(CHANNEL)))
    return opens_socket(model, "worker1", found[0].client_authentication, PERSON)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, as an ordinary user."""
    return become_root(lab, TECHNIQUE.name, foothold, f"unix://{SOCKET}")


TECHNIQUE = Technique(
    name="docker-socket",
    title="Become root on a worker through a docker socket that is open to all",
    footholds=(USER_ON_WORKER,),
    grants=(ROOT_ON_WORKER,),
    about="local-users@worker1 -> dockerd@worker1:/run/docker.sock",
    properties=("client_authentication",),
    attack=("T1610", "T1611", "T1068"),
    stride=("elevation of privilege",),
    cwe=("CWE-276", "CWE-732"),
    sources=(
        "Securing communications in Kubernetes (2016), Securing the Docker endpoint",
        "https://docs.docker.com/engine/security/",
        "https://attack.mitre.org/techniques/T1610/",
    ),
    predict=predict,
    execute=execute,
    leaves=("container",),
)
