"""The truth matrix as pictures and as a Markdown table."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from labkit.matrix.cells import Cell, Matrix
from labkit.render.canvas import canvas
from labkit.resources import split_mode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FILLS", "LETTERS", "cover", "heat_map", "markdown"]

# Okabe and Ito's colours, which colour-blind readers can distinguish
FILLS = {"succeeded": "#D55E00", "refused": "#009E73", "unprobed": "#F0E442"}
#: A technique that succeeds from some footholds only; from the same set of colours.
MIXED = "#E69F00"
#: For a print without colours.
LETTERS = {"succeeded": "S", "refused": "R", "unprobed": "?", "unknown": "N"}
#: Font size in points; smaller letters are unreadable on a slide.
LABEL = 9


def markdown(matrix: Matrix) -> str:
    """Return the matrix as Markdown: the cells of the unchanged modes, and each control's effect.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.matrix import Cell
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> print(markdown(Matrix([cell])).splitlines()[6])
    | etcd-read | inside a pod | succeeded | HTTP 200 |
    """
    lines = [matrix.summary()]
    for _, modes in groupby(matrix.modes, lambda mode: split_mode(mode)[0]):
        lines += _plain(matrix, list(modes))
    lines += ["", "## What each control does by itself", ""]
    lines += _controls(matrix)
    for title, odd in (
        ("Where the model and the lab do not agree", [*matrix.disagree, *matrix.unprobed]),
        ("What the lab showed where the model does not know", matrix.found_out),
    ):
        if not odd:
            continue
        lines += ["", f"## {title}", ""]
        lines += ["| cluster | technique | from | predicted | observed | why |", "|" + "---|" * 6]
        lines += [
            f"| {' '.join(filter(None, c.variant))} | {c.technique} | {c.foothold} "
            f"| {c.predicted} | {c.observed} | {c.reason} |"
            for c in odd
        ]
    return "\n".join(lines) + "\n"


def _plain(matrix: Matrix, modes: list[str]) -> list[str]:
    """Return a section on some modes without a flip."""
    cells = {
        (cell.environment, cell.place): cell
        for cell in matrix
        if cell.control is None and cell.environment in modes
    }
    lines = ["", f"## In {' and '.join(modes)}", ""]
    lines.append("| technique | from |" + "".join(f" {mode} | why |" for mode in modes))
    lines.append("|---|---|" + "---|---|" * len(modes))
    for place in sorted({place for _, place in cells}):
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


def cover(matrix: Matrix) -> Figure:
    """Draw the result of each technique in each unchanged mode, and its number of controls.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    matplotlib.figure.Figure
        One row for each technique: the number of footholds from which it succeeds, the number of
        controls that stop it when put in place alone, and the number of controls that let it in
        when taken out alone.

    Examples
    --------
    >>> from labkit.matrix import Cell
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> len(cover(Matrix([cell])).axes)
    1
    """
    from matplotlib.patches import Rectangle

    names = sorted({cell.technique for cell in matrix})
    plain = _columns(matrix)
    modes = list(plain)
    counts = [_controls_of(matrix, direction) for direction in ("on", "off")]
    top = 1.1
    width, height = 3.1 + 1.05 * (len(modes) + 2), 0.2 * len(names) + top
    figure = canvas(f"the truth matrix in short, {matrix.summary()}", width, height)
    axes = figure.add_axes((2.9 / width, 0.06 / height, 1 - 3 / width, 1 - top / height))
    axes.set_xlim(0, len(modes) + 2)
    axes.set_ylim(len(names), 0)
    for y, name in enumerate(names):
        for x, mode in enumerate(modes):
            own = [c for c in plain[mode] if c.technique == name]
            text, colour = _share([cell.observed for cell in own])
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
            axes.text(x + 0.5, y + 0.53, text, ha="center", va="center", fontsize=LABEL)
        for x, count in enumerate(counts, start=len(modes)):
            text = str(count[name] or "–")
            axes.text(x + 0.5, y + 0.53, text, ha="center", va="center", fontsize=LABEL)
    heads = [
        *modes,
        "controls that\nstop it, put\nin place alone",
        "controls that\nlet it in, taken\nout alone",
    ]
    axes.set_xticks([x + 0.5 for x in range(len(heads))], heads, fontsize=LABEL)
    axes.set_yticks([y + 0.5 for y in range(len(names))], names, fontsize=LABEL)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    title = f"{matrix.summary()}\nS succeeded, R refused: from how many footholds"
    figure.text(0.05 / width, 1 - 0.08 / height, title, va="top", fontsize=LABEL, weight="bold")
    return figure


def _columns(matrix: Matrix) -> dict[str, list[Cell]]:
    """Return the cells without a flip by column of the cover.

    What a profile adds is tried in its modes alone. They share the columns of the modes that their
    names end with.
    """
    columns: dict[str, list[Cell]] = {}
    for mode in matrix.modes:
        own = [cell for cell in matrix if cell.variant == (mode, None, None)]
        _, other = split_mode(mode)
        tried = {cell.technique for cell in columns.get(other, ())}
        is_new = other not in columns or tried & {cell.technique for cell in own}
        columns.setdefault(mode if is_new else other, []).extend(own)
    return columns


def _controls_of(matrix: Matrix, direction: str) -> Counter[str]:
    """Return for each technique the number of controls that change it in one direction."""
    return Counter(
        technique
        for (_, way), places in matrix.effects().items()
        if way == direction
        for technique in {technique for technique, _ in places}
    )


def _share(observed: list[str]) -> tuple[str, str]:
    """Return the text and the colour of a cell of the cover picture."""
    if not observed:
        return "", "white"
    if "unprobed" in observed:
        return "?", FILLS["unprobed"]
    count = observed.count("succeeded")
    letter, colour = ("S", FILLS["succeeded"]) if count else ("R", FILLS["refused"])
    return f"{letter}  {count} of {len(observed)}", MIXED if 0 < count < len(observed) else colour


def heat_map(matrix: Matrix) -> Figure:
    """Draw the cells of the unchanged modes, and of each control that changes one of them.

    Parameters
    ----------
    matrix : Matrix
        A few techniques; :func:`cover` draws a summary of all techniques.

    Returns
    -------
    matplotlib.figure.Figure
        A cell in which the model was wrong has a thick black frame.

    Examples
    --------
    >>> from labkit.matrix import Cell
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> len(heat_map(Matrix([cell])).axes)
    1
    """
    from matplotlib.patches import Patch, Rectangle

    columns = _changing(matrix)
    place_of = {column: x for x, column in enumerate(columns)}
    places = list(dict.fromkeys(sorted(cell.place for cell in matrix)))
    width, height = 0.27 * len(columns) + 5, 0.24 * len(places) + 3.4
    figure = canvas(f"the truth matrix, {matrix.summary()}", width, height)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    odd = {*matrix.disagree, *matrix.unprobed}
    for cell in matrix:
        if cell.variant not in place_of:
            continue
        x, y = place_of[cell.variant], places.index(cell.place)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=FILLS[cell.observed], edgecolor="white"))
        letter = LETTERS[cell.observed]
        axes.text(x + 0.5, y + 0.53, letter, ha="center", va="center", fontsize=LABEL)
        if cell in odd:
            frame = Rectangle((x, y), 1, 1, fill=False, edgecolor="black", linewidth=2, zorder=3)
            axes.add_patch(frame)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(places), 0)
    names = [control or mode for mode, control, _ in columns]
    axes.set_xticks([x + 0.5 for x in range(len(columns))], names, rotation=90, fontsize=LABEL)
    labels = [f"{technique}  ({foothold})" for technique, foothold in places]
    axes.set_yticks([y + 0.5 for y in range(len(places))], labels, fontsize=LABEL)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    _name_modes(axes, columns)
    legend = [
        Patch(facecolor=FILLS[word], label=f"{LETTERS[word]} {word}")
        for word in FILLS
        if word != "unprobed" or matrix.unprobed
    ]
    legend.append(Patch(facecolor="white", edgecolor="black", label="not as predicted"))
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
    return figure


def _changing(matrix: Matrix) -> list[tuple[str, str | None, str | None]]:
    """Return the unchanged modes, and the clusters that differ from them or from the model."""
    odd = {cell.variant for cell in (*matrix.disagree, *matrix.unprobed)}
    plain = {(c.environment, c.place): c.observed for c in matrix if c.control is None}
    changed = {
        cell.variant
        for cell in matrix
        if plain.get((cell.environment, cell.place), cell.observed) != cell.observed
    }
    return [v for v in matrix.variants() if v[1] is None or v in odd | changed]


def _name_modes(axes: Axes, columns: list[tuple[str, str | None, str | None]]) -> None:
    """Write a title over each mode's columns, and draw a line between modes."""
    for mode in dict.fromkeys(column[0] for column in columns):
        own = [x for x, column in enumerate(columns) if column[0] == mode]
        flips = next((c[2] for c in columns if c[0] == mode and c[2]), None)
        what = {"on": "put\nin place alone", "off": "taken\nout alone"}
        title = f"{mode}, and\ncontrols {what[flips]}" if flips in what else mode
        axes.annotate(
            title, (own[0], 0), (2, 5), textcoords="offset points", fontsize=LABEL, weight="bold"
        )
        axes.axvline(own[0], color="black", linewidth=1.5)
        axes.axvline(own[0] + 1, color="black", linewidth=0.8, linestyle=":")
