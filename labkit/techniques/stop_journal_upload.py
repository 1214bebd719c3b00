"""Keep what happens on a machine out of the collected logs.

Root on a machine decides what leaves it: one rule of its firewall, and the collector gets nothing
more. An administrator who looks there sees a quiet machine. Nothing that is configured on the
machine stops its root; what helps is outside: somebody who notices that a machine sends nothing.
A sender that remembers how far it came (``--save-state``) sends the rest once the rule is gone. It
is late, not lost, as long as root does not delete the machine's own journal as well.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import execution_place, run_from
from labkit.techniques._lib.stores.journal import (
    COLLECTOR,
    MODES,
    UPLOADS,
    collector_has,
    entry_arrives,
    log_on,
    wait_for_entry,
)
from labkit.techniques._lib.technique import ROOT_ON_WORKER, Prediction, Technique
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

SENDER = "systemd-journal-upload"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict that root can do it wherever a machine sends its journal."""
    env = model.environment
    found = [it for it in model.open_channels(UPLOADS) if env.node(it.client_node).role == "worker"]
    if not found:
        # copied files may be sent by a program that labkit does not know
        return Prediction(False if env.complete else None, ("no worker sends its journal",))
    sender = env.component(found[0].client)
    why = "the machine itself sends it, and its root decides what leaves"
    return Prediction(True, (f"{why}: {sender.source}",))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Cut a machine off from the collector, log something on it, and let it send again.

    Raises
    ------
    ProbeError
        The machine sends no journal, the rule was not set, or the collector got the entry.
    ProbeTimeout
        What must arrive did not: another machine's entry, or this one when the rule is gone.
    """
    node, _, _ = execution_place(lab, foothold)
    found = read_model(lab.environment).open_channels(UPLOADS)
    channel = next((it for it in found if it.client_node == node), None)
    if channel is None:
        raise ProbeError(f"{TECHNIQUE.name}: {node} sends its journal to nobody")
    comment, text = f"labkit-{secrets.token_hex(4)}", f"labkit-hidden-{secrets.token_hex(8)}"
    rule = ["--protocol=tcp", f"--destination={lab.addresses[channel.server_node]}"]
    rule += [f"--dport={channel.port}", "--match=comment", f"--comment={comment}"]
    rule += ["--jump=REJECT", "--reject-with=tcp-reset"]
    with leaving(lab, Trace("rules", comment, node)):
        said = run_from(lab, foothold, ["iptables", "-w", "5", "-I", "OUTPUT", *rule])
        if said.exit_code:
            raise ProbeError(f"{TECHNIQUE.name}: no rule was set", evidence=[said.error[-200:]])
        since = time.monotonic()
        log_on(lab, node, text)
        others = entry_arrives(lab)
        if collector_has(lab, text):
            raise ProbeError(f"{TECHNIQUE.name}: the collector got the entry anyway")
    wait_for_entry(lab, text)
    evidence = (
        f"root on {node} cuts it off from {channel.server_node}, and logs an entry there",
        f"{others}; that of {node} is not",
        f"it arrives when the rule is gone, {time.monotonic() - since:.0f} s after it was logged",
    )
    reason = "nothing arrives while it is cut off"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)


def _settings(env: Environment) -> list[Setting]:
    senders = (it for it in env.components if it.kind == SENDER)
    given = ((it.node, it.setting("url")) for it in senders)
    return [(f"where {node} sends its journal", it.value, str(it.source)) for node, it in given]


TECHNIQUE = Technique(
    name="stop-journal-upload",
    title="Keep what happens on a machine out of the collected logs",
    footholds=(ROOT_ON_WORKER,),
    grants=(),
    about=UPLOADS,
    properties=(),
    attack=("T1685",),
    stride=("repudiation", "denial of service"),
    cwe=("CWE-778",),
    sources=(
        "https://attack.mitre.org/techniques/T1685/",
        "https://www.freedesktop.org/software/systemd/man/latest/systemd-journal-upload.service.html",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
    leaves=("rules",),
    machines=(COLLECTOR,),
    modes=MODES,
)
