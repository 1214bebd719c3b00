"""Draw one model, or several side by side, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.model import Model
from labkit.render.canvas import canvas
from labkit.render.groups import PROTECTIONS, Box, caption, folded, grouped
from labkit.render.layout import HEIGHT, Point
from labkit.render.plan import Plan, Stroke, plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure"]

FILLS = {"cluster network": "#F3F3F3", "master node": "#E8F1FA", "worker node": "#FBF3E4"}
INK = "#333333"
#: Inches: for each unit of a plan, for the title above it, for the legend below it.
SCALE, ABOVE, BELOW = 0.9325, 0.37, 0.555


def figure(models: Model | Sequence[Model], *, titles: Sequence[str] | None = None) -> Figure:
    """Draw a model, or several side by side.

    Parameters
    ----------
    models : Model or sequence of Model
    titles : sequence of str, optional
        One for each model. The default is the models' names.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it as PNG, without pyplot. The layout is the same every time.

    Raises
    ------
    ValueError
        The number of titles is not the number of models.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> figure([read_model(mode) for mode in ("insecure", "hardened")])
    <picture of insecure, hardened>
    """
    from matplotlib.lines import Line2D

    models = [models] if isinstance(models, Model) else list(models)
    names = list(titles) if titles is not None else [model.name for model in models]
    drawn = [grouped(model) for model in models]
    plans = [plan(*each) for each in drawn]

    wide = max([each.size[0] for each in plans]) * SCALE
    high = max([each.size[1] for each in plans]) * SCALE
    whole = high + ABOVE + BELOW
    picture = canvas(", ".join(names), wide * len(models), whole)
    for number, ((boxes, _), each, name) in enumerate(zip(drawn, plans, names, strict=True)):
        place = (
            (number + 0.012) / len(models),
            BELOW / whole,
            0.976 / len(models),
            high / whole,
        )
        _panel(picture.add_axes(place), boxes, each, name)
    used = {edge.protection for _, edges in drawn for edge in edges}
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=look.width + 0.6)
        for key, look in PROTECTIONS.items()
        if key in used
    ]
    labels = [look.legend for key, look in PROTECTIONS.items() if key in used]
    columns = len(labels) if wide * len(models) > 12 else 3
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


def _panel(axes: Any, boxes: dict[Box, int], drawing: Plan, title: str) -> None:
    axes.set_xlim(0, drawing.size[0])
    axes.set_ylim(0, drawing.size[1])
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=16, color=INK, pad=6, fontweight="bold", parse_math=False)
    _frames(axes, drawing.frames)
    for box, count in boxes.items():
        _box(axes, drawing.points[box], drawing.widths[box], caption(box, count))
    for stroke in drawing.strokes:
        _line(axes, stroke)


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


def _box(axes: Any, point: Point, width: float, text: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    patch = FancyBboxPatch(
        (point[0] - width / 2, point[1] - HEIGHT / 2),
        width,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="white",
        edgecolor=INK,
        linewidth=1.1,
        zorder=4,
    )
    axes.add_patch(patch)
    lines = "\n".join(folded(text, width))
    axes.text(
        *point, lines, ha="center", va="center", fontsize=9.5, color="black", zorder=5,
        parse_math=False,
    )  # fmt: skip


def _line(axes: Any, stroke: Stroke) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    edge = stroke.edge
    look = PROTECTIONS[edge.protection]
    codes = [Path.MOVETO, *[Path.CURVE4] * (len(stroke.curve) - 1)]
    axes.add_patch(
        FancyArrowPatch(
            path=Path(stroke.curve, codes),
            arrowstyle="-|>,head_length=6,head_width=3.2",
            color=look.colour,
            linestyle=look.dashes,
            linewidth=look.width,
            shrinkA=0,
            shrinkB=1,
            zorder=3,
        )
    )
    if stroke.label is None:
        return
    axes.text(
        *stroke.label,
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
        parse_math=False,
        zorder=6,
    )
