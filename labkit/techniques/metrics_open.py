"""Learn what runs in the cluster from a Prometheus that answers everybody.

Prometheus' API has no authentication unless a web configuration demands one, and its labels carry
names: of nodes, namespaces, pods and containers. The attacker needs a foothold on the cluster
network, and asks for the names of all pods, which the apiserver would not tell them. A server that
listens on loopback only stops it, or TLS with client certificates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.api.ask import first_refusal, url_of
from labkit.techniques._lib.machines.reach import Answer, request, run
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.journal import COLLECTOR, MODES
from labkit.techniques._lib.technique import NETWORK, Prediction, Technique, any_of
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "anyone@network -> prometheus@*"
#: Where it serves if nothing says otherwise.
PORT = 9090
NAMES = "/api/v1/label/pod/values"
#: A pod of every lab, which a scrape of its kubelet names.
POD = "web"
#: Seconds until two rounds of scrapes are over.
PATIENCE = 40.0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether Prometheus answers everybody on the network."""
    found = model.open_channels(CHANNEL)
    if not found:
        closed = tuple(str(it.encryption) for it in model.closed_channels(CHANNEL))
        return Prediction(False, closed or (f"the model has no channel {CHANNEL}",))
    return any_of(
        *(
            first_refusal((it.client_authentication, ("none",)), (it.authorization, ("allow-all",)))
            for it in found
        )
    )


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask Prometheus for the names of all pods.

    Raises
    ------
    ProbeTimeout
        Prometheus knows no pod.
    ProbeError
        The answer is neither names nor a known refusal.
    """
    found = read_model(lab.environment).open_channels(CHANNEL)
    url = url_of(found[0], NAMES) if found else f"http://{COLLECTOR}:{PORT}{NAMES}"
    asked = "asked Prometheus for the names of all pods"

    def look() -> Answer | None:
        answer = request(lab, url, foothold=foothold)
        return answer if answer.refusal or POD in _names(answer.body) else None

    answer = wait_for(lab, look, PATIENCE, f"Prometheus does not know the pod {POD}")
    if not answer.refusal:
        evidence = (asked, "read: the names of the cluster's pods")
        reason = f"HTTP {answer.status}"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
    if answer.refusal not in ("connection refused", "HTTP 401"):
        raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
    wait_for(lab, lambda: _known_there(lab), PATIENCE, f"Prometheus does not know the pod {POD}")
    control = "a user of its own machine gets the names"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, (asked,), control)


def _known_there(lab: Lab) -> bool:
    url = f"http://127.0.0.1:{PORT}{NAMES}"
    argv = ["curl", "--silent", "--noproxy", "*", "--max-time", "5", url]
    return POD in _names(run(lab, COLLECTOR, argv).stdout)


def _names(body: bytes) -> list[str]:
    """Return the values of a label in an answer of Prometheus; none if it has another form."""
    try:
        found = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError):
        return []
    return [str(it) for it in found] if isinstance(found, list) else []


TECHNIQUE = Technique(
    name="metrics-open",
    title="Learn the names of pods from an open Prometheus",
    footholds=(NETWORK,),
    grants=(),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1613",),
    stride=("information disclosure",),
    cwe=("CWE-306",),
    sources=(
        "https://prometheus.io/docs/operating/security/",
        "https://attack.mitre.org/techniques/T1613/",
    ),
    predict=predict,
    execute=execute,
    machines=(COLLECTOR,),
    modes=MODES,
)
