"""Group a model for a picture: equal components in one box, channels by their protection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from labkit.model import Channel, Component, Model
from labkit.model.threat_model import end_of_channel

__all__ = ["PROTECTIONS", "Box", "Edge", "Look", "grouped", "protection"]


Dashes = Literal["solid", "dashed", "dotted", "dashdot"]


class Look(NamedTuple):
    """The line of a protection, and its text in the legend.

    Attributes
    ----------
    colour : str
        As ``#RRGGBB``.
    dashes : {"solid", "dashed", "dotted", "dashdot"}
    width : float
        In points.
    legend : str
    """

    colour: str
    dashes: Dashes
    width: float
    legend: str


# Okabe and Ito's colours, which colour-blind readers can distinguish. Dashes and widths differ
# too, for a print without colours.
PROTECTIONS = {
    "plaintext": Look("#D55E00", "solid", 2.6, "plaintext"),
    "weak": Look("#E69F00", "dashed", 2.2, "unverified, anonymous or open to all"),
    "mutual": Look("#009E73", "solid", 1.6, "TLS, both ends authenticated"),
    "local": Look("#7F7F7F", "solid", 1.2, "local socket, by file mode"),
    "unknown": Look("#CC79A7", "dashdot", 1.6, "not known"),
    "closed": Look("#B0B0B0", "dotted", 1.4, "closed"),
}


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A box of a picture: one component, or several equal components of a zone.

    Attributes
    ----------
    zone, name : str
    """

    zone: str
    name: str


@dataclass(frozen=True, slots=True)
class Edge:
    """Channels between two boxes with the same listener and the same protection.

    Attributes
    ----------
    client, server : Box
    place : str
        A port, a path or a protocol; empty if the channels have several.
    protection : str
        One of :data:`PROTECTIONS`.
    channels : tuple of Channel
    """

    client: Box
    server: Box
    place: str
    protection: str
    channels: tuple[Channel, ...]

    @property
    def label(self) -> str:
        """The port, the socket's file name or the protocol; for several, the channel count."""
        if not self.place:
            return f"{len(self.channels)}×"
        return f":{self.place}" if self.place.isdigit() else self.place.rpartition("/")[2]


def protection(channel: Channel) -> str:
    """Return the protection of a channel: one of :data:`PROTECTIONS`.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> protection(read_model("hardened").channels[0])
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


#: Most boxes and lines of a readable picture.
MOST, MOST_LINES = 60, 150
#: Most zones of a readable picture; the zones with the fewest components share one box.
MOST_ZONES = 12
OTHERS = "other zones"


def grouped(
    model: Model, wanted: Iterable[Channel] | None = None
) -> tuple[dict[Box, int], list[Edge]]:
    """Group a model's components into boxes, and its channels into edges.

    Equal components of a zone share a box. If the picture is still too large, the grouping
    becomes coarser, in three steps: one box for all components of a kind; one edge for all
    ports; one box for each zone. In the last step an edge has its worst channel's protection.

    Parameters
    ----------
    model : Model
    wanted : iterable of Channel, optional
        Draw only these channels and their components.

    Returns
    -------
    boxes : dict of Box to int
        The number of components in each box.
    edges : list of Edge
        In the order of the channels.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> boxes, edges = grouped(read_model("hardened"))
    >>> boxes[Box("worker node", "kubelet")]
    2
    """
    chosen = list(model.channels if wanted is None else wanted)
    parts = {it.id: it for it in model.components}
    box_of: dict[str, Box] = {}
    edges: list[Edge] = []
    for name_of, place_of in (
        (_same_name, _place),
        (_kind, _place),
        (_kind, _no_place),
    ):
        box_of = _boxes(parts, chosen, name_of)
        edges = _lines(chosen, box_of, place_of)
        if len(set(box_of.values())) <= MOST and len(edges) <= MOST_LINES:
            break
    else:
        box_of = _zones(parts, chosen)
        edges = _worst(_lines(chosen, box_of, _no_place))
    return dict(sorted(Counter(box_of.values()).items())), edges


def _boxes(
    parts: Mapping[str, Component],
    chosen: Iterable[Channel],
    name_of: Callable[[Component], str],
) -> dict[str, Box]:
    found: dict[str, Box] = {}
    for it in chosen:
        for end, zone in ((it.client, it.client_zone), (it.server, it.server_zone)):
            if end not in found:
                part = parts.get(end) or end_of_channel(end, zone)
                found[end] = Box(part.zone, name_of(part))
    return found


def _zones(parts: Mapping[str, Component], chosen: Iterable[Channel]) -> dict[str, Box]:
    found = _boxes(parts, chosen, lambda part: part.zone)
    sizes = Counter(found.values())
    ordered = sorted(sizes, key=lambda box: (-sizes[box], box))
    kept = ordered if len(ordered) <= MOST_ZONES else ordered[: MOST_ZONES - 1]
    return {end: box if box in kept else Box(OTHERS, OTHERS) for end, box in found.items()}


def _lines(
    chosen: Iterable[Channel], box_of: dict[str, Box], place_of: Callable[[Channel], str]
) -> list[Edge]:
    edges: dict[tuple[Box, Box, str, str], list[Channel]] = {}
    for it in chosen:
        key = (box_of[it.client], box_of[it.server], place_of(it), protection(it))
        edges.setdefault(key, []).append(it)
    return [Edge(*key, tuple(many)) for key, many in edges.items()]


def _worst(edges: Iterable[Edge]) -> list[Edge]:
    order = list(PROTECTIONS)
    pairs: dict[tuple[Box, Box], list[Edge]] = {}
    for edge in edges:
        pairs.setdefault((edge.client, edge.server), []).append(edge)
    found = []
    for pair, many in pairs.items():
        worst = min((edge.protection for edge in many), key=order.index)
        together = tuple(channel for edge in many for channel in edge.channels)
        found.append(Edge(*pair, "", worst, together))
    return found


def _same_name(part: Component) -> str:
    return part.id.rpartition("@")[0] or part.id


def _kind(part: Component) -> str:
    return part.kind


def _place(channel: Channel) -> str:
    return channel.path or (channel.protocol if channel.port is None else str(channel.port))


def _no_place(_: Channel) -> str:
    return ""


def caption(box: Box, count: int) -> str:
    """Return the text of a box.

    Parameters
    ----------
    box : Box
    count : int
        The number of components in the box.

    Returns
    -------
    str

    Examples
    --------
    >>> caption(Box("worker node", "kubelet"), 2)
    'kubelet (2)'
    """
    return f"{box.name} ({count})" if count > 1 else box.name


def folded(text: str, width: float) -> list[str]:
    """Fold a caption into one or two lines that fit into a box; the rest is cut.

    Parameters
    ----------
    text : str
    width : float
        Width of the box in units of a plan.

    Returns
    -------
    list of str

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
