"""Helpers of the techniques against etcd."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.cluster import Credential
from labkit.errors import ProbeError, ProbeTimeout
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, Foothold, Model, read_model
from labkit.model.credentials import client_credential, secrets_at_rest
from labkit.model.decision import ALLOWED
from labkit.model.etcd_rights import (
    ALL_KEYS,
    KeyRange,
    anyone_may,
    etcd_client,
    etcd_may,
    known_to_etcd,
)
from labkit.techniques._lib.machines.reach import (
    Answer,
    address_in_lab,
    execution_place,
    request,
    run,
    run_from,
)
from labkit.techniques._lib.technique import COPIED_CREDENTIAL, NETWORK, Prediction, all_of, holds
from labkit.techniques._lib.verdict import Setting

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab, Output

__all__ = [
    "API",
    "NO_USER",
    "answers_anonymous",
    "as_apiserver",
    "as_client",
    "ask",
    "client_channel",
    "decode",
    "encode",
    "encryption",
    "etcdctl",
    "flannels_key",
    "may",
    "may_as_client",
    "refusal_in",
    "stores_plaintext",
]

#: etcd speaks gRPC, and JSON over HTTP on the same port.
API = "/v3/kv"
#: Seconds for an answer of etcd, on an idle machine.
PATIENCE = 5.0
#: The error of an etcd with users for a caller that is not one of them.
NO_USER = "user name is empty"
#: How etcd refuses one of its clients and, before it, TLS.
REFUSALS = ("permission denied", NO_USER, "certificate required", "bad certificate")
#: A key of flannel's own, which its credential always gives.
FLANNELS = "/coreos.com/network/config"


def client_channel(lab: Lab) -> Channel:
    """Return the first channel on which the apiserver calls etcd."""
    found = read_model(lab.environment).channels
    return next(
        c for c in found if c.client.startswith("kube-apiserver@") and c.server.startswith("etcd@")
    )


def ask(lab: Lab, verb: str, key: str, foothold: Foothold = NETWORK, **more: object) -> Answer:
    """Send a request to etcd from a foothold, without a credential.

    Parameters
    ----------
    lab : Lab
    verb : str
        "range", "put" or "deleterange".
    key : str
    foothold : Foothold
    **more : object
        More fields of the request.

    Returns
    -------
    Answer

    Raises
    ------
    ProbeTimeout
        etcd did not answer.
    ProbeError
        The result is neither an answer nor a known refusal.
    """
    channel = client_channel(lab)
    url = f"{channel.protocol}://{channel.server_node}:{channel.port}{API}/{verb}"
    return request(
        lab, url, foothold=foothold, body=json.dumps({"key": encode(key.encode()), **more}).encode()
    )


def answers_anonymous(model: Model) -> Prediction:
    """Predict whether etcd answers a caller without a credential."""
    channel = model.open_channels("kube-apiserver@* -> etcd@*")[0]
    allowed = may(model, channel, None, "read", ALL_KEYS)
    return all_of(holds(channel.client_authentication, "none"), allowed)


def may(
    model: Model, channel: Channel, held: Credential | None, access: str, keys: KeyRange
) -> Prediction:
    """Predict whether the etcd of a channel lets the holder of a certificate read or write keys."""
    env = model.environment
    etcd = env.component(channel.server)
    if held is None:
        plaintext = channel.protocol == "http"
        found = anyone_may(env, etcd, access, keys, plaintext=plaintext)
    else:
        found = etcd_may(env, etcd, known_to_etcd(env, etcd, held), access, keys)
    return holds(found.claim, ALLOWED)


def may_as_client(model: Model, channel: Channel, access: str, keys: KeyRange) -> Prediction:
    """Predict whether the etcd of a channel lets the channel's client read or write keys."""
    env = model.environment
    etcd, client = env.component(channel.server), env.component(channel.client)
    caller = etcd_client(env, etcd, client, channel.credential)
    return holds(etcd_may(env, etcd, caller, access, keys).claim, ALLOWED)


def stores_plaintext(model: Model) -> Prediction:
    """Predict whether the apiserver stores secrets without encryption."""
    env = model.environment
    settings = encryption(env)
    claims = [secrets_at_rest(env, it) for it in env.components if it.kind == "kube-apiserver"]
    encrypted = [setting for setting in settings if setting[1] not in ("identity", "none")]
    said = tuple(f"{what}: {value}: {read_in}" for what, value, read_in in encrypted or settings)
    if any(claim.value == "unknown" for claim in claims):
        return Prediction(None, tuple(map(str, claims)))
    return Prediction(not encrypted, said)


