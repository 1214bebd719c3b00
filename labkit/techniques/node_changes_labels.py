"""Give the worker's own node a label that only an administrator should set.

Labels below ``node-restriction.kubernetes.io/`` mark nodes that are trusted with certain pods.
The attacker needs the certificate of a kubelet: root on the worker, or a copy. They set such a
label on its node, and the scheduler then sends the marked pods and their secrets there. The
admission plugin NodeRestriction refuses these labels, which stops it.
"""

from __future__ import annotations

from labkit.techniques._lib.api.component_credential import WORKER
from labkit.techniques._lib.api.positive_controls import own_label
from labkit.techniques._lib.api.requests import label_node
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

PROTECTED = "node-restriction.kubernetes.io/labkit-attack"

TECHNIQUE = technique(
    "node-changes-labels",
    "Give the worker's own node a protected label",
    StolenCertificate("kubelet", "worker1's kubelet", own_label),
    label_node(WORKER, PROTECTED),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-isolation-restriction",
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction",
        "https://attack.mitre.org/techniques/T1098/",
    ),
)
