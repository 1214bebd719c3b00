"""Read a secret with the certificate of the controller manager, which may read all of them.

That the controllers act by service accounts of their own takes nothing from the manager: it
makes their tokens and watches every kind of object for all of them, so RBAC lets it.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.techniques._lib.api.component_credential import MASTER
from labkit.techniques._lib.api.controllers import KIND, own_accounts, own_work
from labkit.techniques._lib.api.requests import CARD, read_secret
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "controller-manager-credential",
    "Read a secret with the controller manager's certificate",
    StolenCertificate(KIND, "the controller manager", own_work, MASTER),
    replace(read_secret(*CARD), cwe=("CWE-250", "CWE-269")),
    footholds=(COPIED_CREDENTIAL,),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    settings=lambda env: [own_accounts(env)],
)
