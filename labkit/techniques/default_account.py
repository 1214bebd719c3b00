"""Read a secret of another namespace with the token of a default service account.

Each pod that names no service account runs with the default account of its namespace. A role that
one script needed then belongs to all these pods, and a cluster role binding gives it in every
namespace. The attacker needs a token of this account: a copy, or the one that is mounted in a pod
of the namespace. They use it to read a secret of another namespace. Default accounts that are bound
to no role stop it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment, Source
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.model.rights import default_bindings, service_account
from labkit.model.workloads import token_caller, token_in
from labkit.techniques._lib.api.access import CHANNEL, IDENTITY, api_url, identity, may_all
from labkit.techniques._lib.api.tokens import NAME, NAMESPACE, new_token, present
from labkit.techniques._lib.machines.pod import find_pod, token_of, without_token
from labkit.techniques._lib.machines.reach import request
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    POD,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.model.decision import Caller

__all__ = ["TECHNIQUE"]

HOME, ACCOUNT, POD_OF_HOME = "payments", "default", "card-processor"
ACTION = Action("get", "secrets", namespace=NAMESPACE, name=NAME)
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the apiserver lets the default account read the secret."""
    caller = _caller(model.environment, foothold)
    if caller is None:
        return Prediction(False, (str(token_in(model.environment, HOME, POD_OF_HOME)),))
    return may_all(model, caller, [ACTION])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret, if there is a token."""
    caller = _caller(model.environment, foothold)
    return [] if caller is None else [SentRequest(caller, ACTION)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask for the secret with a token of the default account."""
    if foothold != POD:
        token = new_token(lab, HOME, ACCOUNT)
    elif (mounted := token_of(lab, find_pod(lab, HOME, POD_OF_HOME))) is not None:
        token = mounted
    else:
        return without_token(lab, TECHNIQUE.name, foothold, HOME, POD_OF_HOME)

    def control() -> str:
        body = json.dumps(REVIEW).encode()
        url = api_url(lab, IDENTITY)
        known = request(lab, url, foothold=foothold, body=body, token=token)
        if known.refusal or identity(known)[0] != f"system:serviceaccount:{HOME}:{ACCOUNT}":
            raise ProbeError(f"the apiserver does not know the token: {known.refusal}")
        return f"the apiserver knows the same token as {HOME}/{ACCOUNT}"

    whose = f"a token of {HOME}/{ACCOUNT}"
    return present(lab, TECHNIQUE.name, foothold, token, whose, control)


def _caller(env: Environment, foothold: Foothold) -> Caller | None:
    """Return the default account, or None if the foothold has no token of it."""
    if foothold == POD:
        return token_caller(env, HOME, POD_OF_HOME)
    bound = default_bindings(env)
    absent = Source("manifests", None, f"a binding of {HOME}/{ACCOUNT} absent", default=True)
    return service_account(HOME, ACCOUNT, bound[0].source if bound else absent)


def _settings(env: Environment) -> list[Setting]:
    what, bound = "what default accounts are bound to", default_bindings(env)
    if not bound:
        return [(what, "nothing", "manifests: no binding of a default account")]
    return [(what, binding.role, str(binding.source)) for binding in bound]


TECHNIQUE = Technique(
    name="default-account",
    title="Read secrets as a default service account",
    footholds=(COPIED_CREDENTIAL, POD),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1078.001", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
        "https://attack.mitre.org/techniques/T1078/001/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
)
