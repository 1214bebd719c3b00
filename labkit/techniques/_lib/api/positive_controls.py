"""Positive controls: the requests that a component's certificate may always send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold
from labkit.techniques._lib.api.access import api_url
from labkit.techniques._lib.api.breakout import plain_pod
from labkit.techniques._lib.api.component_credential import WORKER
from labkit.techniques._lib.api.requests import MERGE, labels, pods_on
from labkit.techniques._lib.machines.reach import Answer, request

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["own_label", "own_mirror_pod", "own_node", "own_pods", "own_services", "reads"]

NODE, ORDINARY = f"/api/v1/nodes/{WORKER}", "labkit.example/attack"


def reads(what: str, path: str, who: str) -> Callable[[Lab, Foothold, list[str]], str]:
    """Make the positive control that a certificate may read what its component needs."""

    def control(lab: Lab, foothold: Foothold, options: list[str]) -> str:
        _served(
            lab,
            path,
            foothold,
            options,
            f"positive control: the {who}'s certificate cannot read {what}",
        )
        return f"the same certificate reads {what}, which a {who} is there for"

    return control


#: The positive control with a kube-proxy's certificate.
own_services = reads("services", "/api/v1/services?limit=1", "kube-proxy")


def own_node(lab: Lab, foothold: Foothold, options: list[str]) -> str:
    """Read worker1's node object with the certificate of its kubelet."""
    _served(
        lab,
        NODE,
        foothold,
        options,
        "positive control: the kubelet's certificate cannot read its node",
    )
    return f"the same certificate reads {WORKER}'s own node"


def own_pods(lab: Lab, foothold: Foothold, options: list[str]) -> str:
    """Read the pods that are bound to worker1 with the certificate of its kubelet.

    Raises
    ------
    ProbeError
        They are refused, or no pod is bound to it.
    """
    failed = "positive control: the kubelet's certificate cannot read its node's pods"
    answer = _served(lab, pods_on(WORKER), foothold, options, failed)
    if not json.loads(answer.body)["items"]:
        raise ProbeError(f"there are no pods on {WORKER} to read")
    return f"the same certificate reads the pods that are bound to {WORKER}"


def own_label(lab: Lab, foothold: Foothold, options: list[str]) -> str:
    """Set a label on worker1 that its kubelet may set, as a dry run."""
    more = ["--request", "PATCH", *MERGE, *options]
    failed = "positive control: the kubelet may not set an ordinary label on its node"
    _served(lab, f"{NODE}?dryRun=All", foothold, more, failed, labels(ORDINARY))
    return "the same certificate may give the node an ordinary label (a dry run)"


def own_mirror_pod(lab: Lab, foothold: Foothold, options: list[str]) -> str:
    """Create a mirror pod of worker1 with its kubelet's certificate, as a dry run."""
    failed = "positive control: the kubelet's certificate cannot read its node"
    node = json.loads(_served(lab, NODE, foothold, options, failed).body)
    pod = plain_pod(WORKER)
    owner = {"apiVersion": "v1", "kind": "Node", "name": WORKER, "uid": node["metadata"]["uid"]}
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "labkit"}
    pod["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods?dryRun=All"
    failed = "positive control: the kubelet may not create a mirror pod of its node"
    _served(lab, path, foothold, options, failed, json.dumps(pod).encode())
    return f"the same certificate may show a mirror pod of {WORKER}'s own (a dry run)"


def _served(
    lab: Lab,
    path: str,
    foothold: Foothold,
    options: list[str],
    failed: str,
    body: bytes | None = None,
) -> Answer:
    answer = request(lab, api_url(lab, path), foothold=foothold, body=body, options=options)
    if answer.refusal:
        raise ProbeError(f"{failed}: {answer.refusal}")
    return answer
