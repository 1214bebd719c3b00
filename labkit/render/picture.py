"""A model as a picture, drawn with matplotlib; two of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.render.canvas import canvas
from labkit.render.groups import PROTECTIONS, Box, Edge, caption, grouped
from labkit.render.places import HEIGHT, WIDTH, Point, place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure"]

FILLS = {"cluster network": "#F3F3F3", "master node": "#E8F1FA", "worker node": "#FBF3E4"}
INK = "#333333"
# Where on a curve its label may stand, the best place first
SPOTS = (0.5, 0.42, 0.58, 0.36, 0.64, 0.3, 0.7, 0.25, 0.75)
LABEL_HEIGHT, LABEL_CHARACTER = 0.2, 0.082
# As many characters go into a box
LONGEST = 17


def figure(graphs: Any, *, titles: Sequence[str] | None = None) -> Figure:
    """Draw a model, or several side by side.

    Parameters
    ----------
    graphs : networkx.MultiDiGraph or sequence of them
        What :func:`labkit.model.build_model` returns.
    titles : sequence of str, optional
        One for each; without them the environments' names.

    Returns
    -------
    matplotlib.figure.Figure
        Shows itself as PNG in a notebook, without pyplot. The layout is the same every time.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model import build_model
    >>> figure([build_model(read_environment(mode)) for mode in ("insecure", "hardened")])
    <picture of insecure, hardened>
    """
    from matplotlib.lines import Line2D

    models = list(graphs) if isinstance(graphs, (list, tuple)) else [graphs]
    names = list(titles) if titles is not None else [m.graph.get("name", "") for m in models]

    picture = canvas(", ".join(names), 7.6 * len(models), 7.4)
    used: set[str] = set()
    for number, (model, name) in enumerate(zip(models, names, strict=True)):
        axes = picture.add_axes(
            ((number + 0.012) / len(models), 0.075, 0.976 / len(models), 0.875),
        )
        used |= _panel(axes, model, name)
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=look.width + 0.6)
        for key, look in PROTECTIONS.items()
        if key in used
    ]
    labels = [look.legend for key, look in PROTECTIONS.items() if key in used]
    columns = len(labels) if len(models) > 1 else 3
    picture.legend(
        handles,
        labels,
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=11,
        handlelength=3.2,
        columnspacing=2.2,
    )
    return picture


def _panel(axes: Any, model: Any, title: str) -> set[str]:
    boxes, edges = grouped(model)
    points, frames, (width, height) = place(boxes)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=16, color=INK, pad=6, fontweight="bold")
    _frames(axes, frames)
    drawn = {box: _box(axes, points[box], caption(box, count)) for box, count in boxes.items()}
    taken = [
        (x - WIDTH / 2, y - HEIGHT / 2, x + WIDTH / 2, y + HEIGHT / 2) for x, y in points.values()
    ]
    pairs = {(edge.client, edge.server) for edge in edges}
    for edge in edges:
        bent = (edge.server, edge.client) in pairs
        _edge(axes, edge, points, drawn, taken, bent=bent)
    return {edge.protection for edge in edges}


def _frames(axes: Any, frames: dict[str, tuple[float, float, float, float]]) -> None:
    from matplotlib.patches import FancyBboxPatch

    for zone, (left, bottom, right, top) in frames.items():
        axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                right - left,
                top - bottom,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=FILLS.get(zone, "#F3F3F3"),
                edgecolor="#C9C9C9",
                linewidth=1,
                zorder=0,
            )
        )
        narrow = right - left < 2
        axes.text(
            (left + right) / 2 if narrow else right - 0.12,
            top - 0.1,
            zone.replace(" ", "\n") if narrow else zone,
            fontsize=10.5,
            color="#666666",
            style="italic",
            ha="center" if narrow else "right",
            va="top",
        )


def _box(axes: Any, point: Point, text: str) -> Any:
    from matplotlib.patches import FancyBboxPatch

    patch = FancyBboxPatch(
        (point[0] - WIDTH / 2, point[1] - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="white",
        edgecolor=INK,
        linewidth=1.1,
        zorder=4,
    )
    axes.add_patch(patch)
    lines = text.replace("kube-controller-manager", "kube-controller-\nmanager")
    if len(lines.partition("\n")[0]) > LONGEST:
        lines = lines.replace("/", "/\n", 1)
    axes.text(*point, lines, ha="center", va="center", fontsize=9.5, color="black", zorder=5)
    return patch


def _edge(
    axes: Any,
    edge: Edge,
    points: dict[Box, Point],
    drawn: dict[Box, Any],
    taken: list[tuple[float, float, float, float]],
    *,
    bent: bool,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    look = PROTECTIONS[edge.protection]
    start, end = points[edge.client], points[edge.server]
    style: dict[str, Any] = {
        "arrowstyle": "-|>,head_length=6,head_width=3.2",
        "color": look.colour,
        "linestyle": look.dashes,
        "linewidth": look.width,
        "zorder": 3,
    }
    if edge.client == edge.server:
        x, y = start[0], start[1] + HEIGHT / 2
        loop = "arc3,rad=-1.5"
        axes.add_patch(
            FancyArrowPatch(
                (x - 0.26, y), (x + 0.26, y), connectionstyle=loop, shrinkA=0, shrinkB=0, **style
            )
        )
        curve = [(x, y + 0.4)]
    else:
        rad = 0.14 if bent else 0.0
        axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                connectionstyle=f"arc3,rad={rad}",
                patchA=drawn[edge.client],
                patchB=drawn[edge.server],
                shrinkA=0,
                shrinkB=1,
                **style,
            )
        )
        curve = [_on_curve(start, end, rad, spot) for spot in SPOTS]
        gap = abs(end[0] - start[0]) - WIDTH
        if start[1] == end[1] and gap < LABEL_CHARACTER * len(edge.label) + 0.5:
            # it would hide the whole arrow
            curve = [(x, y + 0.22) for x, y in curve]
    x, y, area = _free(curve, edge.label, taken)
    taken.append(area)
    axes.text(
        x,
        y,
        edge.label,
        fontsize=8.5,
        ha="center",
        va="center",
        color="black" if edge.protection != "closed" else "#777777",
        bbox={
            "boxstyle": "round,pad=0.15",
            "facecolor": "white",
            "edgecolor": look.colour,
            "linewidth": 0.7,
        },
        zorder=6,
    )


def _on_curve(start: Point, end: Point, rad: float, spot: float) -> Point:
    """Return a point of the quadratic curve that matplotlib's arc3 draws."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    control = ((start[0] + end[0]) / 2 + rad * dy, (start[1] + end[1]) / 2 - rad * dx)
    a, b, c = (1 - spot) ** 2, 2 * spot * (1 - spot), spot**2
    return (
        a * start[0] + b * control[0] + c * end[0],
        a * start[1] + b * control[1] + c * end[1],
    )


def _free(
    curve: list[Point], text: str, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, tuple[float, float, float, float]]:
    """Return the first point of a curve where a label covers nothing, and what it covers."""
    wide = LABEL_CHARACTER * len(text) + 0.1
    best = None
    for x, y in curve:
        area = (x - wide / 2, y - LABEL_HEIGHT / 2, x + wide / 2, y + LABEL_HEIGHT / 2)
        best = best or (x, y, area)
        if not any(
            area[0] < other[2] and other[0] < area[2] and area[1] < other[3] and other[1] < area[3]
            for other in taken
        ):
            return x, y, area
    assert best is not None
    return best
