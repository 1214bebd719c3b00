"""Read a secret with the certificate of kube-proxy, which needs no secrets.

Every worker has such a certificate, and kube-proxy only reads services and endpoints. The
attacker needs root on a worker, or a copy of the certificate. They ask the apiserver for the
database password. An authorizer that gives kube-proxy only the rights that it needs stops it.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_services
from labkit.techniques._lib.api.requests import DATABASE, read_secret
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "proxy-reads-secrets",
    "Read a secret with a kube-proxy's certificate",
    StolenCertificate("kube-proxy", "worker1's kube-proxy", own_services),
    read_secret(*DATABASE),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
)
