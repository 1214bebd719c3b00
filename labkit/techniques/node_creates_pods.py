"""Create a pod on another worker, with the worker's own kubelet's certificate.

The Node authorizer lets every kubelet create pods, so that it can show those that it runs from
files; it is the admission plugin NodeRestriction that takes nothing else, and of its own node.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_mirror_pod
from labkit.techniques._lib.api.requests import OTHER, create_pod
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "node-creates-pods",
    "Create a pod on another node with a kubelet's certificate",
    StolenCertificate("kubelet", "worker1's kubelet", own_mirror_pod),
    create_pod(OTHER),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction",
        "https://attack.mitre.org/techniques/T1610/",
    ),
)
