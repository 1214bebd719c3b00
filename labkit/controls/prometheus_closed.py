"""Prometheus answers its own machine only."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT, ADDRESS = "prometheus.service", "web.listen-address"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = model.open_channels("anyone@network -> prometheus@*")
    return all(it.client_authentication.value == "required" for it in found)


CONTROL = Control(
    name="prometheus-closed",
    title="Prometheus answers its own machine only",
    why="Its API has no authentication of its own, and its labels carry the names of everything.",
    on=(Flag("monitor", UNIT, ADDRESS, "127.0.0.1:9090"),),
    off=(Flag("monitor", UNIT, ADDRESS, "0.0.0.0:9090"),),
    holds=holds,
    changes="anyone -> prometheus@monitor:9090, which is closed",
    stops=("metrics-open",),
    references=("Prometheus documentation: Security Model",),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
