"""Give the worker's own node a label that only the administrator may give it.

Labels below node-restriction.kubernetes.io/ say which nodes are trusted with which pods. A
kubelet that may put them on its own node draws such pods, and their secrets, to itself.
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
from labkit.techniques._reach import Answer, request
from labkit.techniques._verdict import Verdict
from labkit.techniques._worker import WORKER, caller, carried

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

PROTECTED, ORDINARY = "node-restriction.kubernetes.io/labkit-attack", "labkit.example/attack"
ACTION = Action("patch", "nodes", name=WORKER)
MERGE = ("--header", "Content-Type: application/merge-patch+json")


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: the authorizer first, then the admission plugin."""
    kubelet = caller(view.env, "kubelet")
    allowed = may_all(view, kubelet, [ACTION])
    objection = restricted(apiserver_of(view.env), kubelet)
    if not allowed.succeeds or objection is None:
        return allowed
    return Prediction(False, (str(objection),))


def execute(lab: Lab, foothold: str) -> Verdict:
    """Put the label on worker1, with the certificate of its kubelet."""
    url = api_url(lab, f"/api/v1/nodes/{WORKER}")

    def proof(answer: Answer) -> str:
        if PROTECTED not in json.loads(answer.body)["metadata"]["labels"]:
            raise ProbeError(f"the apiserver answered, but {WORKER} has no such label")
        return f"{WORKER}'s kubelet labelled {WORKER} with {PROTECTED}"

    with carried(lab, foothold, "kubelet") as options:

        def control() -> str:
            dry = f"{url}?dryRun=All"
            body, more = _patch(ORDINARY), ["--request", "PATCH", *MERGE, *options]
            answer = request(lab, dry, foothold=foothold, body=body, options=more)
            if answer.refusal:
                raise ProbeError(f"nor may the kubelet give an ordinary label: {answer.refusal}")
            return "the same certificate may give the node an ordinary label (a dry run)"

        try:
            return ask(
                lab,
                TECHNIQUE.name,
                foothold,
                url,
                method="PATCH",
                body=_patch(PROTECTED),
                options=[*MERGE, *options],
                proof=proof,
                control=control,
            )
        finally:
            lab.kubectl("label", "node", WORKER, f"{PROTECTED}-")


def _patch(label: str) -> bytes:
    return json.dumps({"metadata": {"labels": {label: "1"}}}).encode()


TECHNIQUE = Technique(
    name="node-changes-labels",
    title="Give the worker's own node a protected label",
    footholds=(ROOT_ON_WORKER, OUTSIDE),
    grants=(),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1098", "T1565.001"),
    stride=("tampering", "elevation of privilege"),
    cwe=("CWE-269",),
    sources=(
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-isolation-restriction",
        "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction",
        "https://attack.mitre.org/techniques/T1098/",
    ),
    predict=predict,
    execute=execute,
)
