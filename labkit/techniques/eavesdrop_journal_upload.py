"""Read what the machines log, while it is sent to the collector.

systemd-journal-upload sends a machine's whole journal: what programs say, who logged in, and with
an audit log in it every request to the apiserver. The attacker needs a foothold on the cluster
network, where they poison the ARP caches of both ends. Over plain HTTP they read it all. TLS
between the machines and the collector stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.techniques._lib.stores.journal import (
    COLLECTOR,
    MODES,
    log_on_master,
    wait_for_entry,
)
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget, Traffic, nonce

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


@contextmanager
def line_logged(lab: Lab) -> Iterator[Traffic]:
    """Log a line on the master, and wait until the collector has it."""
    line = nonce("line")
    log_on_master(lab, line.value.decode())
    wait_for_entry(lab, line.value.decode())
    yield Traffic(
        line,
        "the line that a program on the master logged",
        "the collector got a line that a program on the master logged during the capture",
    )


TECHNIQUE = replace(
    eavesdropping.technique(
        "eavesdrop-journal-upload",
        "Read the machines' logs while they are sent to the collector",
        EavesdropTarget(
            about="systemd-journal-upload@master -> *",
            traffic=line_logged,
            plaintext="plaintext HTTP, the log is in it",
            machines=(COLLECTOR,),
        ),
    ),
    modes=MODES,
)
