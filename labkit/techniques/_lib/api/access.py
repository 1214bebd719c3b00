"""Requests to the apiserver as the caller of a foothold: anonymous, or a kubelet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from labkit.cluster import Component, Credential, Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.model.authorization import credential_of
from labkit.model.decision import ALLOWED, AUTHENTICATED, Action, Caller, decide, member_of
from labkit.model.rights import authenticated_as, restricted
from labkit.techniques._lib.api.ask import url_of
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import (
    ROOT_ON_WORKER,
    Prediction,
    SentRequest,
    all_of,
    holds,
)

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "ACCESS_REVIEW",
    "ASK_EVERYTHING",
    "ASK_IDENTITY",
    "CHANNEL",
    "IDENTITY",
    "api_url",
    "apiserver_of",
    "caller_at",
    "credential_at",
    "everything_allowed",
    "everything_review",
    "identity",
    "in_turn",
    "may_all",
    "may_write",
    "options_at",
    "signed_as",
]

CHANNEL = "* -> kube-apiserver@master:6443"
#: The apiserver's endpoints that return the caller's identity and rights.
IDENTITY = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ASK_IDENTITY = Action("create", "selfsubjectreviews", "authentication.k8s.io")
ASK_EVERYTHING = Action("create", "selfsubjectaccessreviews", "authorization.k8s.io")


def apiserver_of(env: Environment) -> Component:
    """Return the environment's apiserver."""
    return next(c for c in env.components if c.kind == "kube-apiserver")


def api_url(lab: Lab, path: str) -> str:
    """Return the URL of a path at the apiserver's TLS port."""
    return url_of(read_model(lab.environment).open_channels(CHANNEL)[0], path)


def credential_at(env: Environment, foothold: Foothold) -> Credential | None:
    """Return the credential that an attacker has at a foothold.

    Root on a worker has the certificate of its kubelet, or another one on the machine that the
    apiserver accepts.
    """
    if foothold != ROOT_ON_WORKER:
        return None
    kubelet = next(c for c in env.components if c.kind == "kubelet")
    used = credential_of(env, kubelet.kubeconfig) if kubelet.kubeconfig else None
    there = [item for item in env.credentials if item.node == kubelet.node]
    for credential in (used, *there):
        if (
            credential
            and authenticated_as(apiserver_of(env), env, credential).user == credential.common_name
        ):
            return credential
    return None


def caller_at(env: Environment, foothold: Foothold) -> Caller:
    """Return the identity that the apiserver gives an attacker at a foothold."""
    return authenticated_as(apiserver_of(env), env, credential_at(env, foothold))


def options_at(env: Environment, foothold: Foothold) -> list[str]:
    """Return curl's options for the credential of a foothold, or none."""
    credential = credential_at(env, foothold)
    return ["--cert", credential.certificate, "--key", credential.key] if credential else []


def may_all(model: Model, caller: Caller, actions: Iterable[Action]) -> Prediction:
    """Predict whether a caller is allowed all of some actions; what is created has no labels."""
    env, apiserver = model.environment, apiserver_of(model.environment)
    found = (decide(env, apiserver, caller, action, labels={}) for action in actions)
    parts = [holds(it.claim, ALLOWED) for it in found]
    return all_of(Prediction(True, (str(caller.claim),)), *parts)


def may_write(model: Model, caller: Caller, action: Action) -> Prediction:
    """Predict whether authorizers and NodeRestriction let a caller write a node or a pod."""
    allowed = may_all(model, caller, [action])
    objection = restricted(apiserver_of(model.environment), caller)
    if objection is None:
        return allowed
    return all_of(allowed, holds(objection, "allow-all"))


def in_turn(
    model: Model, caller: Caller, *actions: Action, sent: Prediction | None = None
) -> Sequence[SentRequest]:
    """Return requests of one caller, each sent once those before it were allowed.

    Parameters
    ----------
    model : Model
    caller : labkit.model.decision.Caller
    *actions : labkit.model.decision.Action
    sent : Prediction, optional
        Whether the first one is sent. The default is that it is.
    """
    parts = [] if sent is None else [sent]
    found = []
    for action in actions:
        found.append(SentRequest(caller, action, all_of(*parts)))
        parts.append(may_all(model, caller, [action]))
    return found


def signed_as(user: str, group: str = "") -> Caller:
    """Return the caller with a certificate that the attacker had signed for a user."""
    return member_of(*filter(None, (group, AUTHENTICATED)), user=user)


def everything_review() -> bytes:
    """Return the body of an access review that asks for every right."""
    attributes = {"verb": "*", "group": "*", "resource": "*"}
    review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    return json.dumps({**review, "spec": {"resourceAttributes": attributes}}).encode()


def everything_allowed(answer: Answer) -> str:
    """Return evidence that :func:`everything_review` was answered with yes.

    Raises
    ------
    ProbeError
        The apiserver did not allow everything.
    """
    if not _json(answer).get("status", {}).get("allowed"):
        raise ProbeError("the apiserver answered, but does not allow the attacker everything")
    return "the apiserver says that this caller may do everything with every object"


def identity(answer: Answer) -> tuple[str, tuple[str, ...]]:
    """Return the user name and the groups from a SelfSubjectReview."""
    user = _json(answer).get("status", {}).get("userInfo", {})
    return str(user.get("username", "")), tuple(user.get("groups", ()))


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(answer.body)
    except ValueError as error:
        raise ProbeError("the answer is not the apiserver's JSON") from error
    return found
