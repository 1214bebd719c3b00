"""Read a secret with the certificate of the controller manager, which may read every secret.

The attacker needs a copy of the certificate and its key, for example from a backup of the master.
The controller manager watches all kinds of objects, so the policies of both environments let it
read secrets. Separate service accounts for the controllers do not change this, because the
manager still creates their tokens. No setting stops it: the key has to stay secret.
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
