"""Read a secret that no pod of the worker uses, with the worker's own kubelet's certificate.

Whoever breaks out of a container to root on a worker has it. The Node authorizer gives a
kubelet the secrets of the pods that are bound to its node, by name, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.rights import Action
from labkit.techniques._access import CHANNEL, api_url, may_all
from labkit.techniques._ask import ask
from labkit.techniques._base import OUTSIDE, ROOT_ON_WORKER, SECRETS, Prediction, Technique
from labkit.techniques._reach import Answer
from labkit.techniques._secret import true_secret
from labkit.techniques._verdict import Verdict
from labkit.techniques._worker import caller, carried, own_node

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

#: The pod that uses it runs on worker2.
WANTED = ("payments", "card-processor", "api-key")
ACTION = Action("get", "secrets", namespace=WANTED[0], name=WANTED[1])


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: what the apiserver allows worker1's kubelet."""
    return may_all(view, caller(view.env, "kubelet"), [ACTION])


def execute(lab: Lab, foothold: str) -> Verdict:
    """Ask for the secret with the kubelet's certificate."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with the certificate of worker1's kubelet, read: {secret.proof}"

    with carried(lab, foothold, "kubelet") as options:
        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            api_url(lab, f"/api/v1/namespaces/{WANTED[0]}/secrets/{WANTED[1]}"),
            options=options,
            proof=proof,
            control=lambda: own_node(lab, foothold, options),
        )


TECHNIQUE = Technique(
    name="node-reads-secrets",
    title="Read another node's secret with a kubelet's certificate",
    footholds=(ROOT_ON_WORKER, OUTSIDE),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1552.004", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-269", "CWE-732"),
    sources=(
        "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs",
        "https://kubernetes.io/docs/reference/access-authn-authz/node/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
)
