"""What a picture shows: equal workers and members as one box, channels by their protection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        """The port, or a socket's file name."""
        return self.place.rpartition("/")[2] if "/" in self.place else f":{self.place}"


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


#: More boxes than these are on no picture: nobody could read it.
MOST = 60


def grouped(
    graph: Any, wanted: Iterable[Channel] | None = None
) -> tuple[dict[Box, int], list[Edge]]:
    """Group a model's components and channels.

    Equal components of a zone are one box. Where that leaves too many, all of a kind are, and
    in the end all of a zone.

    Parameters
    ----------
    graph : networkx.MultiDiGraph
    wanted : iterable of Channel, optional
        Only these, and the components at their ends.

    Returns
    -------
    boxes : dict of Box to int
        How many components each one stands for.
    edges : list of Edge
        In the channels' order.
    """
    chosen = list(channels(graph) if wanted is None else wanted)
    boxes, edges = _by(graph, chosen, _same_name)
    for name in (_kind, _zone):
        if len(boxes) <= MOST:
            break
        boxes, edges = _by(graph, chosen, name)
    return boxes, edges


def _by(
    graph: Any, chosen: Iterable[Channel], name_of: Callable[[str, Any], str]
) -> tuple[dict[Box, int], list[Edge]]:
    members: dict[Box, set[str]] = {}
    edges: dict[tuple[Box, Box, str, str], list[Channel]] = {}

    def box(name: str) -> Box:
        node = graph.nodes[name]
        found = Box(str(node["zone"]), name_of(name, node))
        members.setdefault(found, set()).add(name)
        return found

    for channel in chosen:
        place = channel.path or str(channel.port)
        key = (box(channel.client), box(channel.server), place, protection(channel))
        edges.setdefault(key, []).append(channel)
    counts = {found: len(names) for found, names in sorted(members.items())}
    return counts, [Edge(*key, tuple(many)) for key, many in edges.items()]


def _same_name(name: str, _: Any) -> str:
    return name.rpartition("@")[0] or name


def _kind(_: str, node: Any) -> str:
    return str(node["kind"])


def _zone(_: str, node: Any) -> str:
    return str(node["zone"])


def caption(box: Box, count: int) -> str:
    """Return what stands in a box.

    Examples
    --------
    >>> caption(Box("worker node", "kubelet"), 2)
    'kubelet (2)'
    """
    return f"{box.name} ({count})" if count > 1 else box.name


def folded(text: str, width: float) -> list[str]:
    """Return a caption in one line or two, as fits into a box; what does not fit is cut off.

    Examples
    --------
    >>> folded("kube-controller-manager", 1.28)
    ['kube-controller-', 'manager']
    """
    most = int(width * 13.3)
    text = " ".join(text.split())
    if len(text) <= most:
        return [text]
    fold = max(text.rfind(mark, 0, most) for mark in "-/ _.") + 1
    first, rest = text[: fold or most], text[fold or most :]
    return [first.rstrip(), rest if len(rest) <= most else f"{rest[: most - 1]}…"]
