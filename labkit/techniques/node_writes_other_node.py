"""Change the object of another node with the certificate of a kubelet.

The labels and taints of a node decide which pods the scheduler sends there. An attacker who
changes those of other nodes draws pods and their secrets to a node of their choice. They need the
certificate of a kubelet: root on the worker, or a copy. The Node authorizer lets each kubelet
write nodes; the admission plugin NodeRestriction lets it write only its own, which stops it.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_node
from labkit.techniques._lib.api.requests import OTHER, label_node
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "node-writes-other-node",
    "Change another node with a kubelet's certificate",
    StolenCertificate("kubelet", "worker1's kubelet", own_node),
    label_node(OTHER),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction",
        "https://attack.mitre.org/techniques/T1098/",
    ),
)
