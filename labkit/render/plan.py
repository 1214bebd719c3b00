"""Plan a picture: the positions of boxes, frames, lines and labels, for any drawing code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from labkit.render.groups import Box, Edge
from labkit.render.layers import Rows, arrange, measure
from labkit.render.layout import HEIGHT, WIDTH, Area, Point, is_known, place

__all__ = [
    "Curve",
    "Plan",
    "Stroke",
    "clipped",
    "free",
    "label_size",
    "labelled",
    "plan",
    "point_on",
]

LABEL_HEIGHT, LABEL_CHARACTER = 0.2, 0.082
# Positions of a label on its line, from 0 to 1, the best one first
SPOTS = (0.5, 0.42, 0.58, 0.36, 0.64, 0.3, 0.7, 0.25, 0.75)
# Size of the cells in which lines are looked up
CELL = 0.12
Curve = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of a picture.

    Attributes
    ----------
    edge : Edge
    curve : tuple of (float, float)
        The start, then three points for each cubic Bézier curve.
    label : (float, float) or None
        The middle of its label; None if there is no room for it.
    """

    edge: Edge
    curve: Curve
    label: Point | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Positions of all parts of a picture, in units of about an inch; y grows upwards.

    Attributes
    ----------
    points : dict of Box to (float, float)
        The middle of each box.
    widths : dict of Box to float
    frames : dict of str to (float, float, float, float)
        Left, bottom, right and top of each trust zone.
    strokes : tuple of Stroke
        In the order of the edges.
    size : (float, float)
    """

    points: dict[Box, Point]
    widths: dict[Box, float]
    frames: dict[str, Area]
    strokes: tuple[Stroke, ...]
    size: Point


def plan(boxes: Iterable[Box], edges: Sequence[Edge]) -> Plan:
    """Return the positions of all parts of a picture.

    The components that every cluster has are at fixed positions. Any other model is layered:
    trust zones below each other, clients above their servers.

    Parameters
    ----------
    boxes : iterable of Box
    edges : sequence of Edge

    Returns
    -------
    Plan
        Equal for equal arguments.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> from labkit.render.groups import grouped
    >>> found = plan(*grouped(read_model("hardened")))
    >>> sorted(found.frames)
    ['cluster network', 'master node', 'worker node']
    """
    chosen = sorted(boxes)
    if is_known(chosen):
        points, frames, size = place(chosen)
        curves = _straight(points, edges)
        widths = dict.fromkeys(points, WIDTH)
        return Plan(points, widths, frames, labelled(points, widths, edges, curves), size)
    order = arrange(chosen, edges)
    for stretch in (1.0, 1.35, 1.8, 2.4):
        rows = measure(order, stretch)
        curves = [_through(rows, number, edge) for number, edge in enumerate(edges)]
        strokes = labelled(rows.points, rows.widths, edges, curves)
        if all(stroke.label for stroke in strokes):
            break
    return Plan(rows.points, rows.widths, rows.frames, strokes, rows.size)


def label_size(text: str) -> Point:
    """Return the width and height of a label.

    Parameters
    ----------
    text : str

    Returns
    -------
    (float, float)
        In units of a plan.

    Examples
    --------
    >>> label_size(":6443")[1]
    0.2
    """
    return LABEL_CHARACTER * len(text) + 0.1, LABEL_HEIGHT


# -- lines ----------------------------------------------------------------------------------


def _straight(points: dict[Box, Point], edges: Sequence[Edge]) -> list[Curve]:
    """Return lines from box to box; two lines in opposite directions are bent apart."""
    pairs = {(edge.client, edge.server) for edge in edges}
    curves: list[Curve] = []
    for edge in edges:
        start, end = points[edge.client], points[edge.server]
        if edge.client == edge.server:
            x, y = start[0], start[1] + HEIGHT / 2
            curves.append(((x - 0.26, y), (x - 0.2, y + 0.5), (x + 0.2, y + 0.5), (x + 0.26, y)))
            continue
        rad = 0.14 if (edge.server, edge.client) in pairs else 0.0
        dx, dy = end[0] - start[0], end[1] - start[1]
        middle = ((start[0] + end[0]) / 2 + rad * dy, (start[1] + end[1]) / 2 - rad * dx)
        curves.append(clipped(start, middle, end))
    return curves


def clipped(start: Point, middle: Point, end: Point) -> Curve:
    """Return the part of a quadratic curve outside the boxes at its ends, as a cubic one.

    Parameters
    ----------
    start, middle, end : (float, float)
        The middles of the boxes, which are :data:`WIDTH` wide, and the point between them.

    Returns
    -------
    tuple of (float, float)
    """

    def at(t: float) -> Point:
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        return (
            a * start[0] + b * middle[0] + c * end[0],
            a * start[1] + b * middle[1] + c * end[1],
        )

    def leaves(box: Point, inside: float, outside: float) -> float:
        for _ in range(20):
            t = (inside + outside) / 2
            x, y = at(t)
            within = abs(x - box[0]) < WIDTH / 2 and abs(y - box[1]) < HEIGHT / 2
            inside, outside = (t, outside) if within else (inside, t)
        return outside

    first, last = leaves(start, 0.0, 0.5), leaves(end, 1.0, 0.5)
    one, two = at(first), at(last)
    # the middle of the clipped curve is where the tangents at both ends meet
    u, v = (1 - first) * (1 - last), first * last
    w = first + last - 2 * v
    x, y = (u * a + w * b + v * c for a, b, c in zip(start, middle, end, strict=True))
    return (
        one,
        (one[0] + (x - one[0]) * 2 / 3, one[1] + (y - one[1]) * 2 / 3),
        (two[0] + (x - two[0]) * 2 / 3, two[1] + (y - two[1]) * 2 / 3),
        two,
    )


def _through(rows: Rows, number: int, edge: Edge) -> Curve:
    """Return a line through the rows between two boxes."""
    if edge.client == edge.server:
        x, y = rows.points[edge.client]
        x += rows.widths[edge.client] / 2
        return ((x, y + 0.1), (x + 0.42, y + 0.16), (x + 0.42, y - 0.16), (x, y - 0.1))
    way = rows.ways[number]
    if rows.points[edge.client][1] < rows.points[edge.server][1]:
        way = way[::-1]
    curve = [way[0]]
    for (x, y), (to_x, to_y) in pairwise(way):
        half = (to_y - y) / 2
        curve += [(x, y + half), (to_x, to_y - half), (to_x, to_y)]
    return tuple(curve)


def _spots(curve: Curve, edge: Edge) -> list[Point]:
    """Return the possible positions of a line's label."""
    if edge.client == edge.server:
        away = label_size(edge.label)[0] / 2
        (x, y), (_, to_y) = curve[1], curve[2]
        if y == to_y:
            return [((curve[0][0] + curve[3][0]) / 2, y - 0.08)]
        return [(x - 0.02 + away, (y + to_y) / 2)]
    starts = range(0, len(curve) - 1, 3)
    found = [
        point_on(curve[i : i + 4], spot) for spot, i in product(SPOTS, starts) if _sloped(curve, i)
    ]
    (x, y), (to_x, to_y) = curve[0], curve[-1]
    if abs(y - to_y) < 1e-6 and abs(to_x - x) < label_size(edge.label)[0] + 0.4:
        # the label would hide the whole arrow
        return [(at, high + up) for up in (0.22, 0.34) for at, high in found]
    return found


