"""Become root on a worker through the plaintext TCP port of dockerd.

The attacker needs a connection to port 2375 of the worker. The port has no TLS and asks for no
certificate. They start a container that mounts the machine's files and read what only root can
read. It stops if dockerd does not listen on TCP, or if it accepts only clients with a
certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.techniques._lib.api.ask import first_refusal
from labkit.techniques._lib.stores.docker import become_root
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    ROOT_ON_WORKER,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "anyone@network -> dockerd@worker1:2375"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether dockerd listens on TCP and accepts callers without a certificate."""
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(CHANNEL)))
    return first_refusal((found[0].client_authentication, ("none",)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, without a credential."""
    return become_root(lab, TECHNIQUE.name, foothold, "tcp://worker1:2375")


TECHNIQUE = Technique(
    name="docker-tcp",
    title="Become root on a worker through dockerd's TCP port",
    footholds=(NETWORK, POD, USER_ON_MASTER, USER_ON_WORKER),
    grants=(ROOT_ON_WORKER,),
    about="anyone@network -> dockerd@worker1:*",
    properties=("encryption", "client_authentication"),
    attack=("T1610", "T1611"),
    stride=("elevation of privilege",),
    cwe=("CWE-306",),
    sources=(
        "Securing communications in Kubernetes (2016), Securing the Docker endpoint",
        "https://docs.docker.com/engine/security/protect-access/",
        "https://attack.mitre.org/techniques/T1610/",
    ),
    predict=predict,
    execute=execute,
    leaves=("container",),
)
