"""Place the components of a diagram in rows, inside the boxes of their trust zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.formats.common import rounded, zones
from labkit.model import Component

__all__ = ["HEIGHT", "WIDTH", "Box", "layout"]

#: Size of a component in pixels.
WIDTH, HEIGHT = 160, 80
_GAP, _MARGIN = 60, 40


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels.

    Attributes
    ----------
    x, y : float
        The upper left corner.
    width, height : float

    Examples
    --------
    >>> Box(0, 0, 160, 80).holds(80, 40)
    True
    """

    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point is in the rectangle.

        Parameters
        ----------
        x, y : float

        Returns
        -------
        bool
        """
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


def layout(components: Sequence[Component]) -> tuple[dict[str, Box], dict[str, Box]]:
    """Place components and their trust zones.

    Parameters
    ----------
    components : sequence of Component

    Returns
    -------
    boxes : dict of str to Box
        By the name of the zone.
    places : dict of str to Box
        By the id of the component. Components without a zone come last, outside all boxes.

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
