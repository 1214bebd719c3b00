"""Create a pod on another worker with the certificate of kube-proxy.

Every worker has such a certificate, and kube-proxy only reads services and endpoints. The
attacker needs root on a worker, or a copy of the certificate. They create a pod that is bound to
another node. NodeRestriction limits only kubelets, so the authorizer has to stop it: kube-proxy
gets only the rights that it needs.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_services
from labkit.techniques._lib.api.requests import OTHER, create_pod
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "proxy-creates-pods",
    "Create a pod on another node with a kube-proxy's certificate",
    StolenCertificate("kube-proxy", "worker1's kube-proxy", own_services),
    create_pod(OTHER),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles",
        "https://attack.mitre.org/techniques/T1610/",
    ),
)
