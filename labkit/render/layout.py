"""Fixed layout for the components that every cluster has, with trust zones as frames."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.render.groups import Box

__all__ = ["HEIGHT", "MARGIN", "WIDTH", "Area", "Point", "is_known", "place"]

Point = tuple[float, float]
#: Left, bottom, right, top.
Area = tuple[float, float, float, float]
WIDTH, HEIGHT = 1.28, 0.46
MARGIN = 0.32
COLUMNS = (2.75, 4.35, 5.95, 7.35)

# Rows of each zone from above, for the components that every cluster has; others follow below.
ROWS: dict[str, tuple[tuple[tuple[str, float], ...], ...]] = {
    "master node": (
        (
            ("kubectl/alice", 2.55),
            ("kubectl/super-admin", 2.55),
            ("kube-scheduler", 4.05),
            ("kube-controller-manager", 5.55),
            ("kubectl/admin", 7.05),
        ),
        (("kubectl-proxy", 2.75), ("kube-apiserver", 4.8), ("etcd", 6.75)),
    ),
    "worker node": (
        (("kubelet", 2.95), ("kube-proxy", 4.8), ("flanneld", 6.75)),
        (("dockerd", 2.75), ("local-users", 4.85), ("containerd", 6.75)),
    ),
}
#: Most boxes in the column of the cluster network.
ASIDE = 4
ROW_GAP = 1.75


def is_known(boxes: Iterable[Box]) -> bool:
    """Say whether :func:`place` has a place for each box.

    Parameters
    ----------
    boxes : iterable of Box

    Returns
    -------
    bool

    Examples
    --------
    >>> is_known([Box("worker node", "kubelet")]), is_known([Box("shop", "till")])
    (True, False)
    """
    places = {(zone, name) for zone, rows in ROWS.items() for row in rows for name, _ in row}
    found = list(boxes)
    aside = [box for box in found if box.zone == "cluster network"]
    return len(aside) <= ASIDE and all(
        box in aside or (box.zone, box.name) in places or box.name.startswith("kubectl/")
        for box in found
    )


def place(boxes: Iterable[Box]) -> tuple[dict[Box, Point], dict[str, Area], Point]:
    """Return the position of each box, the frame of each zone, and the size of the whole.

    The cluster network is at the left, the other zones are below each other at the right.

    Parameters
    ----------
    boxes : iterable of Box

    Returns
    -------
    points : dict of Box to (float, float)
        The middle of each box, in units of a plan.
    frames : dict of str to (float, float, float, float)
        Left, bottom, right and top of each zone.
    size : (float, float)
        Width and height.

    Examples
    --------
    >>> points, frames, size = place([Box("worker node", "kubelet")])
    >>> points[Box("worker node", "kubelet")][0]
    2.95
    """
    zones: dict[str, list[Box]] = {}
    for box in sorted(boxes):
        zones.setdefault(box.zone, []).append(box)
    aside = zones.pop("cluster network", [])
    ordered = [zone for zone in ROWS if zone in zones]
    ordered += [zone for zone in sorted(zones) if zone not in ROWS]
    points: dict[Box, Point] = {}
    frames: dict[str, Area] = {}
    y = 0.0
    for zone in ordered:
        top = y
        y -= MARGIN + 0.32 + HEIGHT / 2
        for number, row in enumerate(_rows(zone, zones[zone])):
            if number:
                y -= ROW_GAP
            points |= {box: (x, y) for box, x in row}
        bottom = y - HEIGHT / 2 - MARGIN
        frames[zone] = (1.75, bottom, 8.05, top)
        y = bottom - 0.55
    bottom = min((frame[1] for frame in frames.values()), default=-2.0)
    if aside:
        frames["cluster network"] = (0.1, bottom, 1.25 + 0.22, 0.0)
        middle = bottom / 2
        for number, box in enumerate(aside):
            points[box] = (0.785, middle - number * 1.2 + (len(aside) - 1) * 0.6)
    shift = 0.1 - bottom
    points = {box: (x, y + shift) for box, (x, y) in points.items()}
    frames = {
        zone: (left, low + shift, right, high + shift)
        for zone, (left, low, right, high) in frames.items()
    }
    return points, frames, (8.15, shift + 0.1)


def _rows(zone: str, boxes: list[Box]) -> list[list[tuple[Box, float]]]:
    """Return the rows of a zone: known components at their places, then rows of four."""
    left = {box.name: box for box in boxes}
    rows: list[list[tuple[Box, float]]] = []
    for known in ROWS.get(zone, ()):
        row: list[tuple[Box, float]] = []
        for name, x in known:
            if name in left and x not in {taken for _, taken in row}:
                row.append((left.pop(name), x))
        if row:
            rows.append(row)
    rest = list(left.values())
    for start in range(0, len(rest), len(COLUMNS)):
        rows.append(list(zip(rest[start : start + len(COLUMNS)], COLUMNS, strict=False)))
    return rows
