"""Read the traffic between two pods on different workers; VXLAN does not encrypt it.

The attacker needs a foothold on the cluster network, where they poison the ARP caches of two
workers. VXLAN wraps the packets of the pods in UDP and leaves them readable. No setting of the
two environments changes this: it is a risk that remains. A backend that encrypts (WireGuard)
would stop it, and so would TLS between the applications.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.credentials import overlay
from labkit.techniques._lib.machines.admin import read
from labkit.techniques._lib.technique import NETWORK, ROOT_ON_WORKER, Prediction, Technique, holds
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire.capture import LEAVES, between, capture
from labkit.techniques._lib.wire.eavesdropping import ATTACK, DRAIN_S, nonce

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

PORT = 8472
WORKERS = ("worker1", "worker2")


def backend(env: Environment) -> Setting:
    """Return the backend that flannel uses to carry the pods' packets."""
    claim = overlay(env)
    return ("overlay network", claim.detail, str(claim.source))


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the backend of the overlay network encrypts."""
    return holds(overlay(model.environment), "none")


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Send a request from a pod on worker2 to a pod on worker1, and capture it."""
    said, pairs = nonce("question"), [WORKERS]
    pod = read(lab, "/api/v1/namespaces/shop/pods/web")
    url = f"http://{pod['status']['podIP']}:8080/?{said.value.decode()}"
    ask = ("exec", "--namespace=payments", "card-processor", "--", "wget", "-q", "-O-", url)
    with capture(lab, foothold, pairs, between(lab, pairs, f"udp port {PORT}")) as stop:
        if lab.kubectl(*ask).text.strip() != "shop":
            raise ProbeError("the pod shop/web does not answer the pod payments/card-processor")
        time.sleep(DRAIN_S * lab.stretch())
        pcap = stop()
    if not said.found_in(pcap):
        raise ProbeTimeout(f"{lab.mode}: the capture does not hold the pods' request")
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
    leaves=LEAVES,
    settings=lambda env: [backend(env)],
    machines=WORKERS[1:],
)
