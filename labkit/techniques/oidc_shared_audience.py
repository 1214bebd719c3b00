"""Show the apiserver an ID token that a person gave to another application.

An ID token says in its claim ``aud`` for whom the provider made it. A provider can put several
applications there: then each of them holds tokens that the others accept. The attacker runs one of
them, or reads its logs, and has the ID token of a person who logged in there. They are that person
for the cluster until the token expires. Tokens that name one application only stop it: the
apiserver refuses those of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.provider import required_provider
from labkit.model import Foothold, Model
from labkit.model.decision import UNKNOWN, Action
from labkit.model.id_tokens import caller_by_id_token, id_token_authenticators
from labkit.model.providers import CLIENTS, Client, Provider, provider_of
from labkit.techniques._lib.api.access import (
    ASK_IDENTITY,
    CHANNEL,
    api_url,
    apiserver_of,
    identity,
    in_turn,
    may_all,
)
from labkit.techniques._lib.api.people import PERSON, ask_who, new_token, person_is_known
from labkit.techniques._lib.machines.reach import legitimate, request
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.model.decision import Caller

__all__ = ["TECHNIQUE"]

PODS_IN = "/api/v1/namespaces/shop/pods"
LIST = Action("list", "pods", namespace="shop")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the audiences of the other application's tokens, and from the apiserver's."""
    env = model.environment
    caller = _known_as(env)
    if caller is None:
        accepted = id_token_authenticators(env, apiserver_of(env))
        if accepted is None or accepted:
            return Prediction(None, ("what else a provider makes tokens for is not known",))
        return Prediction(False, (f"no ID tokens are accepted: {apiserver_of(env).source}",))
    if not caller.user:
        return Prediction(None if caller.claim.value == UNKNOWN else False, (str(caller.claim),))
    return may_all(model, caller, [ASK_IDENTITY])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the token is shown for: who one is, and then which pods there are."""
    caller = _known_as(model.environment)
    if caller is None:
        return []
    return in_turn(model, caller, ASK_IDENTITY, *([LIST] if caller.user else []))


def _known_as(env: Environment) -> Caller | None:
    """Return as whom the apiserver knows the token, or None without another application."""
    provider = provider_of(env)
    other = _other(provider)
    if provider is None or other is None:
        return None
    claims = provider.claims(PERSON, other, provider.starts_in(PERSON, env))
    return caller_by_id_token(env, apiserver_of(env), provider.issuer.value, claims)


def _other(provider: Provider | None) -> Client | None:
    """Return an application of the provider that is not the cluster."""
    return next(iter(provider.clients[1:]), None) if provider else None


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Take the token of a person's login to the application, and ask as whom it is known."""
    other = _other(required_provider(lab))
    if other is None:
        raise ProbeError(f"the provider of {lab.mode} has no other application")
    with legitimate():
        control = person_is_known(lab)
        token = new_token(lab, other.name)
    taken = f"{PERSON} logs in to {other.name}, whose tokens name {', '.join(other.audiences)}"
    answer = ask_who(lab, foothold, token)
    if answer.refusal:
        if answer.refusal != "HTTP 401":
            raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, (taken,), control)
    user, groups = identity(answer)
    if not user.endswith(PERSON):
        raise ProbeError(f"the apiserver knows the token as {user or 'nobody'}, not as {PERSON}")
    pods = request(lab, api_url(lab, PODS_IN), foothold=foothold, token=token)
    known = f"the apiserver knows the token as {user}, in {', '.join(groups)}"
    read = f"pods of shop: {pods.refusal or f'HTTP {pods.status}'}"
    evidence = (taken, known, read)
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, f"HTTP {answer.status}", evidence, "")


def _settings(env: Environment) -> list[Setting]:
    provider = provider_of(env)
    other = _other(provider)
    if provider is None or other is None:
        return []
    where = f"{provider.component.node}:{CLIENTS}"
    return [(f"whom tokens for {other.name} name", " ".join(other.audiences), where)]


TECHNIQUE = Technique(
    name="oidc-shared-audience",
    title="Show the apiserver an ID token that was meant for another application",
    footholds=(COPIED_CREDENTIAL,),
    grants=(),
    about=CHANNEL,
    properties=(),
    attack=("T1550.001", "T1528"),
    stride=("spoofing",),
    cwe=("CWE-294",),
    sources=(
        "https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation",
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#openid-connect-tokens",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
