"""Use the credential with which Prometheus scrapes for more than metrics.

A scraper calls every component, so its credential is known everywhere, and it often may do
everything: "monitoring must see it all". The attacker has a copy of it, from the machine of
Prometheus or from a backup of its configuration. They ask the apiserver for a secret. A role with
``get`` on ``/metrics`` and ``nodes/metrics``, and nothing else, stops it. A bearer token of a
service account would be the same: what counts is what its holder may do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Credential, Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import Action, decide
from labkit.model.rights import authenticated_as
from labkit.techniques._lib.api.access import api_url, apiserver_of, may_all
from labkit.techniques._lib.machines.reach import legitimate, request_as
from labkit.techniques._lib.stores.journal import COLLECTOR, MODES
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict, decided

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

SCRAPER = "prometheus"
CHANNEL = f"{SCRAPER}@* -> kube-apiserver@*"
SECRET = ("shop", "db-credentials", "password")
PATH = f"/api/v1/namespaces/{SECRET[0]}/secrets/{SECRET[1]}"
READ = Action("get", "secrets", namespace=SECRET[0], name=SECRET[1])
METRICS = "/metrics"


def credential(env: Environment) -> Credential | None:
    """Return the certificate of Prometheus, or None if it has none."""
    held = [it for it in env.credentials if it.name == SCRAPER and it.node == COLLECTOR]
    return held[0] if held else None


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the scraper's user may read a secret."""
    held = credential(model.environment)
    if held is None:
        # copied files may have one under another name
        known = False if model.environment.complete else None
        return Prediction(known, (f"labkit knows no certificate of {SCRAPER}@{COLLECTOR}",))
    caller = authenticated_as(apiserver_of(model.environment), model.environment, held)
    return may_all(model, caller, [READ])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret."""
    held = credential(model.environment)
    if held is None:
        return []
    caller = authenticated_as(apiserver_of(model.environment), model.environment, held)
    return [SentRequest(caller, READ)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask the apiserver for a secret with the certificate of Prometheus.

    Raises
    ------
    ProbeError
        The answer is neither the secret nor a known refusal.
    """
    held = credential(lab.environment)
    if held is None:
        raise ProbeError(f"{lab.mode} has no certificate of {SCRAPER}@{COLLECTOR}")
    secret = true_secret(lab, *SECRET)
    answer = request_as(lab, held, COLLECTOR, api_url(lab, PATH))
    asked = f"GET {PATH} with the certificate of {held.common_name}"
    if not answer.refusal:
        if not secret.found_in(answer.body):
            raise ProbeError(f"{TECHNIQUE.name}: the apiserver answered, but not with the secret")
        evidence = (asked, f"read: {secret.proof}")
        reason = f"HTTP {answer.status}"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
    said = json.loads(answer.body).get("message", "") if answer.body.startswith(b"{") else ""
    if answer.refusal != "HTTP 403" or "secrets" not in said:
        raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal", evidence=[said])
    with legitimate():
        scraped = request_as(lab, held, COLLECTOR, api_url(lab, METRICS))
    if scraped.refusal or b"apiserver_request_total" not in scraped.body:
        raise ProbeError(f"{TECHNIQUE.name}: the same certificate gets no metrics either")
    control = "the same certificate gets the apiserver's metrics"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, (asked,), control)


def _settings(env: Environment) -> list[Setting]:
    held = credential(env)
    if held is None:
        return []
    apiserver = apiserver_of(env)
    found = decide(env, apiserver, authenticated_as(apiserver, env, held), READ).claim
    return [decided(f"get secrets by {held.common_name}", found)]


TECHNIQUE = Technique(
    name="scrape-credential",
    title="Read secrets with the credential of Prometheus",
    footholds=(COPIED_CREDENTIAL,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=(),
    attack=("T1078", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
        "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/",
        "https://attack.mitre.org/techniques/T1078/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    machines=(COLLECTOR,),
    modes=MODES,
)