def encryption(env: Environment) -> list[Setting]:
    """Return how the apiserver encrypts secrets before it stores them."""
    what = "encryption at rest"
    found = [
        (what, providers[0], str(encryption.source))
        for encryption in env.encryption.values()
        for resource, providers in encryption.providers
        if resource in ("secrets", "*.", "*.*") and providers
    ]
    if found:
        return found
    flag = "encryption-provider-config"
    apiservers = [c for c in env.components if c.kind == "kube-apiserver"]
    return [(what, "none", str(c.setting(flag).source)) for c in apiservers]


def encode(data: bytes) -> str:
    """Encode bytes in base64, as in etcd's JSON."""
    return base64.b64encode(data).decode()


def decode(answer: Answer) -> list[bytes]:
    """Return the values of a range request's answer.

    Raises
    ------
    ProbeError
        The answer is not etcd's JSON.

    Examples
    --------
    >>> decode(Answer(200, b'{"kvs": [{"key": "aw==", "value": "dmFsdWU="}]}', ""))
    [b'value']
    """
    try:
        found: dict[str, Any] = json.loads(answer.body)
        return [base64.b64decode(item.get("value", "")) for item in found.get("kvs", ())]
    except ValueError as error:
        raise ProbeError(
            "the answer is not etcd's JSON", evidence=[repr(answer.body[:80])]
        ) from error


def etcdctl(lab: Lab) -> list[str]:
    """Return the start of etcdctl's command line; on a busy machine it waits longer."""
    return ["etcdctl", f"--command-timeout={PATIENCE * lab.stretch():.0f}s"]


@contextmanager
def as_client(
    lab: Lab, foothold: Foothold, channel: Channel, credential: Credential | None
) -> Iterator[Callable[..., Output]]:
    """Yield a function that runs etcdctl at a foothold, with the credential of a channel's client.

    It takes etcdctl's arguments, and `stdin`. At the foothold of a copied credential, the
    certificate and the key are copied there for the block.

    Parameters
    ----------
    lab : Lab
    foothold : Foothold
    channel : Channel
    credential : Credential or None
        None calls without one.

    Raises
    ------
    ProbeTimeout
        The function raises it if etcd does not answer.
    """
    server = channel.server_node
    address_in_lab(lab, server)
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    argv = [*etcdctl(lab), f"--endpoints={channel.protocol}://{server}:{channel.port}"]
    paths: dict[str, str] = {}
    if credential is not None:
        authority = next(a for a in lab.environment.authorities if a.name == credential.signed_by)
        paths = {
            "cert": credential.certificate,
            "key": credential.key,
            "cacert": authority.certificate,
        }
    copied = foothold == COPIED_CREDENTIAL and bool(paths)
    argv += [f"--{name}={f'{folder}/{name}' if copied else path}" for name, path in paths.items()]

    def call(*arguments: str, stdin: bytes | None = None) -> Output:
        output = run_from(lab, foothold, [*argv, *arguments], stdin=stdin)
        if "context deadline exceeded" in output.error:
            said = output.error.strip().splitlines()[-3:]
            raise ProbeTimeout(f"etcd@{server} did not answer", evidence=said)
        return output

    left = [Trace("file", folder, execution_place(lab, foothold)[0])] if copied else []
    with leaving(lab, *left):
        if copied:
            run_from(lab, foothold, ["mkdir", "--mode=0700", folder])
            for name, path in paths.items():
                data = lab.read_file(channel.client_node, path)
                run_from(lab, foothold, ["tee", f"{folder}/{name}"], stdin=data)
        yield call


def refusal_in(output: Output) -> str:
    """Return how etcd, or TLS before it, refused a command of etcdctl; "" if neither did."""
    return next((word for word in REFUSALS if word in output.error), "")


def flannels_key(call: Callable[..., Output]) -> str:
    """Show that etcd gives a client what is its own: the positive control of flannel's credential.

    Raises
    ------
    ProbeError
        etcd does not give it.
    """
    own = call("get", "--print-value-only", FLANNELS)
    if own.exit_code or not own.stdout.strip():
        raise ProbeError(
            f"positive control: flannel cannot read its own key {FLANNELS}",
            evidence=own.error.strip().splitlines()[-3:],
        )
    return f"the same gives {FLANNELS}, which is flannel's own"


def as_apiserver(lab: Lab, *arguments: str) -> str:
    """Run etcdctl on the master with the apiserver's credential: the positive control."""
    channel = client_channel(lab)
    argv = etcdctl(lab)
    argv.append(f"--endpoints={channel.protocol}://{channel.server_node}:{channel.port}")
    credential = client_credential(read_model(lab.environment), channel)
    if isinstance(credential, Credential):
        authority = next(a for a in lab.environment.authorities if a.name == credential.signed_by)
        argv += [f"--cert={credential.certificate}", f"--key={credential.key}"]
        argv.append(f"--cacert={authority.certificate}")
    master = channel.client_node
    return run(lab, master, [*argv, *arguments], check=True).text
