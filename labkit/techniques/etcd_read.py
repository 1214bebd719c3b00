"""Read a secret out of etcd, from the cluster network and without any credential."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.techniques._base import NETWORK, Technique, Verdict
from labkit.techniques._etcd import as_apiserver, ask, client_channel, decode
from labkit.techniques._secret import sample, true_secret

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE", "read"]

WANTED = ("shop", "db-credentials", "password")
KEY = "/registry/secrets/shop/db-credentials"


def read(lab: Lab) -> Verdict:
    """Ask etcd for a secret.

    Returns
    -------
    Verdict
        Refused as well where etcd answers with a ciphertext.

    Raises
    ------
    ProbeTimeout
        etcd did not answer.
    ProbeError
        It answered with something that says nothing.
    """
    secret = true_secret(lab, *WANTED)
    server = client_channel(lab).server
    answer = ask(lab, "range", KEY)
    details = {}
    evidence = [f"asked {server} for {KEY}, without a credential"]
    control = ""
    if not answer.refusal:
        value = b"".join(decode(answer))
        details["sample"] = sample(f"what {server} answers", value, secret)
        if secret.found_in(value):
            evidence.append(f"read: {secret.proof}")
            reason = f"HTTP {answer.status}, {server.split('@')[0]} asks nobody who calls"
            return Verdict(
                TECHNIQUE.name, lab.mode, NETWORK, True, reason, tuple(evidence), "", details
            )
        if not value.startswith(b"k8s:enc:"):
            raise ProbeError(f"{server} answered, but not with {secret}")
    reason = answer.refusal or "the value is a ciphertext"
    count = as_apiserver(lab, "get", KEY, "--keys-only").split()
    if count != [KEY]:
        raise ProbeError(f"{server} refused, but the apiserver does not get {KEY} from it either")
    control = "with the apiserver's certificate, the same machine gives the key"
    return Verdict(
        TECHNIQUE.name, lab.mode, NETWORK, False, reason, tuple(evidence), control, details
    )


TECHNIQUE = Technique(
    name="etcd-read",
    title="Read a secret out of etcd",
    foothold=NETWORK,
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
    run=read,
)
