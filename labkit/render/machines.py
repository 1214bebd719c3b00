"""Plan a picture that shows every component of a model by itself, grouped by machine.

The frames of machines that run the same components stand side by side; machines that call others
stand above those that are called. Of several ways to bend a line, the one counts that passes
behind the fewest boxes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import ceil, sqrt

from labkit.model import Channel, Component, Model
from labkit.model.threat_model import NETWORK_ZONE, end_of_channel
from labkit.render.groups import MOST, MOST_LINES, Box, Edge, grouped, protection
from labkit.render.layout import HEIGHT, WIDTH, Area, Point
from labkit.render.plan import Curve, Plan, clipped, labelled, plan, point_on

__all__ = ["by_machine", "plan_by_machine"]

#: Distances of a frame's border and its boxes, of boxes, of frames; the height of a frame's name.
PAD, GAP, ROW_GAP, FRAME_GAP, HEADER = 0.24, 0.42, 0.72, 0.6, 0.3
#: Widest gap of two frames in a row that is not full.
WIDEST_GAP = 1.6
#: Most columns of boxes in a frame, and the width at which a row of frames is full.
MOST_COLUMNS, MOST_WIDTH = 5, 13.0
#: How far a line may be bent, as a part of its length; the straightest first.
BENDS = (0.0, 0.1, -0.1, 0.2, -0.2, 0.32, -0.32, 0.45, -0.45)
#: Points of a line at which boxes are looked for.
LOOKS = 20


def by_machine(model: Model, channels: Iterable[Channel]) -> tuple[dict[Box, int], list[Edge]]:
    """Return a box for each component, and an edge for each channel.

    A model that is too large for that is grouped as :func:`labkit.render.groups.grouped` does it.

    Parameters
    ----------
    model : Model
    channels : iterable of Channel
        The channels to draw.

    Returns
    -------
    boxes : dict of Box to int
        The number of components in each box. A box's zone is the machine, or the trust zone of a
        component without a machine.
    edges : list of Edge
        In the order of the channels.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> boxes, edges = by_machine(model, model.channels)
    >>> boxes[Box("worker2", "kubelet")], len(edges) == len(model.channels)
    (1, True)
    """
    chosen = list(channels)
    parts = {it.id: it for it in model.components}
    ends: dict[str, Box] = {}
    for it in chosen:
        for end, zone in ((it.client, it.client_zone), (it.server, it.server_zone)):
            ends.setdefault(end, _box(parts.get(end) or end_of_channel(end, zone)))
    # two components of one name and machine share a box
    boxes = Counter(ends.values())
    if len(boxes) > MOST or len(chosen) > MOST_LINES:
        return grouped(model, chosen)
    edges = [
        Edge(ends[it.client], ends[it.server], _place(it), protection(it), (it,)) for it in chosen
    ]
    return dict(sorted(boxes.items())), edges


def _box(part: Component) -> Box:
    name, _, node = part.id.rpartition("@")
    machine = part.node or (node if node and name else "")
    return Box(machine or part.zone or NETWORK_ZONE, name if name and node == machine else part.id)


def _place(channel: Channel) -> str:
    return channel.path or (channel.protocol if channel.port is None else str(channel.port))


def plan_by_machine(boxes: Iterable[Box], edges: Sequence[Edge]) -> Plan:
    """Return the positions of all parts of a picture whose frames are machines.

    Parameters
    ----------
    boxes : iterable of Box
    edges : sequence of Edge
        What :func:`by_machine` returns.

    Returns
    -------
    Plan
        Equal for equal arguments.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> sorted(plan_by_machine(*by_machine(model, model.channels)).frames)
    ['etcd1', 'etcd2', 'etcd3', 'master', 'network', 'worker1', 'worker2']
    """
    chosen = sorted(boxes)
    if any(len(edge.channels) > 1 for edge in edges):
        return plan(chosen, edges)
    machines: dict[str, list[Box]] = defaultdict(list)
    for box in chosen:
        machines[box.zone].append(box)
    points, frames, size = _placed(_rows(machines, edges), edges)
    curves = _bent(points, edges)
    widths = dict.fromkeys(points, WIDTH)
    return Plan(points, widths, frames, labelled(points, widths, edges, curves), size)


# -- boxes ----------------------------------------------------------------------------------


def _rows(machines: Mapping[str, list[Box]], edges: Sequence[Edge]) -> list[list[list[Box]]]:
    """Return machines in rows: equal ones side by side, callers above those whom they call."""
    calls: Counter[str] = Counter()
    for edge in edges:
        if edge.client.zone != edge.server.zone:
            calls[edge.client.zone] += 1
            calls[edge.server.zone] -= 1
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, boxes in machines.items():
        alike[frozenset(box.name for box in boxes)].append(name)

    def order(names: list[str]) -> tuple[float, str]:
        return -sum(calls[name] for name in names) / len(names), names[0]

    rows: list[list[list[Box]]] = []
    for names in sorted(alike.values(), key=order):
        row: list[list[Box]] = []
        for name in names:
            width = sum(map(_width, row)) + FRAME_GAP * len(row)
            if row and width + _width(machines[name]) > MOST_WIDTH:
                rows.append(row)
                row = []
            row.append(machines[name])
        rows.append(row)
    return rows


def _columns(boxes: Sequence[Box]) -> int:
    """Return the number of columns of a machine's boxes."""
    return min(MOST_COLUMNS, ceil(sqrt(len(boxes))))


