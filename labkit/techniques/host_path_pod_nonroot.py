"""Mount a machine's files in a pod that runs as an ordinary user, and try to read root's files.

A user in a container has the same user ID on the machine, so the permissions of the files still
hold. The attacker needs the right to create pods. Their pod reads files that everybody can read,
but not ``/etc/shadow``. It shows that a container user other than root limits the damage. It does
not protect what is open to everybody, such as a Docker socket of mode 0666.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.cluster import Source
from labkit.errors import ProbeError
from labkit.model import Claim, Foothold, Model
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
    then,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

USER = 1000
ONLY_ROOT_READS, EVERYBODY_READS = "/etc/shadow", "/etc/passwd"
COMMAND = f"sha256sum {MOUNT}{EVERYBODY_READS} {MOUNT}{ONLY_ROOT_READS} >/dev/termination-log 2>&1"
DENIED = "Permission denied"
#: The environment's tmpfiles.d does not set this mode: the package passwd does.
MODE = Claim(
    "file-mode",
    f"{ONLY_ROOT_READS} is 0640 root shadow",
    Source("worker/etc/shadow", None, "as the package passwd makes it", default=True),
)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether such a pod may be created; if so, the file's mode refuses the read."""
    allowed = may_break_out(model, foothold)
    return then(allowed, Prediction(False, (str(MODE),)))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Create the pod, and see which files it could read."""
    name, denied = TECHNIQUE.name, False

    def proof(said: str) -> str:
        nonlocal denied
        denied = f"{ONLY_ROOT_READS}': {DENIED}" in said
        paths = (EVERYBODY_READS,) if denied else (EVERYBODY_READS, ONLY_ROOT_READS)
        for path in paths:
            if digest(lab, WORKER, path) not in said:
                raise ProbeError(f"the pod ran, but did not read {path}")
        return f"the pod read {' and '.join(paths)} of {WORKER}; the right bytes by their hash"

    verdict = break_out(lab, name, foothold, COMMAND, proof, user=USER)
    if not denied:
        return verdict
    asked, read = verdict.evidence
    evidence = (asked, f"the pod ran as user {USER}")
    reason = f"permission denied: {ONLY_ROOT_READS}"
    return replace(verdict, succeeded=False, reason=reason, evidence=evidence, control=read)


TECHNIQUE = Technique(
    name="host-path-pod-nonroot",
    title="Break out of a pod that mounts its machine's files, as an ordinary user",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD, ROOT_ON_WORKER),
    grants=(ROOT_ON_WORKER,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1610", "T1611"),
    stride=("elevation of privilege",),
    cwe=("CWE-250",),
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
