"""The truth matrix as a heat map and as a Markdown table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.matrix.cells import Matrix
from labkit.render.canvas import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["heat_map", "markdown"]

# Okabe and Ito's: seen apart by the colour-blind
FILLS = {"succeeded": "#D55E00", "refused": "#009E73", "unprobed": "#F0E442"}


def markdown(matrix: Matrix) -> str:
    """Return what each control alone stops and opens, and every cell of the plain modes.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str
        Markdown.
    """
    lines = [matrix.summary(), "", "## In the two modes", ""]
    lines += _modes(matrix)
    lines += ["", "## What each control does by itself", ""]
    lines += _controls(matrix)
    if odd := [*matrix.disagree, *matrix.unprobed]:
        lines += ["", "## Where the model and the lab do not agree", ""]
        lines += ["| cluster | technique | from | predicted | observed | why |", "|" + "---|" * 6]
        lines += [
            f"| {' '.join(filter(None, c.variant))} | {c.technique} | {c.foothold} "
            f"| {c.predicted} | {c.observed} | {c.reason} |"
            for c in odd
        ]
    return "\n".join(lines) + "\n"


def _modes(matrix: Matrix) -> list[str]:
    modes = [v for v in matrix.variants() if v[1] is None]
    cells = {(cell.variant, cell.place): cell for cell in matrix}
    places = list(dict.fromkeys(c.place for c in matrix if c.control is None))
    head = "| technique | from |" + "".join(f" {mode[0]} | why |" for mode in modes)
    lines = [head, "|---|---|" + "---|---|" * len(modes)]
    for place in places:
        line = f"| {place[0]} | {place[1]} |"
        for mode in modes:
            cell = cells.get((mode, place))
            line += f" {cell.observed} | {cell.reason} |" if cell else " | |"
        lines.append(line)
    return lines


def _controls(matrix: Matrix) -> list[str]:
    effects = matrix.effects()
    lines = [
        "| control | put in place alone, it stops | taken out alone, it lets in |",
        "|---|---|---|",
    ]
    for control in sorted({control for control, _ in effects}):
        cells = []
        for direction in ("on", "off"):
            places = effects.get((control, direction))
            names = sorted({technique for technique, _ in places or ()})
            cells.append(", ".join(names) or ("nothing by itself" if places is not None else ""))
        lines.append(f"| {control} | {cells[0]} | {cells[1]} |")
    return lines


def heat_map(matrix: Matrix) -> Figure:
    """Draw every cell: techniques in rows, clusters in columns.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    matplotlib.figure.Figure
        A cell in which the model was wrong has a thick black frame.
    """
    from matplotlib.patches import Patch, Rectangle

    columns = matrix.variants()
    places = list(dict.fromkeys(cell.place for cell in matrix))
    width, height = 0.22 * len(columns) + 5, 0.19 * len(places) + 3.2
    figure = canvas(f"the truth matrix, {matrix.summary()}", width, height)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    for cell in matrix:
        x, y = columns.index(cell.variant), places.index(cell.place)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=FILLS[cell.observed], edgecolor="white"))
        if not cell.agree:
            frame = Rectangle((x, y), 1, 1, fill=False, edgecolor="black", linewidth=2, zorder=3)
            axes.add_patch(frame)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(places), 0)
    names = [control or mode for mode, control, _ in columns]
    axes.set_xticks([x + 0.5 for x in range(len(columns))], names, rotation=90, fontsize=7)
    axes.set_yticks([y + 0.5 for y in range(len(places))], _labels(places), fontsize=7)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    _name_modes(axes, columns)
    legend = [Patch(facecolor=FILLS[word], label=word) for word in ("succeeded", "refused")]
    if matrix.unprobed:
        legend.append(Patch(facecolor=FILLS["unprobed"], label="unprobed"))
    legend.append(Patch(facecolor="white", edgecolor="black", label="not as predicted"))
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
    return figure


def _labels(places: list[tuple[str, str]]) -> list[str]:
    return [f"{technique}  ({foothold})" for technique, foothold in places]


def _name_modes(axes: Axes, columns: list[tuple[str, str | None, str | None]]) -> None:
    """Write over each mode's columns what was done in them, and draw a line between modes."""
    for mode in dict.fromkeys(column[0] for column in columns):
        own = [x for x, column in enumerate(columns) if column[0] == mode]
        flips = next((c[2] for c in columns if c[0] == mode and c[2]), None)
        what = {"on": ", each control put in place alone", "off": ", each taken out alone"}
        title = f"{mode}{what.get(flips or '', '')}"
        axes.text((own[0] + own[-1] + 1) / 2, -0.4, title, ha="center", fontsize=9, weight="bold")
        axes.axvline(own[0], color="black", linewidth=1.5)
        axes.axvline(own[0] + 1, color="black", linewidth=0.8, linestyle=":")
