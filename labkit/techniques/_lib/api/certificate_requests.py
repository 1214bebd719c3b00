"""Helpers of the techniques with certificate signing requests."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit import agents
from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.admission_hooks import objection
from labkit.model.certificate_requests import APPROVAL, decide_on_request
from labkit.model.decision import ALLOWED, Action, Caller, unread_flags
from labkit.techniques._lib.api.access import apiserver_of, may_all
from labkit.techniques._lib.machines.admin import read, remove
from labkit.techniques._lib.machines.reach import execution_place, run_from
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import Prediction, all_of, holds

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "CREATE",
    "PATH",
    "SIGNER",
    "approval_of",
    "approve",
    "is_signed",
    "may_approve",
    "new_request",
    "remove_request",
    "signed_certificate",
]

GROUP = "certificates.k8s.io"
PATH = f"/apis/{GROUP}/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kube-apiserver-client"
CREATE = Action("create", "certificatesigningrequests", GROUP)
#: The controller manager's request that stores the certificate.
SIGNED = Action("update", "certificatesigningrequests/status", GROUP)
#: The name of the controller that signs, and the name that it had before Kubernetes 1.28.
SIGNING = ("certificatesigningrequest-signing-controller", "csrsigning")
#: The keys that it signs with: one for clients of the apiserver, or else one for all signers.
KEYS = ("cluster-signing-kube-apiserver-client-key-file", "cluster-signing-key-file")
#: Seconds for it to sign.
PATIENCE = 20.0
#: The shortest validity that the apiserver accepts, in seconds.
VALID_S = 600


def approve(name: str) -> Action:
    """Return the action that approves the request with a name."""
    return Action("update", "certificatesigningrequests/approval", GROUP, name=name)


@contextmanager
def new_request(
    lab: Lab, foothold: Foothold, name: str, user: str, group: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make a key at a foothold; yield its folder there, and the request for a certificate.

    Raises
    ------
    ProbeError
        openssl failed.
    """
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's own
    with leaving(lab, Trace("file", folder, execution_place(lab, foothold)[0])):
        made = run_from(lab, foothold, agents.argv("make_key", folder, user, group))
        if made.exit_code:
            raise ProbeError(f"openssl exited with {made.exit_code}")
        spec = {
            "request": base64.b64encode(made.stdout).decode(),
            "signerName": SIGNER,
            "expirationSeconds": VALID_S,
            "usages": ["client auth"],
        }
        yield folder, _object(name, spec)


def approval_of(request: dict[str, Any]) -> bytes:
    """Return the body that approves a request which was read from the apiserver."""
    condition = {"type": "Approved", "status": "True", "reason": "Labkit", "message": "by labkit"}
    return json.dumps({**request, "status": {"conditions": [condition]}}).encode()


def may_approve(model: Model, caller: Caller) -> Prediction:
    """Predict whether a caller may create a request and approve it."""
    env, apiserver = model.environment, apiserver_of(model.environment)
    found = decide_on_request(env, apiserver, caller, APPROVAL, SIGNER)
    return all_of(may_all(model, caller, [CREATE]), *(holds(it.claim, ALLOWED) for it in found))


def is_signed(env: Environment) -> Prediction:
    """Predict whether somebody signs an approved request for a client certificate.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
    https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
    (--controllers, --cluster-signing-key-file)

    Examples
    --------
    >>> from labkit import read_environment
    >>> is_signed(read_environment("insecure")).succeeds
    True
    """
    manager = next((it for it in env.components if it.kind == "kube-controller-manager"), None)
    if manager is None:
        # of a copied cluster, its files may be missing
        word = False if env.complete else None
        return Prediction(word, ("there is no controller manager, so nobody signs",))
    if unread_flags(manager, "controllers"):
        return Prediction(None, (f"its flags could not be read: {manager.source}",))
    chosen = manager.given("controllers")
    names = [item.value for item in manager.values("controllers")] if chosen else ["*"]
    named = [it for it in names if it.removeprefix("-") in SIGNING]
    if chosen and (named[0].startswith("-") if named else "*" not in names):
        return Prediction(False, (f"the signing controller is off: {chosen.source}",))
    key = next((given for name in KEYS if (given := manager.given(name)) and given.value), None)
    if key is None:
        return Prediction(
            False, (f"the controller manager has no key to sign with: {manager.source}",)
        )
    doubt = objection(env, apiserver_of(env), SIGNED)
    return Prediction(None, (str(doubt),)) if doubt else Prediction(True, (str(key.source),))


def signed_certificate(lab: Lab, name: str) -> bytes:
    """Wait until a request is signed, and return the certificate.

    Raises
    ------
    ProbeTimeout
        Nobody signed it in time.
    """

    def ask() -> str:
        found: str = read(lab, f"{PATH}/{name}").get("status", {}).get("certificate", "")
        return found

    return base64.b64decode(wait_for(lab, ask, PATIENCE, "nobody signed the approved request"))


def remove_request(lab: Lab, name: str) -> None:
    """Delete a request as the administrator; do nothing if it does not exist."""
    remove(lab, f"{PATH}/{name}")


def _object(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": spec,
    }
