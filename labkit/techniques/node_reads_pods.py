"""Read what runs on another worker, with the worker's own kubelet's certificate.

A pod says which image it runs, with which arguments and variables, by which account and on
which address: it is the map of what to attack next. The Node authorizer lets a kubelet list
the pods that are bound to its own node, if it asks for just them (feature gate
AuthorizeNodeWithSelectors). ABAC and RBAC know no selectors: who may read pods reads all.
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
