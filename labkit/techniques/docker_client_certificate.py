"""Become root on a worker with a copied certificate of a Docker client.

The Docker Engine has no permissions: each accepted client can start a container that mounts the
machine's files. The attacker needs a copy of a client's certificate and key. With it, they are
root on every worker whose dockerd trusts the same CA. No control stops it while the remote port
is open, as in ``hardened``: it is a risk that remains. Guard the key, or close the remote port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.cluster import Credential, Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.api.component_credential import copied_credential
from labkit.techniques._lib.stores.docker import WORKER, become_root, listens_on
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    any_of,
    holds,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

HOLDER = ("docker-client", "master")
PORT = 2376
CHANNELS = f"* -> dockerd@{WORKER}:{PORT}"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether dockerd listens with TLS and trusts the CA of the client's certificate."""
    found = [c for c in model.open_channels(CHANNELS) if c.protocol == "https"]
    if not found:
        said = (f"{what}: {value}: {where}" for what, value, where in listens_on(model.environment))
        return Prediction(False, tuple(said))
    claim = found[0].client_authentication
    trusted = model.environment.component(f"dockerd@{WORKER}").setting("tlscacert")
    signer = _client_credential(model.environment).signed_by
    known = trusted.value in {
        a.certificate for a in model.environment.authorities if a.name == signer
    }
    opened = any_of(holds(claim, "none"), Prediction(known))
    return Prediction(opened.succeeds, (str(claim), str(trusted.source)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, with the copied certificate."""
    host = f"tcp://{WORKER}:{PORT}"
    with copied_credential(lab, foothold, _client_credential(lab.environment)) as pair:
        return become_root(lab, TECHNIQUE.name, foothold, host, tls=pair)


def _client_credential(env: Environment) -> Credential:
    credential = env.credential(*HOLDER)
    if credential is None:
        raise ProbeError("the environment has no certificate for a Docker client")
    return credential


TECHNIQUE = Technique(
    name="docker-client-certificate",
    title="Become root on a worker with a docker client's certificate",
    footholds=(COPIED_CREDENTIAL,),
    grants=(ROOT_ON_WORKER,),
    about="",
    properties=(),
    attack=("T1552.004", "T1078", "T1610", "T1611"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-250",),
    sources=(
        "Securing communications in Kubernetes (2016), Securing the Docker endpoint",
        "https://docs.docker.com/engine/security/protect-access/",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file", "container"),
    settings=listens_on,
)
