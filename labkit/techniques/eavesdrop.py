"""Read a secret on its way from the apiserver to a kubelet, from another machine.

The attacker needs a foothold on the cluster network, where they poison the ARP caches of both
ends: ARP has no authentication. The packets then pass their machine, and they forward them. The
default capabilities of a container are enough for this. They read the secret if the kubelet calls
the apiserver in plaintext. TLS between the kubelet and the apiserver stops it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.lab.traces import Trace, leaving
from labkit.model import Channel
from labkit.techniques._lib.machines.admin import annotate, create, read
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.secret import Secret, true_secret
from labkit.techniques._lib.technique import NETWORK, SECRETS
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.capture import PATIENCE
from labkit.techniques._lib.wire.decode import Stream
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget, Traffic

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE", "judge"]

CLIENT = "kubelet@worker1"
#: No pod on worker1 uses this secret, so its kubelet has to fetch it for a new pod.
WANTED = ("payments", "card-processor", "api-key")
POD, MARK = "labkit-reader", "labkit-eavesdrop"
PODS = f"/api/v1/namespaces/{WANTED[0]}/pods"
PLAINTEXT = "plaintext HTTP, the secret is in it"


@contextmanager
def fetch_secret(lab: Lab) -> Iterator[Traffic]:
    """Start a pod on worker1 that needs a secret, so that the kubelet has to fetch the secret.

    It makes the traffic appear at once; a real attacker would wait for it.
    """
    secret = true_secret(lab, *WANTED)
    about = f"/api/v1/namespaces/{WANTED[0]}/secrets/{WANTED[1]}"
    with leaving(lab, Trace("object", f"{PODS}/{POD}"), Trace("annotation", f"{about} {MARK}")):
        _start_pod(lab, "worker1")
        # A kubelet that recently ran such a pod still watches the secret and does not fetch it.
        annotate(lab, about, MARK, secrets.token_hex(4))
        yield _traffic(secret)


def _traffic(secret: Secret) -> Traffic:
    fetched = f"the kubelet fetched it just then: pod {secret.namespace}/{POD}, which needs it, ran"
    return Traffic(secret, secret.proof, fetched)


def judge(mode: str, channel: Channel, secret: Secret, captured: list[Stream]) -> Verdict:
    """Judge whether captured connections reveal a secret.

    Parameters
    ----------
    mode : str
    channel : Channel
    secret : Secret
    captured : list of Stream

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        The capture is incomplete or holds neither the secret nor TLS.
    """
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
    missing = f"pod {namespace}/{POD} did not run"
    wait_for(lab, lambda: _phase(lab) == "Running", PATIENCE, missing)


def _phase(lab: Lab) -> str:
    return str(read(lab, f"{PODS}/{POD}")["status"].get("phase", ""))


def _settings(env: Environment) -> list[Setting]:
    """Return the address of the apiserver in the kubelet's kubeconfig."""
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
        leaves=("object", "annotation"),
    ),
    grants=(SECRETS,),
    settings=_settings,
)
