"""Read a secret that no pod of the worker uses, with the worker's own kubelet's certificate.

Whoever breaks out of a container to root on a worker has it. The Node authorizer gives a
kubelet the secrets of the pods that are bound to its node, by name, and nothing else: the pod
that uses this one runs on worker2.
"""

from __future__ import annotations

from labkit.techniques._lib.api.positive_controls import own_node
from labkit.techniques._lib.api.requests import CARD, read_secret
from labkit.techniques._lib.api.stolen_certificate import StolenCertificate, technique
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, ROOT_ON_WORKER

__all__ = ["TECHNIQUE"]

TECHNIQUE = technique(
    "node-reads-secrets",
    "Read another node's secret with a kubelet's certificate",
    StolenCertificate("kubelet", "worker1's kubelet", own_node),
    read_secret(*CARD),
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/node/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
)
