"""Machines send their journals by mutual TLS, and pin the collector's authority."""

from __future__ import annotations

from labkit.cluster.edits import Edit
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model

__all__ = ["CONTROL"]

#: The files that decide it, each with the role of its machines.
FILES = (
    ("master", "/etc/systemd/journal-upload.conf"),
    ("worker", "/etc/systemd/journal-upload.conf"),
    ("monitor", "/etc/systemd/journal-remote.conf"),
    ("monitor", "/etc/systemd/system/systemd-journal-remote.service"),
)


def _edits(mode: str) -> tuple[Edit, ...]:
    return tuple(file_from(mode, path, role) for role, path in FILES)


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a collector, there is nothing to protect."""
    return all(
        it.client_authentication.value == "required"
        and it.server_authentication.value == "verified"
        for it in model.open_channels("* -> systemd-journal-remote@*")
    )


CONTROL = Control(
    name="journal-tls",
    title="Machines send their journals by mutual TLS with a pinned authority",
    why="A collector that takes entries from everybody has evidence of nothing.",
    on=lambda: _edits("logs-hardened"),
    off=lambda: _edits("logs-insecure"),
    holds=holds,
    changes="systemd-journal-upload -> systemd-journal-remote: TLS, server and client verified",
    stops=("eavesdrop-journal-upload", "forge-journal-entries"),
    references=(
        "systemd documentation: systemd-journal-upload.service",
        "systemd documentation: systemd-journal-remote.service",
    ),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