def _width(boxes: Sequence[Box]) -> float:
    columns = _columns(boxes)
    # every second row begins half a box further to the right
    shift = (WIDTH + GAP) / 2 if len(boxes) > columns else 0.0
    return 2 * PAD + columns * WIDTH + (columns - 1) * GAP + shift


def _placed(
    rows: Sequence[Sequence[list[Box]]], edges: Sequence[Edge]
) -> tuple[dict[Box, Point], dict[str, Area], Point]:
    clients = {edge.client for edge in edges}
    servers = {edge.server for edge in edges}
    wide = max(
        (sum(map(_width, row)) + FRAME_GAP * (len(row) - 1) for row in rows), default=MOST_WIDTH
    )
    points: dict[Box, Point] = {}
    frames: dict[str, Area] = {}
    y = 0.0
    for row in rows:
        left_over = wide - sum(map(_width, row))
        between = min(WIDEST_GAP, left_over / (len(row) - 1)) if len(row) > 1 else 0.0
        x = 0.1 + (left_over - between * (len(row) - 1)) / 2
        deepest = y
        for boxes in row:
            # those who only call stand above those who are called as well
            ordered = sorted(boxes, key=lambda it: (it in servers, it not in clients, it))
            columns, high = _columns(boxes), y - HEADER - PAD - HEIGHT / 2
            for number, box in enumerate(ordered):
                line, column = divmod(number, columns)
                shift = (WIDTH + GAP) / 2 if line % 2 else 0.0
                left = x + PAD + WIDTH / 2 + column * (WIDTH + GAP) + shift
                points[box] = (left, high - line * (HEIGHT + ROW_GAP))
            bottom = min(points[box][1] for box in boxes) - HEIGHT / 2 - PAD
            frames[boxes[0].zone] = (x, bottom, x + _width(boxes), y)
            deepest = min(deepest, bottom)
            x += _width(boxes) + between
        y = deepest - FRAME_GAP
    up = 0.1 - min((frame[1] for frame in frames.values()), default=0.0)
    points = {box: (x, at + up) for box, (x, at) in points.items()}
    frames = {
        name: (left, low + up, right, high + up)
        for name, (left, low, right, high) in frames.items()
    }
    return points, frames, (wide + 0.2, up + 0.1)


# -- lines ----------------------------------------------------------------------------------


def _bent(points: Mapping[Box, Point], edges: Sequence[Edge]) -> list[Curve]:
    """Return a line for each edge; lines of the same two boxes are bent apart."""
    taken: dict[frozenset[Box], set[float]] = defaultdict(set)
    curves: list[Curve] = []
    for edge in edges:
        start, end = points[edge.client], points[edge.server]
        if edge.client == edge.server:
            x, y = start[0], start[1] + HEIGHT / 2
            curves.append(((x - 0.26, y), (x - 0.2, y + 0.4), (x + 0.2, y + 0.4), (x + 0.26, y)))
            continue
        pair = frozenset((edge.client, edge.server))
        others = [at for box, at in points.items() if box not in pair]
        sign = 1.0 if edge.client < edge.server else -1.0
        ways = {
            bend: clipped(start, _middle(start, end, bend * sign), end)
            for bend in BENDS
            if bend not in taken[pair]
        } or {0.0: clipped(start, _middle(start, end, 0.0), end)}
        best = min(ways, key=lambda bend: (_behind(ways[bend], others), BENDS.index(bend)))
        taken[pair].add(best)
        curves.append(ways[best])
    return curves


def _middle(start: Point, end: Point, bend: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    return (start[0] + end[0]) / 2 + bend * dy, (start[1] + end[1]) / 2 - bend * dx


def _behind(curve: Curve, others: Sequence[Point]) -> int:
    """Return the number of points of a line that lie behind boxes."""
    looks = [point_on(curve, number / LOOKS) for number in range(1, LOOKS)]
    near_x, near_y = WIDTH / 2 + 0.05, HEIGHT / 2 + 0.05
    return sum(
        abs(x - to_x) < near_x and abs(y - to_y) < near_y
        for (x, y), (to_x, to_y) in product(looks, others)
    )
