"""Change the object of a node with the certificate of kube-proxy, which only reads nodes.

Every worker has such a certificate. The attacker needs root on a worker, or a copy of the
certificate. They set a label on another node, and labels decide which pods the scheduler sends
there. NodeRestriction limits only kubelets, so the authorizer has to stop it: kube-proxy gets
only the rights that it needs.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_services
from labkit.techniques._lib.api.requests import OTHER, label_node
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "proxy-writes-nodes",
    "Change another node with a kube-proxy's certificate",
    StolenCertificate("kube-proxy", "worker1's kube-proxy", own_services),
    label_node(OTHER),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles",
        "https://attack.mitre.org/techniques/T1098/",
    ),
)
