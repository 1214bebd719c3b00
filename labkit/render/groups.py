"""What a picture shows: equal workers and members as one box, channels by their protection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from labkit.model import Channel, channels

__all__ = ["PROTECTIONS", "Box", "Edge", "Look", "grouped", "protection"]


Dashes = Literal["solid", "dashed", "dotted", "dashdot"]


class Look(NamedTuple):
    """How a protection is drawn, and what the legend calls it."""

    colour: str
    dashes: Dashes
    width: float
    legend: str


# The colours are Okabe and Ito's, which people see apart who are colour-blind; the lines differ
# in dashes and width too, so that a grey print is enough.
PROTECTIONS = {
    "plaintext": Look("#D55E00", "solid", 2.6, "plaintext"),
    "weak": Look("#E69F00", "dashed", 2.2, "unverified, anonymous or open to all"),
    "mutual": Look("#009E73", "solid", 1.6, "mutual TLS"),
    "local": Look("#7F7F7F", "solid", 1.2, "local socket, by file mode"),
    "unknown": Look("#CC79A7", "dashdot", 1.6, "not known"),
    "closed": Look("#B0B0B0", "dotted", 1.4, "closed"),
}


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A component, or several equal ones of a zone."""

    zone: str
    name: str


@dataclass(frozen=True, slots=True)
class Edge:
    """Channels between two boxes that have listener and protection in common."""

    client: Box
    server: Box
    place: str
    protection: str
    channels: tuple[Channel, ...]

    @property
    def label(self) -> str:
        """The port, or a socket's file name; the protocol where no port is known."""
        return f":{self.place}" if self.place.isdigit() else self.place.rpartition("/")[2]


def protection(channel: Channel) -> str:
    """Name how well a channel is protected: one of :data:`PROTECTIONS`.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model import build_model
    >>> protection(channels(build_model(read_environment("hardened")))[0])
    'mutual'
    """
    values = (
        channel.encryption.value,
        channel.server_authentication.value,
        channel.client_authentication.value,
    )
    if not channel.open:
        return "closed"
    if "unknown" in values:
        return "unknown"
    if values[0] == "none":
        return "plaintext"
    if values[0] == "local":
        return "local" if values[2] == "file-mode" else "weak"
    return "mutual" if values[1:] == ("verified", "required") else "weak"


def grouped(
    graph: Any, wanted: Iterable[Channel] | None = None
) -> tuple[dict[Box, int], list[Edge]]:
    """Group a model's components and channels.

    Returns
    -------
    boxes : dict of Box to int
        How many components each one stands for.
    edges : list of Edge
        In the channels' order.
    """
    chosen = list(channels(graph) if wanted is None else wanted)
    members: dict[Box, set[str]] = {}
    edges: dict[tuple[Box, Box, str, str], list[Channel]] = {}

    def box(name: str) -> Box:
        # what another tool drew has no machine in its name
        found = Box(str(graph.nodes[name]["zone"]), name.rpartition("@")[0] or name)
        members.setdefault(found, set()).add(name)
        return found

    for channel in chosen:
        place = channel.path or (channel.protocol if channel.port is None else str(channel.port))
        key = (box(channel.client), box(channel.server), place, protection(channel))
        edges.setdefault(key, []).append(channel)
    counts = {found: len(names) for found, names in sorted(members.items())}
    return counts, [Edge(*key, tuple(many)) for key, many in edges.items()]


def caption(box: Box, count: int) -> str:
    """Return what stands in a box.

    Examples
    --------
    >>> caption(Box("worker node", "kubelet"), 2)
    'kubelet (2)'
    """
    return f"{box.name} ({count})" if count > 1 else box.name
