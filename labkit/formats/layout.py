"""Where each component of a diagram stands: in the box of its trust zone, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.formats.common import rounded, zones
from labkit.model import Component

__all__ = ["HEIGHT", "WIDTH", "Box", "layout"]

#: A component's own size.
WIDTH, HEIGHT = 160, 80
_GAP, _MARGIN = 60, 40


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point lies in it."""
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


def layout(components: Sequence[Component]) -> tuple[dict[str, Box], dict[str, Box]]:
    """Place components and their trust zones.

    Returns
    -------
    tuple of dict
        The zones' boxes by name, and the components' by id. What is in no zone stands at the
        end, in no box.

    Examples
    --------
    >>> boxes, places = layout([Component("etcd@m", "etcd", "m", "master node")])
    >>> boxes["master node"].holds(places["etcd@m"].x, places["etcd@m"].y)
    True
    """
    boxes: dict[str, Box] = {}
    places: dict[str, Box] = {}
    left: int = _MARGIN
    for zone in (*zones(components), ""):
        inside = [it for it in components if it.zone == zone]
        side = rounded(len(inside))
        for number, it in enumerate(inside):
            row, column = divmod(number, side)
            x = left + _MARGIN + column * (WIDTH + _GAP)
            places[it.id] = Box(x, 2 * _MARGIN + row * (HEIGHT + _GAP), WIDTH, HEIGHT)
        rows = -(-len(inside) // side)
        width = 2 * _MARGIN + side * WIDTH + (side - 1) * _GAP
        if zone:
            height = 2 * _MARGIN + rows * HEIGHT + (rows - 1) * _GAP
            boxes[zone] = Box(left, _MARGIN, width, height)
        left += width + _MARGIN
    return boxes, places
