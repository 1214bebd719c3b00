"""Machines send their journals by mutual TLS, and pin the collector's authority."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Whole
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model

__all__ = ["CONTROL"]

SENT = "systemd-journal-upload@* -> *"
STRANGERS = "anyone@network -> systemd-journal-remote@*"
#: The files that decide it, each with the role of its machines.
FILES = (
    ("master", "/etc/systemd/journal-upload.conf"),
    ("worker", "/etc/systemd/journal-upload.conf"),
    ("monitor", "/etc/systemd/system/systemd-journal-remote.service"),
)


#: The tunnel, which only an environment with the control has: it checks the certificates.
TUNNEL = ("/etc/stunnel/journal.conf", "/etc/systemd/system/stunnel.service")


def _on() -> tuple[Edit, ...]:
    mode = "logs-hardened"
    return (
        *(file_from(mode, path, role) for role, path in FILES),
        *(file_from(mode, path, "monitor") for path in TUNNEL),
    )


def _off() -> tuple[Edit, ...]:
    return (
        *(file_from("logs-insecure", path, role) for role, path in FILES),
        *(Whole("monitor", path, None) for path in TUNNEL),
    )


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a collector, there is nothing to protect."""
    return all(
        it.client_authentication.value == "required"
        and it.server_authentication.value == "verified"
        for it in (*model.open_channels(SENT), *model.open_channels(STRANGERS))
    )


CONTROL = Control(
    name="journal-tls",
    title="Machines send their journals by mutual TLS with a pinned authority",
    why="A collector that takes entries from everybody has evidence of nothing.",
    on=_on,
    off=_off,
    holds=holds,
    changes="systemd-journal-upload -> the collector: TLS, server and client verified",
    stops=("eavesdrop-journal-upload", "forge-journal-entries"),
    references=(
        "systemd documentation: systemd-journal-upload.service",
        "systemd documentation: systemd-journal-remote.service",
        "stunnel documentation",
    ),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
