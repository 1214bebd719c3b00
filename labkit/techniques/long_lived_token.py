"""Use a copy of a service account token that never expires.

A token in a Secret of type ``kubernetes.io/service-account-token`` has no expiry and is bound to
no pod. The attacker needs one copy of it, and can then call the apiserver from anywhere until
somebody deletes the Secret. They read a secret with it. Bound tokens stop it: the apiserver
refuses such a token when it has expired, or when the object that it is bound to is gone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment, Source
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Claim, Foothold, Model
from labkit.model.decision import Action, Caller
from labkit.model.rights import service_account
from labkit.model.workloads import endless_tokens
from labkit.techniques._lib.api.access import CHANNEL, may_all
from labkit.techniques._lib.api.tokens import (
    NAME,
    NAMESPACE,
    new_token,
    new_token_is_known,
    present,
)
from labkit.techniques._lib.machines.admin import create, read
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ACCOUNT, KEPT = "reporter", "reporter-token"
HERE = f"/api/v1/namespaces/{NAMESPACE}/secrets"
ACTION = Action("get", "secrets", namespace=NAMESPACE, name=NAME)
#: The Secret to which the token is bound; it exists only for a moment.
BOUND_TO = "labkit-bound"
#: Seconds to wait for the controller that adds the token to the Secret.
PATIENCE = 20.0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether such a token exists, and what its account may do."""
    kept = endless_tokens(model.environment).get((NAMESPACE, KEPT))
    if kept is None:
        return Prediction(False, (_said(_settings(model.environment)[0]),))
    return may_all(model, service_account(NAMESPACE, kept.value, kept.source), [ACTION])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret; with a token whose object is gone, as nobody."""
    kept = endless_tokens(model.environment).get((NAMESPACE, KEPT))
    if kept is None:
        gone = Claim("required", "the object of the bound token is gone", Source("", None, ""))
        return [SentRequest(Caller("", frozenset(), gone), ACTION)]
    return [SentRequest(service_account(NAMESPACE, kept.value, kept.source), ACTION)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Copy the stored token, or else a bound one, and ask for a secret with it."""
    if (NAMESPACE, KEPT) in endless_tokens(lab.environment):
        token, whose = _kept(lab), f"a copy of {NAMESPACE}/{KEPT}, which has no end"
    else:
        token, whose = _bound(lab), "a copy of a bound token, whose object is gone"
    verdict = present(
        lab,
        TECHNIQUE.name,
        foothold,
        token,
        whose,
        lambda: new_token_is_known(lab, foothold, ACCOUNT),
    )
    if verdict.succeeded and "exp" in _claims(token):
        raise ProbeError("the apiserver accepted the token, but the token has an expiry")
    return verdict


def _kept(lab: Lab) -> str:
    """Return the token from the Secret, as soon as the controller has added it."""

    def ask() -> str:
        found: str = read(lab, f"{HERE}/{KEPT}").get("data", {}).get("token", "")
        return found

    found = wait_for(lab, ask, PATIENCE, f"{NAMESPACE}/{KEPT} got no token")
    return base64.b64decode(found).decode()


def _bound(lab: Lab) -> str:
    """Return a token that is bound to an object which no longer exists."""
    with leaving(lab, Trace("object", f"{HERE}/{BOUND_TO}")):
        create(lab, HERE, {"metadata": {"name": BOUND_TO}})
        return new_token(lab, NAMESPACE, ACCOUNT, BOUND_TO)


def _claims(token: str) -> dict[str, object]:
    """Decode a token's claims without verifying its signature."""
    body = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def _said(setting: Setting) -> str:
    what, value, read_in = setting
    return f"{what}: {value}: {read_in}"


def _settings(env: Environment) -> list[Setting]:
    what, kept = "a token without an end", endless_tokens(env)
    if not kept:
        return [(what, "none", "manifests: no Secret of type kubernetes.io/service-account-token")]
    return [
        (what, f"{namespace}/{name}", str(account.source))
        for (namespace, name), account in kept.items()
    ]


TECHNIQUE = Technique(
    name="long-lived-token",
    title="Use a token that was copied once, for ever",
    footholds=(COPIED_CREDENTIAL,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1550.001", "T1528"),
    stride=("spoofing", "information disclosure"),
    cwe=("CWE-613", "CWE-522"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/",
        "https://attack.mitre.org/techniques/T1550/001/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=("object",),
    settings=_settings,
)
