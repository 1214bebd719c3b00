"""The journals that a lab's machines send to a collector."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.techniques._lib.machines.reach import run
from labkit.techniques._lib.machines.waiting import wait_for

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "COLLECTOR",
    "MODES",
    "PATIENCE",
    "STORE",
    "UPLOADS",
    "collector_has",
    "entry_arrives",
    "log_on",
    "log_on_master",
    "master_of",
    "wait_for_entry",
]

#: The machine that collects journals, and the environments that have it.
COLLECTOR, MODES = "monitor", ("logs-insecure", "logs-hardened")
UPLOADS = "systemd-journal-upload@* -> *"
STORE = "/var/log/journal/remote"
#: Seconds from a line of a log to the collector's store. A sender that found no collector starts
#: again after a second.
PATIENCE = 30.0


def master_of(env: Environment) -> str:
    """Return the name of the apiserver's machine."""
    return next(it.node for it in env.components if it.kind == "kube-apiserver")


def collector_has(lab: Lab, text: str, *matches: str) -> bool:
    """Say whether an entry of the last minutes with a text is in the collector's store."""
    argv = ["journalctl", f"--directory={STORE}", "--quiet", "--output=cat", "--since=-10min"]
    output = run(lab, COLLECTOR, [*argv, f"--grep={text}", *matches])
    return text in output.text


def wait_for_entry(lab: Lab, text: str) -> None:
    """Wait until an entry with a text is in the collector's store.

    Raises
    ------
    ProbeTimeout
        It did not arrive.
    """
    missing = f"the collector did not get {text!r}"
    wait_for(lab, lambda: collector_has(lab, text), PATIENCE, missing)


def log_on(lab: Lab, node: str, text: str) -> None:
    """Write a line into a machine's journal."""
    run(lab, node, ["logger", "--tag=labkit", text], check=True)


def log_on_master(lab: Lab, text: str) -> None:
    """Write a line into the master's journal."""
    log_on(lab, master_of(lab.environment), text)


def entry_arrives(lab: Lab) -> str:
    """Show that a line that the master logs arrives at the collector: the positive control.

    Raises
    ------
    ProbeTimeout
        It did not arrive.
    """
    text = f"labkit-control-{secrets.token_hex(8)}"
    log_on_master(lab, text)
    wait_for_entry(lab, text)
    return "a line that the master logged is in the collector's store"
