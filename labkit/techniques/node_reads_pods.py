"""List the pods of another worker with the certificate of a kubelet.

A pod's definition names its image, arguments, environment variables, service account and address,
so it shows what to attack next. The attacker needs the certificate of a kubelet: root on the
worker, or a copy. The Node authorizer lets a kubelet list only the pods of its own node (feature
gate AuthorizeNodeWithSelectors), which stops it. ABAC and RBAC cannot restrict a list by node: a
caller who may list pods sees all of them.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_pods
from labkit.techniques._lib.api.requests import OTHER, list_pods
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "node-reads-pods",
    "Read another node's pods with a kubelet's certificate",
    StolenCertificate("kubelet", "worker1's kubelet", own_pods),
    list_pods(OTHER),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/node/",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/",
        "https://attack.mitre.org/techniques/T1613/",
    ),
)