def _sloped(curve: Curve, start: int) -> bool:
    """Say whether a part of a line is sloped; other parts cross a row vertically."""
    (x, y), (to_x, to_y) = curve[start], curve[start + 3]
    return len(curve) == 4 or x != to_x or abs(y - to_y) > HEIGHT * 1.01


def point_on(part: Sequence[Point], t: float) -> Point:
    """Return a point of a cubic curve.

    Parameters
    ----------
    part : sequence of (float, float)
        The four points of the curve.
    t : float
        From 0 to 1.

    Returns
    -------
    (float, float)

    Examples
    --------
    >>> point_on([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)], 0.5)
    (1.5, 0.0)
    """
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    p, q, r, s = part
    return (
        a * p[0] + b * q[0] + c * r[0] + d * s[0],
        a * p[1] + b * q[1] + c * r[1] + d * s[1],
    )


# -- labels ---------------------------------------------------------------------------------


def labelled(
    points: dict[Box, Point],
    widths: dict[Box, float],
    edges: Sequence[Edge],
    curves: Sequence[Curve],
) -> tuple[Stroke, ...]:
    """Give each line a label where it covers no box, no other label and the fewest lines.

    Parameters
    ----------
    points : dict of Box to (float, float)
    widths : dict of Box to float
    edges : sequence of Edge
    curves : sequence of Curve
        One for each edge.

    Returns
    -------
    tuple of Stroke
    """
    taken = [
        (x - widths[box] / 2, y - HEIGHT / 2, x + widths[box] / 2, y + HEIGHT / 2)
        for box, (x, y) in points.items()
    ]
    lines = _Lines(curves)
    strokes = []
    for number, (edge, curve) in enumerate(zip(edges, curves, strict=True)):
        best: tuple[int, Point, Area] | None = None
        for spot in _spots(curve, edge):
            found = free([spot], edge.label, taken)
            if found and (best is None or best[0]):
                hidden = lines.hidden(number, edge.label, spot)
                if best is None or hidden < best[0]:
                    best = (hidden, *found)
        if best:
            taken.append(best[2])
        strokes.append(Stroke(edge, curve, best and best[1]))
    return tuple(strokes)


class _Lines:
    """The lines in each cell of a picture."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.cells: dict[tuple[int, int], set[int]] = {}
        for number, curve in enumerate(curves):
            for start in range(0, len(curve) - 1, 3):
                for step in range(13):
                    x, y = point_on(curve[start : start + 4], step / 12)
                    cell = (round(x / CELL), round(y / CELL))
                    self.cells.setdefault(cell, set()).add(number)

    def hidden(self, number: int, text: str, spot: Point) -> int:
        """Return the number of other lines that a label at a position would hide."""
        wide = round(label_size(text)[0] / 2 / CELL)
        x, y = round(spot[0] / CELL), round(spot[1] / CELL)
        found: set[int] = set()
        for column in range(x - wide, x + wide + 1):
            for row in (y - 1, y, y + 1):
                found |= self.cells.get((column, row), NOTHING)
        return len(found - {number})


NOTHING: frozenset[int] = frozenset()


def free(spots: Iterable[Point], text: str, taken: Sequence[Area]) -> tuple[Point, Area] | None:
    """Return the first position at which a label covers no taken area, and the label's area.

    Parameters
    ----------
    spots : iterable of (float, float)
        Middles of the label, the best one first.
    text : str
        The label.
    taken : sequence of (float, float, float, float)
        Left, bottom, right and top of each area.

    Returns
    -------
    tuple of (float, float) and (float, float, float, float), or None
        None if every position is taken.

    Examples
    --------
    >>> free([(0.5, 0.5), (3.0, 3.0)], ":1", [(0.0, 0.0, 1.0, 1.0)])[0]
    (3.0, 3.0)
    """
    wide, high = label_size(text)
    for x, y in spots:
        area = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
        if not any(
            area[0] < other[2] and other[0] < area[2] and area[1] < other[3] and other[1] < area[3]
            for other in taken
        ):
            return (x, y), area
    return None
