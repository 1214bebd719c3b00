"""Create a pod on another worker with the certificate of a kubelet.

A kubelet may create pods, because it reports the static pods that it runs from files as mirror
pods. The attacker needs the certificate of a kubelet: root on the worker, or a copy. They create
an ordinary pod that is bound to another node. The Node authorizer allows this; the admission
plugin NodeRestriction accepts only mirror pods of the kubelet's own node, which stops it.
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
