"""No machine serves the collected logs to the network."""

from __future__ import annotations

from labkit.cluster.edits import Whole
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT = "/etc/systemd/system/systemd-journal-gatewayd.service"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = model.open_channels("anyone@network -> systemd-journal-gatewayd@*")
    return all(it.client_authentication.value == "required" for it in found)


CONTROL = Control(
    name="journal-gateway-closed",
    title="No machine serves the collected logs to everybody on the network",
    why="A log store holds what every other control keeps from callers: names, tokens, secrets.",
    on=(Whole("monitor", UNIT, None),),
    off=lambda: (file_from("logs-insecure", UNIT, "monitor"),),
    holds=holds,
    changes="anyone -> systemd-journal-gatewayd@monitor:19531, which is gone",
    stops=("read-secrets-in-logs",),
    references=("systemd documentation: systemd-journal-gatewayd.service",),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
