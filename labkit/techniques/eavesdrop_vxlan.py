"""Read what one pod says to another on a different worker: VXLAN wraps it, and hides nothing.

No setting of the two environments changes that. What would: a backend that encrypts
(WireGuard), or applications that use TLS among themselves. It is a risk that remains.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.credentials import overlay
from labkit.techniques._lib.machines.admin import read
from labkit.techniques._lib.technique import NETWORK, ROOT_ON_WORKER, Prediction, Technique
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire.capture import between, capture
from labkit.techniques._lib.wire.eavesdropping import ATTACK, DRAIN_S, nonce

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

PORT = 8472


def backend(env: Environment) -> Setting:
    """Return how flannel carries the pods' packets."""
    claim = overlay(env)
    return ("overlay network", claim.detail, str(claim.source))


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whether the overlay network encrypts."""
    claim = overlay(model.environment)
    return Prediction(claim.value == "none", (str(claim),))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Let a pod of worker2 ask a pod of worker1 something, and read along."""
    said, pairs = nonce("question"), [("worker1", "worker2")]
    pod = read(lab, "/api/v1/namespaces/shop/pods/web")
    url = f"http://{pod['status']['podIP']}:8080/?{said.value.decode()}"
    ask = ("exec", "--namespace=payments", "card-processor", "--", "wget", "-q", "-O-", url)
    with capture(lab, foothold, pairs, between(lab, pairs, f"udp port {PORT}")) as stop:
        if lab.kubectl(*ask).text.strip() != "shop":
            raise ProbeError("the pod shop/web does not answer the pod payments/card-processor")
        time.sleep(DRAIN_S)
        pcap = stop()
    if not said.found_in(pcap):
        raise ProbeTimeout(f"{lab.mode}: what the pods said was not captured")
    evidence = (
        "captured: VXLAN between worker1 and worker2",
        "read: what payments/card-processor asked shop/web",
    )
    reason = "VXLAN carries the pods' packets as they are"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)


TECHNIQUE = Technique(
    name="eavesdrop-vxlan",
    title="Read what pods say to each other across workers",
    footholds=(NETWORK, ROOT_ON_WORKER),
    grants=(),
    about="",
    properties=(),
    attack=ATTACK,
    stride=("information disclosure",),
    cwe=("CWE-319",),
    sources=(
        "Securing communications in Kubernetes (2016), Eavesdropping",
        "https://github.com/flannel-io/flannel/blob/master/Documentation/backends.md",
    ),
    predict=predict,
    execute=execute,
    settings=lambda env: [backend(env)],
)
