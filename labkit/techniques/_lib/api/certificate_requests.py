"""Helpers of the techniques with certificate signing requests."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit import agents
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold
from labkit.model.decision import Action
from labkit.techniques._lib.machines.admin import remove
from labkit.techniques._lib.machines.reach import execution_place, run_from

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["APPROVE", "CREATE", "PATH", "SIGNER", "approval_of", "new_request", "remove_request"]

GROUP = "certificates.k8s.io"
PATH = f"/apis/{GROUP}/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kube-apiserver-client"
#: The actions that the authorizers and the plugin CertificateApproval check.
CREATE = Action("create", "certificatesigningrequests", GROUP)
APPROVE = (
    Action("update", "certificatesigningrequests/approval", GROUP),
    Action("approve", "signers", GROUP, name=SIGNER),
)
#: The shortest validity that the apiserver accepts, in seconds.
VALID_S = 600


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
