"""Read a secret from the files of etcd.

The attacker needs root on an etcd machine, a copy of its disk or a backup. TLS and the users of
etcd do not protect the files. The technique stores a new secret, then looks for its value in the
files and in the value that etcd returns. Encryption at rest stops it if the key is not on the
etcd machine. Encryption applies to new writes only: an older secret stays readable until it is
written again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.machines.reach import run
from labkit.techniques._lib.stores.etcd import encryption, stores_plaintext
from labkit.techniques._lib.stores.secret import Secret, fresh_secret, sample
from labkit.techniques._lib.technique import ROOT_ON_ETCD, SECRETS, Prediction, Technique
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

NAME = "labkit-at-rest"
KEY = f"/registry/secrets/default/{NAME}"
DATA = "/var/lib/etcd"
CIPHERTEXT = re.compile(rb"k8s:enc:[a-z0-9]+:v[0-9]+:[^:]+:")


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Store a new secret, then look for it in etcd's files and in the value that etcd returns.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeError
        Neither the plaintext nor a ciphertext of the secret was found.
    """
    with fresh_secret(lab, NAME) as secret:
        return _search(lab, foothold, secret)


def _search(lab: Lab, foothold: Foothold, secret: Secret) -> Verdict:
    node = next(n.name for n in lab.environment.nodes if n.role == "etcd")
    # Root on the etcd machine can read the certificate of etcd's administrator.
    value = lab.etcdctl("get", KEY, "--print-value-only").stdout
    in_files = _in_files(lab, node, secret.value)
    if not _in_files(lab, node, KEY.encode()):
        raise ProbeError(f"{node}: the name of the new secret is not in {DATA}")
    evidence = [f"read as root on {node}: the files below {DATA}, and the value of {KEY}"]
    prefix = CIPHERTEXT.match(value)
    plain = secret.found_in(value)
    if plain:
        evidence.append(f"read: {secret.proof}")
        if in_files:
            evidence.append("the same characters stand in the files")
        reason, note = "etcd keeps the secret as plaintext", ""
    elif prefix and not in_files:
        evidence.append(f"the value begins with {prefix[0].decode()} and then is ciphertext")
        evidence.append("the secret stands in none of the files")
        reason = "etcd keeps the secret encrypted, and the key is not on this machine"
        note = "the secret's name stands in the files: the search looks at the right ones"
    else:
        raise ProbeError(f"{node}: etcd stores neither the secret nor a ciphertext of it")
    head = ((0, prefix.end()),) if prefix else ()
    shown = sample(f"what etcd keeps under {KEY.rpartition('/')[2]}", value, secret, head)
    return Verdict(
        TECHNIQUE.name,
        lab.mode,
        foothold,
        plain,
        reason,
        tuple(evidence),
        note,
        {"sample": shown},
    )


def _in_files(lab: Lab, node: str, wanted: bytes) -> bool:
    """Say whether some bytes are in etcd's files; the bytes go to grep on its standard input."""
    argv = ["grep", "--recursive", "--quiet", "--fixed-strings", "--file=-", DATA]
    found = run(lab, node, argv, stdin=wanted)
    if found.exit_code > 1:
        raise ProbeError(f"{node}: grep exited with {found.exit_code}", evidence=[found.error])
    return found.exit_code == 0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the apiserver encrypts secrets before it stores them in etcd."""
    return stores_plaintext(model)


TECHNIQUE = Technique(
    name="at-rest",
    title="Read a secret from etcd's disk",
    footholds=(ROOT_ON_ETCD,),
    grants=(SECRETS,),
    about="",
    properties=(),
    attack=("T1552.001", "T1005"),
    stride=("information disclosure",),
    cwe=("CWE-312",),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/",
        "https://attack.mitre.org/techniques/T1005/",
    ),
    predict=predict,
    execute=execute,
    leaves=("object",),
    settings=encryption,
)
