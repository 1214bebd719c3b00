"""Change another node's object with the worker's own kubelet's certificate.

A node's labels and taints decide which pods come to it; whoever writes those of other nodes
draws workloads, and their secrets, to himself. The Node authorizer lets every kubelet write
nodes; it is the admission plugin NodeRestriction that holds it to its own.
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
