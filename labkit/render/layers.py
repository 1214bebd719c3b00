"""Layered layout of any model: trust zones below each other, clients above their servers.

The method is that of Sugiyama, Tagawa and Toda (1981): assign each box to a row, reserve a place
in every row that a line crosses, order the rows for few crossings, then straighten the lines.
The result is deterministic.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from labkit.render.groups import Box, Edge
from labkit.render.layout import HEIGHT, MARGIN, WIDTH, Area, Point

__all__ = ["Order", "Rows", "arrange", "measure"]

MOST = 6
#: Distances: of two boxes, of a box and a line, of two lines, of lines at a box.
GAP, ASIDE, LINE, SLOT = 0.34, 0.22, 0.13, 0.15
HEADER = 0.34
SWEEPS = 10
FIRST = ("outside", "cluster network", "master node", "worker node")

#: A box, or the place where a line crosses a row: the numbers of the edge and of the row.
Item: TypeAlias = Box | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of boxes in rows, and their horizontal positions; heights come later.

    Attributes
    ----------
    rows : list of list of Item
        From top to bottom, each from left to right.
    chains : dict of int to list of Item
        What each edge passes through, from top to bottom, by the edge's number.
    xs, widths : dict of Item to float, dict of Box to float
        Horizontal positions, and widths of boxes, in units of a plan.
    loops : dict of Box to str
        The label of each box's edge to itself.
    """

    rows: list[list[Item]]
    chains: dict[int, list[Item]]
    xs: dict[Item, float]
    widths: dict[Box, float]
    loops: dict[Box, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """Positions of boxes, and the points of the lines between them, in units of a plan.

    Attributes
    ----------
    points, widths, frames, size
        As in :class:`labkit.render.plan.Plan`.
    ways : dict of int to tuple of (float, float)
        The points of each line, by the edge's number.
    """

    points: dict[Box, Point]
    widths: dict[Box, float]
    frames: dict[str, Area]
    ways: dict[int, tuple[Point, ...]]
    size: Point


def arrange(boxes: Sequence[Box], edges: Sequence[Edge]) -> Order:
    """Arrange boxes in rows with few crossings of lines.

    Parameters
    ----------
    boxes : sequence of Box
    edges : sequence of Edge

    Returns
    -------
    Order

    Examples
    --------
    >>> one, two = Box("a", "client"), Box("b", "server")
    >>> arrange([one, two], [Edge(one, two, "443", "mutual", ())]).rows
    [[Box(zone='a', name='client')], [Box(zone='b', name='server')]]
    """
    bands = [band for zone in _zones(boxes, edges) for band in _bands(zone, boxes, edges)]
    row_of = {box: number for number, band in enumerate(bands) for box in band}
    chains = {
        number: _chain(number, edge, row_of)
        for number, edge in enumerate(edges)
        if edge.client != edge.server
    }
    rows: list[list[Item]] = [list(band) for band in bands]
    for chain in chains.values():
        for item in chain[1:-1]:
            if isinstance(item, tuple):
                rows[item[1]].append(item)
    links = _Links(chains.values())
    rows = _ordered(rows, links)
    ends = links.degree
    loops = {edge.client: edge.label for edge in edges if edge.client == edge.server}
    widths = {box: max(WIDTH, SLOT * (ends(box) + 1)) for box in boxes}
    xs = _columns(rows, links, widths, loops)
    return Order(rows, chains, xs, widths, loops)


# -- rows -----------------------------------------------------------------------------------


def _zones(boxes: Sequence[Box], edges: Sequence[Edge]) -> list[str]:
    """Return the zones from top to bottom: known ones first, then those with most clients."""
    calls: dict[str, int] = dict.fromkeys((box.zone for box in boxes), 0)
    for edge in edges:
        calls[edge.client.zone] += 1
        calls[edge.server.zone] -= 1

    def rank(zone: str) -> tuple[int, int, str]:
        return (FIRST.index(zone) if zone in FIRST else len(FIRST), -calls[zone], zone)

    return sorted(calls, key=rank)


def _bands(zone: str, boxes: Sequence[Box], edges: Sequence[Edge]) -> list[list[Box]]:
    """Return the rows of a zone: a client and its server are never in the same row."""
    inside = [box for box in boxes if box.zone == zone]
    peers: dict[Box, set[Box]] = {box: set() for box in inside}
    calls = dict.fromkeys(inside, 0)
    for edge in edges:
        if edge.client != edge.server and edge.client in peers and edge.server in peers:
            peers[edge.client].add(edge.server)
            peers[edge.server].add(edge.client)
            calls[edge.client] += 1
            calls[edge.server] -= 1
    depth: dict[Box, int] = {}
    for box in sorted(inside, key=lambda box: (-calls[box], box)):
        depth[box] = max((depth[peer] + 1 for peer in peers[box] if peer in depth), default=0)
    layers: dict[int, list[Box]] = defaultdict(list)
    for box in inside:
        layers[depth[box]].append(box)
    bands = []
    for _, layer in sorted(layers.items()):
        size = ceil(len(layer) / ceil(len(layer) / MOST))
        bands += [layer[start : start + size] for start in range(0, len(layer), size)]
    return bands


def _chain(number: int, edge: Edge, row_of: dict[Box, int]) -> list[Item]:
    """Return the items that a line passes through, from top to bottom."""
    upper, lower = sorted((edge.client, edge.server), key=lambda box: row_of[box])
    between = range(row_of[upper] + 1, row_of[lower])
    return [upper, *((number, row) for row in between), lower]


class _Links:
    """The neighbours of each item in the rows above and below."""

    def __init__(self, chains: Iterable[list[Item]]) -> None:
        self.up: dict[Item, list[Item]] = defaultdict(list)
        self.down: dict[Item, list[Item]] = defaultdict(list)
        for chain in chains:
            for upper, lower in itertools.pairwise(chain):
                self.down[upper].append(lower)
                self.up[lower].append(upper)

    def degree(self, item: Item) -> int:
        """Return the larger number of lines at the top or at the bottom of an item."""
        return max(len(self.up[item]), len(self.down[item]))


# -- order ----------------------------------------------------------------------------------


def _ordered(rows: list[list[Item]], links: _Links) -> list[list[Item]]:
    """Return the rows in an order with few crossings: barycentre sweeps down and up."""
    best, least = rows, _crossings(rows, links)
    for sweep in range(SWEEPS):
        if not least:
            break
        rows = [list(row) for row in rows]
        downwards = sweep % 2 == 0
        near = links.up if downwards else links.down
        numbers = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        for number in numbers:
            beside = rows[number - 1 if downwards else number + 1]
            spot = {item: index / max(1, len(beside)) for index, item in enumerate(beside)}
            own = {item: index / len(rows[number]) for index, item in enumerate(rows[number])}
            for item in own:
                if joined := near[item]:
                    own[item] = sum(spot[other] for other in joined) / len(joined)
            rows[number].sort(key=lambda item: own[item])
        if (count := _crossings(rows, links)) < least:
            best, least = rows, count
    return best


def _crossings(rows: list[list[Item]], links: _Links) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        spot = {item: index for index, item in enumerate(lower)}
        seen: list[int] = []
        for item in upper:
            ends = sorted(spot[other] for other in links.down[item])
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


# -- positions ------------------------------------------------------------------------------


def _columns(
    rows: list[list[Item]],
    links: _Links,
    widths: dict[Box, float],
    loops: dict[Box, str],
) -> dict[Item, float]:
    """Return the horizontal position of each item: near its neighbours in other rows."""

    def apart(left: Item, right: Item) -> float:
        room = 0.0
        if isinstance(left, Box):
            room += widths[left] / 2 + _loop(left, loops)
        if isinstance(right, Box):
            room += widths[right] / 2
        boxes = isinstance(left, Box) + isinstance(right, Box)
        return room + (LINE, ASIDE, GAP)[boxes]

    steps = [[0.0, *(apart(*pair) for pair in itertools.pairwise(row))] for row in rows]
    xs: dict[Item, float] = {}
    for number, row in enumerate(rows):
        whole = sum(steps[number])
        x = -whole / 2
        for item, step in zip(row, steps[number], strict=True):
            x += step
            xs[item] = x
    for sweep in range(8):
        numbers = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for number in numbers:
            row = rows[number]
            wanted = []
            for item in row:
                near = [*links.up[item], *links.down[item]]
                wanted.append(sum(xs[other] for other in near) / len(near) if near else xs[item])
            weights = [1.0 if isinstance(item, Box) else 3.0 for item in row]
            xs.update(zip(row, _spread(wanted, weights, steps[number]), strict=True))
    return xs


def _spread(
    wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]
) -> list[float]:
    """Return the positions nearest to the wanted ones that keep the order and the distances.

    This is isotonic regression, by the pool-adjacent-violators algorithm.
    """
    offsets = []
    total = 0.0
    for step in apart:
        total += step
        offsets.append(total)
    pools: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        value, mass, count = want - offset, weight, 1
        while pools and pools[-1][0] >= value:
            other, more, many = pools.pop()
            value = (other * more + value * mass) / (more + mass)
            mass, count = mass + more, count + many
        pools.append((value, mass, count))
    flat = [value for value, _, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _loop(box: Box, loops: dict[Box, str]) -> float:
    """Return the width at the right of a box that its line to itself needs."""
    return 0.5 + 0.082 * len(loops[box]) if box in loops else 0.0


def measure(order: Order, stretch: float = 1.0) -> Rows:
    """Return the positions of an order.

    Parameters
    ----------
    order : Order
    stretch : float
        Factor for the distance between rows.

    Returns
    -------
    Rows

    Examples
    --------
    >>> one, two = Box("a", "client"), Box("b", "server")
    >>> rows = measure(arrange([one, two], [Edge(one, two, "443", "mutual", ())]))
    >>> rows.points[one][1] > rows.points[two][1]
    True
    """
    rows, chains, xs, widths, loops = (
        order.rows, order.chains, order.xs, order.widths, order.loops
    )  # fmt: skip
    boxes = [item for row in rows for item in row if isinstance(item, Box)]
    left = min([xs[box] - widths[box] / 2 for box in boxes] + [xs[item] for item in xs])
    right = max(
        [xs[box] + widths[box] / 2 + _loop(box, loops) for box in boxes] + [xs[i] for i in xs]
    )
    shift = MARGIN + 0.1 - left
    width = right - left + 2 * MARGIN
    heights, frames = _heights(rows, chains, width, stretch)
    low = 0.1 - min(frame[1] for frame in frames.values())
    points = {box: (xs[box] + shift, heights[number] + low) for number, row in enumerate(rows)
              for box in row if isinstance(box, Box)}  # fmt: skip
    middle = {
        item: (x + shift, heights[item[1]] + low)
        for item, x in xs.items()
        if not isinstance(item, Box)
    }
    ways = _ways(chains, points, middle, widths)
    placed = {
        zone: (0.1, bottom + low, 0.1 + width, top + low)
        for zone, (_, bottom, _, top) in frames.items()
    }
    return Rows(points, widths, placed, ways, (width + 0.2, low + 0.1))


def _heights(
    rows: list[list[Item]], chains: dict[int, list[Item]], width: float, stretch: float
) -> tuple[list[float], dict[str, Area]]:
    """Return the height of each row, and the frames; rows with more lines are further apart."""
    row_of = {item: number for number, row in enumerate(rows) for item in row}
    zone_of = [next(item.zone for item in row if isinstance(item, Box)) for row in rows]
    lines = [0.0] * len(rows)
    for chain in chains.values():
        for item in chain[1:]:
            lines[row_of[item]] += 1 / (len(chain) - 1)
    heights: list[float] = []
    frames: dict[str, Area] = {}
    y = top = 0.0
    for number, zone in enumerate(zone_of):
        room = (0.5 + 0.24 * ceil(lines[number] / width)) * stretch
        if number and zone == zone_of[number - 1]:
            y -= room + HEIGHT
        else:
            if number:
                y = frames[zone_of[number - 1]][1] - max(0.3, room - HEADER - MARGIN)
            top = y
            y -= HEADER + MARGIN + HEIGHT / 2
        heights.append(y)
        frames[zone] = (0.0, y - HEIGHT / 2 - MARGIN, width, top)
    return heights, frames


def _ways(
    chains: dict[int, list[Item]],
    points: dict[Box, Point],
    middle: dict[tuple[int, int], Point],
    widths: dict[Box, float],
) -> dict[int, tuple[Point, ...]]:
    """Return the points of each line; at a box, every line has its own place."""

    def x_of(item: Item) -> float:
        return points[item][0] if isinstance(item, Box) else middle[item][0]

    sides: dict[tuple[Box, bool], list[tuple[float, int]]] = defaultdict(list)
    for number, chain in chains.items():
        upper, lower = chain[0], chain[-1]
        assert isinstance(upper, Box)
        assert isinstance(lower, Box)
        sides[upper, False].append((x_of(chain[1]), number))
        sides[lower, True].append((x_of(chain[-2]), number))
    slots: dict[tuple[int, bool], Point] = {}
    for (box, above), ends in sides.items():
        x, y = points[box]
        pitch = min(SLOT * 1.6, (widths[box] - 0.16) / len(ends))
        for index, (_, number) in enumerate(sorted(ends)):
            at = x + (index - (len(ends) - 1) / 2) * pitch
            slots[number, above] = (at, y + HEIGHT / 2 if above else y - HEIGHT / 2)
    ways = {}
    for number, chain in chains.items():
        way = [slots[number, False]]
        for item in chain[1:-1]:
            if not isinstance(item, Box):
                x, y = middle[item]
                way += [(x, y + HEIGHT / 2), (x, y - HEIGHT / 2)]
        way.append(slots[number, True])
        ways[number] = tuple(way)
    return ways
