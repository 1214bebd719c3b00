"""Read a secret that no pod of the worker uses, with the certificate of its kubelet.

The attacker needs the certificate of a kubelet: root on the worker, or a copy. They ask the
apiserver for a secret that only a pod on worker2 uses. The Node authorizer gives a kubelet only
the secrets of pods that are bound to its node, which stops it. A policy that lets kubelets read
all secrets lets it pass.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.techniques._lib.api.positive_controls import own_node
from labkit.techniques._lib.api.requests import CARD, OTHER, read_secret
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "node-reads-secrets",
    "Read another node's secret with a kubelet's certificate",
    StolenCertificate("kubelet", "worker1's kubelet", own_node),
    replace(read_secret(*CARD), machines=(OTHER,)),  # where the pod is that uses the secret
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/node/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
)
