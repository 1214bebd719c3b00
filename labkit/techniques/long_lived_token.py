"""Use a service account's token that was copied once, from anywhere and for ever.

A token that is kept in a Secret has no end and is bound to no pod. What the kubelet gives a
pod ends within the hour, and at once when what it was made for is gone.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.rights import Action, service_account
from labkit.model.workloads import endless_tokens
from labkit.techniques._lib.api.access import CHANNEL, may_all
from labkit.techniques._lib.api.tokens import (
    NAME,
    NAMESPACE,
    new_token,
    new_token_is_known,
    present,
)
from labkit.techniques._lib.machines.admin import create, read, remove
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, SECRETS, Prediction, Technique
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ACCOUNT, KEPT = "reporter", "reporter-token"
HERE = f"/api/v1/namespaces/{NAMESPACE}/secrets"
ACTION = Action("get", "secrets", namespace=NAMESPACE, name=NAME)
#: What a bound token is bound to, for a moment.
BOUND_TO = "labkit-bound"
#: Seconds for the controller that fills in the token.
PATIENCE = 20.0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whether there is such a token, and what its account may do."""
    kept = endless_tokens(model.environment).get((NAMESPACE, KEPT))
    if kept is None:
        return Prediction(False, (_said(_settings(model.environment)[0]),))
    return may_all(model, service_account(NAMESPACE, kept.value, kept.source), [ACTION])


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Copy the token that there is, and ask for a secret with it."""
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
        raise ProbeError("the token was taken, but it has an end")
    return verdict


def _kept(lab: Lab) -> str:
    """Return the token out of the Secret, once it is there."""
    deadline = time.monotonic() + PATIENCE
    while not (found := read(lab, f"{HERE}/{KEPT}").get("data", {}).get("token")):
        if time.monotonic() > deadline:
            raise ProbeTimeout(f"no token came into {NAMESPACE}/{KEPT}")
        time.sleep(0.3)
    return base64.b64decode(found).decode()


def _bound(lab: Lab) -> str:
    """Return a token that was bound to an object, which is gone by now."""
    create(lab, HERE, {"metadata": {"name": BOUND_TO}})
    try:
        return new_token(lab, NAMESPACE, ACCOUNT, BOUND_TO)
    finally:
        remove(lab, f"{HERE}/{BOUND_TO}")


def _claims(token: str) -> dict[str, object]:
    """Return what a token says, without believing it."""
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
    settings=_settings,
)
