"""Request a certificate for system:masters through the API; the apiserver refuses it.

No authorizer refuses anything to the group ``system:masters``. The attacker needs the right to
create certificate signing requests. The admission plugin CertificateSubjectRestriction, which is
on by default, refuses each request that names this group. It does so even for a caller who may
create and approve requests. The plugin protects only the API: an attacker who
writes into etcd or holds the CA's key does not meet it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.rights import admission
from labkit.techniques._lib.api.access import (
    CHANNEL,
    api_url,
    apiserver_of,
    caller_at,
    may_all,
    options_at,
)
from labkit.techniques._lib.api.certificate_requests import (
    APPROVE,
    CREATE,
    PATH,
    new_request,
    remove_request,
)
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.reach import Answer, request
from labkit.techniques._lib.technique import (
    ADMIN,
    NETWORK,
    ROOT_ON_WORKER,
    Prediction,
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
    approved = may_all(model, caller, [CREATE, *APPROVE])
    return all_of(may_all(model, caller, [CREATE]), then(plugin, approved))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Send the request; if it is refused, send one for a harmless group as the control."""
    options = options_at(lab.environment, foothold)
    asked = f"asked for a certificate of {GROUP}: POST {PATH} at the apiserver"

    def send(group: str) -> Answer:
        with new_request(lab, foothold, NAME, USER, group) as (_, body):
            data = json.dumps(body).encode()
            return request(lab, api_url(lab, PATH), foothold=foothold, body=data, options=options)

    with leaving(lab, Trace("object", f"{PATH}/{NAME}")):
        answer = send(GROUP)
        if not answer.refusal:
            raise ProbeError(f"the apiserver accepted the request for {GROUP}: {PLUGIN} is off")
        if answer.refusal != "HTTP 403" or WORDS not in answer.body:
            return _refused(lab, foothold, answer.refusal, asked, _administrator(lab))
        remove_request(lab, NAME)
        if harmless := send("labkit").refusal:
            raise ProbeError(f"the same caller's request for another group was refused: {harmless}")
    control = "the same caller's request for another group is taken"
    return _refused(lab, foothold, f"HTTP 403, {PLUGIN}", asked, control)


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
    modes = apiserver_of(env).setting("authorization-mode")
    return [("who decides", modes.value, str(modes.source))]


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
    settings=_settings,
    leaves=("file", "object"),
)
