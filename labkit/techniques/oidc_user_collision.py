"""Register at the OpenID provider as one of the cluster's own users.

Some providers let everybody who reaches them make an account, and choose its name. Without a
prefix, a name of the provider and a user of the cluster with the same name are one. The attacker
needs nothing but the provider's page: they register as ``system:kube-controller-manager``, log in,
and show the apiserver the token. With a prefix that is the start of that name, they register with
the rest of it. Closed registration stops it, and so does any other prefix for names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.cluster.oidc import ClaimMapping
from labkit.errors import ProbeError
from labkit.lab.provider import log_in, required_provider
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import UNKNOWN
from labkit.model.id_tokens import caller_by_id_token, collides, id_token_authenticators
from labkit.model.providers import Provider, provider_of
from labkit.techniques._lib.api.access import (
    ASK_IDENTITY,
    CHANNEL,
    apiserver_of,
    identity,
    in_turn,
    may_all,
)
from labkit.techniques._lib.api.people import ask_who, person_is_known
from labkit.techniques._lib.machines.reach import execution_place, legitimate
from labkit.techniques._lib.technique import (
    NETWORK,
    Prediction,
    SentRequest,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.model.decision import Caller

__all__ = ["TECHNIQUE"]

#: A user of the cluster with a right to all secrets (the bootstrap policy of RBAC).
USER = "system:kube-controller-manager"
#: The claim in which Canaille writes the name of an account.
ACCOUNT = "sub"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether everybody may make the account, and as whom its token is known."""
    env = model.environment
    provider, caller = provider_of(env), _known_as(env)
    if provider is None or caller is None:
        accepted = id_token_authenticators(env, apiserver_of(env))
        if accepted is None or any(map(collides, accepted)):
            return Prediction(None, ("who may make an account at the provider is not known",))
        return Prediction(False, (f"no provider names the cluster's users: {env.name}",))
    made = holds(provider.registration, "allow-all")
    if other := _other_claim(env, provider):
        why = f"what the provider writes into {other.claim} is not known: {other.source}"
        return all_of(made, Prediction(None, (why,)))
    if caller.user != USER:
        known = caller.claim.value != UNKNOWN
        return all_of(made, Prediction(False if known else None, (str(caller.claim),)))
    return all_of(made, may_all(model, caller, [ASK_IDENTITY]))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the token is shown for: who one is."""
    env = model.environment
    provider, caller = provider_of(env), _known_as(env)
    if provider is None or caller is None:
        return []
    made = holds(provider.registration, "allow-all")
    return in_turn(model, caller, ASK_IDENTITY, sent=made)


def _known_as(env: Environment) -> Caller | None:
    """Return as whom the apiserver knows the token, or None without a provider."""
    provider = provider_of(env)
    if provider is None or provider.client is None:
        return None
    claims = provider.claims(_name(env), provider.client)
    return caller_by_id_token(env, apiserver_of(env), provider.issuer.value, claims)


def _other_claim(env: Environment, provider: Provider) -> ClaimMapping | None:
    """Return where the apiserver takes a name from, if that is not the account's name."""
    for it in id_token_authenticators(env, apiserver_of(env)) or ():
        if it.issuer.value == provider.issuer.value and it.username.claim not in ("", ACCOUNT):
            return it.username
    return None


def _name(env: Environment) -> str:
    """Return the name of an account that is the user behind its prefix, if one can be."""
    for it in id_token_authenticators(env, apiserver_of(env)) or ():
        if not it.username.expression and USER.startswith(it.username.prefix):
            return USER.removeprefix(it.username.prefix) or USER
    return USER


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Make the account, log in, and ask the apiserver as whom it knows the token."""
    with legitimate():
        control = person_is_known(lab)
    node, _, _ = execution_place(lab, foothold)
    provider, name = required_provider(lab), _name(lab.environment)
    made = f"a stranger registers as {name} at {provider.issuer.value}"
    with leaving(lab, Trace("provider account", name, provider.component.node)):
        said = log_in(lab, node, name, register=True)
        if "error" in said:
            raise ProbeError(f"{made}: {said['error']}")
        if "refused" in said:
            return _verdict(lab, foothold, False, "the provider refuses", made, control=control)
        answer = ask_who(lab, foothold, said["id_token"])
        if answer.refusal:
            if answer.refusal != "HTTP 401":
                raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
            return _verdict(lab, foothold, False, answer.refusal, made, control=control)
        user, _ = identity(answer)
    if not user.endswith(name):
        raise ProbeError(f"the apiserver knows {user or 'nobody'} by the token of {name}")
    known = f"the apiserver knows the token as {user}"
    if user != USER:
        return _verdict(lab, foothold, False, f"known as {user}", made, known, control=control)
    return _verdict(lab, foothold, True, f"HTTP {answer.status}", made, known)


def _verdict(
    lab: Lab, foothold: Foothold, succeeded: bool, reason: str, *evidence: str, control: str = ""
) -> Verdict:
    return Verdict(TECHNIQUE.name, lab.mode, foothold, succeeded, reason, evidence, control)


def _settings(env: Environment) -> list[Setting]:
    provider = provider_of(env)
    if provider is None:
        return []
    open_to = provider.component.setting("enable-registration")
    found: list[Setting] = [("registration at the provider", open_to.value, str(open_to.source))]
    for it in id_token_authenticators(env, apiserver_of(env)) or ():
        source = str(it.username.source)
        found.append(("prefix of names", it.username.prefix or "none", source))
    return found


TECHNIQUE = Technique(
    name="oidc-user-collision",
    title="Register at the OpenID provider as a user of the cluster",
    footholds=(NETWORK,),
    grants=(),
    about=CHANNEL,
    properties=(),
    attack=("T1136", "T1550.001"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-290",),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#openid-connect-tokens",
        "https://canaille.readthedocs.io/en/latest/references/configuration.html",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    leaves=("provider account",),
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
