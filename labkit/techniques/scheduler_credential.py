"""Read a secret with the certificate of the scheduler, which needs no secrets.

The attacker needs a copy of the certificate and its key. These lie on the master, in its backups,
and in the configuration management that creates them. They ask the apiserver for the database
password. An authorizer that gives the scheduler only the rights that it needs stops it.
"""

from __future__ import annotations

from labkit.techniques._lib.api.component_credential import MASTER
from labkit.techniques._lib.api.positive_controls import reads
from labkit.techniques._lib.api.requests import DATABASE, read_secret
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "scheduler-credential",
    "Read a secret with the scheduler's certificate",
    StolenCertificate(
        "kube-scheduler",
        "the scheduler",
        reads("pods", "/api/v1/pods?limit=1", "scheduler"),
        MASTER,
    ),
    read_secret(*DATABASE),
    footholds=(COPIED_CREDENTIAL,),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
)
