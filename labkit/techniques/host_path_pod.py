"""Become root on a worker with a pod that mounts the machine's file system.

The attacker needs the right to create pods. They create a pod that runs as root and mounts ``/``
of the worker through a hostPath volume; it does not have to be privileged. The pod reads
``/etc/shadow``, which only root can read. It stops if the caller may not create pods, or if Pod
Security Admission refuses hostPath volumes in the namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.api.access import CHANNEL
from labkit.techniques._lib.api.breakout import MOUNT, WORKER, break_out, may_break_out, requests
from labkit.techniques._lib.machines.reach import digest
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    ROOT_ON_WORKER,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ONLY_ROOT_READS = "/etc/shadow"
#: The kubelet copies this file into the pod's status.
COMMAND = f"sha256sum {MOUNT}{ONLY_ROOT_READS} >/dev/termination-log"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the caller may create pods, and whether admission accepts this one."""
    return may_break_out(model, foothold)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create the pod, and check that it read a file that only root can read."""

    def proof(said: str) -> str:
        expected = digest(lab, WORKER, ONLY_ROOT_READS)
        if expected not in said:
            raise ProbeError(f"the pod ran, but did not read {ONLY_ROOT_READS}")
        return f"the pod read {ONLY_ROOT_READS} of {WORKER}; the right bytes by their hash"

    return break_out(lab, TECHNIQUE.name, foothold, COMMAND, proof)


TECHNIQUE = Technique(
    name="host-path-pod",
    title="Become root on a worker with a pod that mounts its files",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD, ROOT_ON_WORKER),
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
    requests=requests,
    leaves=("object",),
)
