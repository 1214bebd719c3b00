"""Read along on the kubelet's way to the apiserver, from another container on the network.

The attacker tells both ends that it is the other one (ARP has no authentication), passes on
what it gets, and reads it on the way. A container's default capabilities are enough for that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.model import Channel
from labkit.techniques._lib.machines.admin import annotate, create, read, remove
from labkit.techniques._lib.stores.secret import Secret, true_secret
from labkit.techniques._lib.technique import NETWORK, SECRETS
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.capture import wait
from labkit.techniques._lib.wire.decode import Stream
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget, Traffic

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE", "judge"]

CLIENT = "kubelet@worker1"
#: No pod on worker1 uses this secret, so its kubelet has to fetch it for one that does.
WANTED = ("payments", "card-processor", "api-key")
POD, MARK = "labkit-reader", "labkit-eavesdrop"
PODS = f"/api/v1/namespaces/{WANTED[0]}/pods"
PLAINTEXT = "plaintext HTTP, the secret is in it"


@contextmanager
def fetch_secret(lab: Lab) -> Iterator[Traffic]:
    """Start a pod on worker1 that needs a secret which its kubelet does not know yet.

    That is to see something worth seeing at once; an attacker would just wait.
    """
    secret = true_secret(lab, *WANTED)
    about = f"/api/v1/namespaces/{WANTED[0]}/secrets/{WANTED[1]}"
    try:
        _start_pod(lab, "worker1")
        # A kubelet that ran such a pod a moment ago still watches the secret, and asks for nothing.
        annotate(lab, about, MARK, secrets.token_hex(4))
        yield _traffic(secret)
    finally:
        annotate(lab, about, MARK, None)
        remove(lab, f"{PODS}/{POD}")


def _traffic(secret: Secret) -> Traffic:
    fetched = f"the kubelet fetched it meanwhile: pod {secret.namespace}/{POD}, which needs it, ran"
    return Traffic(secret, secret.proof, fetched)


def judge(mode: str, channel: Channel, secret: Secret, captured: list[Stream]) -> Verdict:
    """Say what the captured connections give away of a secret."""
    return eavesdropping.judge(
        TECHNIQUE.name, mode, NETWORK, channel, _traffic(secret), captured, PLAINTEXT
    )


def _start_pod(lab: Lab, node: str) -> None:
    namespace, name, key = WANTED
    container = {
        "name": "reader",
        "image": "labkit/workload:1",
        "imagePullPolicy": "Never",
        "command": ["sleep", "infinity"],
        "env": [{"name": "FOUND", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "securityContext": user,
        "containers": [container],
    }
    metadata = {"name": POD, "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    create(lab, PODS, pod)
    wait(f"pod {namespace}/{POD} runs", lambda: _phase(lab) == "Running")


def _phase(lab: Lab) -> str:
    return str(read(lab, f"{PODS}/{POD}")["status"].get("phase", ""))


def _settings(env: Environment) -> list[Setting]:
    """Return which server the kubelet is told to call."""
    config = env.component(CLIENT).kubeconfig
    if config is None:
        return []
    return [("whom the kubelet calls", config.server.value, str(config.server.source))]


TECHNIQUE = eavesdropping.technique(
    "eavesdrop",
    "Read a secret on its way from the apiserver to a kubelet",
    EavesdropTarget(
        about="kubelet@worker1 -> *@master:*",
        traffic=fetch_secret,
        process="kubelet",
        plaintext=PLAINTEXT,
    ),
    grants=(SECRETS,),
    settings=_settings,
)
