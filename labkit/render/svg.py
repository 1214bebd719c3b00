"""Draw a model as SVG, for reports, notebooks and slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from labkit.model import Channel, Model
from labkit.render.escaping import xml
from labkit.render.groups import PROTECTIONS, Box, Edge, caption, folded, grouped
from labkit.render.layout import HEIGHT, Point
from labkit.render.plan import Plan, label_size, plan

__all__ = ["STYLE", "Mark", "Svg", "svg"]

#: Pixels for each unit of a plan.
SCALE = 96
DASHES = {"solid": "", "dashed": "8 5", "dotted": "2 5", "dashdot": "9 4 2 4"}
TINTS = {"cluster network": "net", "master node": "master", "worker node": "worker"}
#: All colours but those of the protections; a page may set the variables.
STYLE = """
.dfd{--ink:#1f2328;--soft:#57606a;--paper:#fff;--zone:#f4f5f6;--edge:#b9c0c7;
--master:#e9f1fb;--worker:#fdf5e4;--hit:#a5005a;font-family:system-ui,sans-serif}
@media (prefers-color-scheme:dark){.dfd{--ink:#e6edf3;--soft:#a3adb8;--paper:#161b22;
--zone:#1b2027;--edge:#4a535d;--master:#16222f;--worker:#272116;--hit:#ff7ab8}}
@media print{.dfd{--ink:#000;--soft:#444;--paper:#fff;--zone:#f6f6f6;--edge:#bbb;
--master:#eef4fb;--worker:#fdf7ea;--hit:#a5005a}}
.dfd text{fill:var(--ink);font:13px system-ui,sans-serif;text-anchor:middle}
.dfd-all .zone{fill:var(--zone);stroke:var(--edge)}
.dfd-all .zone.master{fill:var(--master)}.dfd-all .zone.worker{fill:var(--worker)}
.dfd-all .zone-name{fill:var(--soft);font:italic 15px system-ui,sans-serif}
.dfd-all .box{fill:var(--paper);stroke:var(--ink);stroke-width:1.3}
.dfd-all text{fill:var(--ink);font:13px system-ui,sans-serif;text-anchor:middle}
.dfd-all .label rect{fill:var(--paper)}.dfd-all .label text{font-size:12px}
.dfd-all path{fill:none}
.dfd .hit path{fill:none;stroke:var(--hit);stroke-width:5;stroke-opacity:.85}
.dfd .hit rect{fill:none;stroke:var(--hit);stroke-width:4}
.dfd .hit circle{fill:var(--hit)}.dfd .hit text{fill:var(--paper);font-weight:700}
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """The channels and components of one step of an attack, drawn with the step's number.

    Attributes
    ----------
    number : int
        From 1.
    channels, components : frozenset of str
        Ids of the model.
    """

    number: int
    channels: frozenset[str] = frozenset()
    components: frozenset[str] = frozenset()


class Svg:
    """A drawing of a model, which a notebook shows; :func:`svg` makes it.

    Attributes
    ----------
    title : str
    boxes : dict of Box to int
        The number of components in each box.
    edges : list of Edge

    Examples
    --------
    >>> from labkit.model import read_model
    >>> drawing = svg(read_model("hardened"))
    >>> drawing.title, len(drawing.boxes) < len(read_model("hardened").components)
    ('hardened', True)
    """

    def __init__(self, model: Model, channels: Iterable[Channel] | None, title: str) -> None:
        self.title = title
        self.boxes, self.edges = grouped(model, channels)
        self._members: dict[str, Box] = {}
        self._edge_of: dict[str, int] = {}
        for number, edge in enumerate(self.edges):
            for channel in edge.channels:
                self._edge_of[channel.id] = number
                self._members[channel.client] = edge.client
                self._members[channel.server] = edge.server

    @cached_property
    def plan(self) -> Plan:
        """The positions of boxes, frames, lines and labels."""
        return plan(self.boxes, self.edges)

    @property
    def said(self) -> str:
        """The drawing in one sentence, for readers who do not see it."""
        counts = Counter(edge.protection for edge in self.edges for _ in edge.channels)
        flows = ", ".join(
            f"{counts[name]} {look.legend}" for name, look in PROTECTIONS.items() if counts[name]
        )
        zones = ", ".join(dict.fromkeys(box.zone or "no zone" for box in self.boxes))
        return f"{sum(self.boxes.values())} components in {zones}. Channels: {flows or 'none'}."

    def __repr__(self) -> str:
        return f"<picture of {self.title}>"

    def _repr_svg_(self) -> str:
        return self.source()

    def source(self, name: str = "dfd", *, style: bool = True) -> str:
        """Return the drawing as an SVG element.

        Parameters
        ----------
        name : str
            Prefix of all ids in it; each drawing of a page needs another one.
        style : bool
            Whether to include the colours; a page needs them once.

        Returns
        -------
        str

        Examples
        --------
        >>> from labkit.model import read_model
        >>> svg(read_model("hardened")).source()[:4]
        '<svg'
        """
        body = f'<g id="{name}-all" class="dfd-all">{self._body(name)}</g>'
        markers = "".join(_marker(name, key) for key in self._used)
        head = f"<style>{STYLE}</style>" if style else ""
        return self._framed(f"{head}<defs>{markers}</defs>{body}", name, self.title, self.said)

    def marked(self, marks: Sequence[Mark], name: str, base: str, title: str, said: str) -> str:
        """Return the same drawing in pale colours, with the steps of an attack over it.

        Parameters
        ----------
        marks : sequence of Mark
        name : str
            Prefix of all ids in it.
        base : str
            The name of the pale drawing, which must be on the same page.
        title, said : str
            Title and description, for readers who do not see it.

        Returns
        -------
        str
            An SVG element.
        """
        tip = (
            f'<marker id="{name}-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="18" '
            'markerHeight="18" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
            '<path style="fill:var(--hit)" d="M0 0L10 5L0 10z"/></marker>'
        )
        hits = "".join(self._hit(mark, name) for mark in marks)
        body = f'<defs>{tip}</defs><use href="#{base}-all" opacity=".4"/>{hits}'
        return self._framed(body, name, title, said)

    @property
    def _used(self) -> list[str]:
        return [key for key in PROTECTIONS if any(e.protection == key for e in self.edges)]

    def _framed(self, body: str, name: str, title: str, said: str) -> str:
        width, height = (round(side * SCALE) for side in self.plan.size)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="dfd" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" '
            f'aria-labelledby="{name}-title {name}-desc">'
            f'<title id="{name}-title">{xml(title)}</title>'
            f'<desc id="{name}-desc">{xml(said)}</desc>{body}</svg>'
        )

    def _body(self, name: str) -> str:
        parts = [self._frame(zone) for zone in self.plan.frames]
        parts += [
            f'<g class="flow {edge.protection}"><title>{xml(_tooltip(edge))}</title>'
            f'<path d="{self._path(number)}" {_look(edge.protection)} '
            f'marker-end="url(#{name}-{edge.protection})"/></g>'
            for number, edge in enumerate(self.edges)
        ]
        parts += [self._box(box, count) for box, count in self.boxes.items()]
        parts += [self._label(number, edge) for number, edge in enumerate(self.edges)]
        return "".join(parts)

    def _at(self, point: Point) -> tuple[str, str]:
        return _number(point[0] * SCALE), _number((self.plan.size[1] - point[1]) * SCALE)

    def _path(self, number: int) -> str:
        first, *rest = (" ".join(self._at(p)) for p in self.plan.strokes[number].curve)
        return f"M{first}C{' '.join(rest)}"

    def _frame(self, zone: str) -> str:
        left, bottom, right, top = self.plan.frames[zone]
        x, y = self._at((left, top))
        wide, high = _number((right - left) * SCALE), _number((top - bottom) * SCALE)
        narrow = right - left < 2
        text_x, text_y = self._at(((left + right) / 2 if narrow else right - 0.12, top - 0.24))
        anchor = "middle" if narrow else "end"
        lines = (zone.split() if narrow else [zone])[:3]
        name = "".join(
            f'<tspan x="{text_x}" dy="{18 if number else 0}">{xml(line, 60)}</tspan>'
            for number, line in enumerate(lines)
        )
        return (
            f'<rect class="zone {TINTS.get(zone, "")}" x="{x}" y="{y}" width="{wide}" '
            f'height="{high}" rx="10"/><text class="zone-name" x="{text_x}" y="{text_y}" '
            f'style="text-anchor:{anchor}">{name}</text>'
        )

    def _rect(self, box: Box, name: str, grow: float = 0.0) -> str:
        x, y = self.plan.points[box]
        wide, high = self.plan.widths[box] + 2 * grow, HEIGHT + 2 * grow
        left, top = self._at((x - wide / 2, y + high / 2))
        size = f'width="{_number(wide * SCALE)}" height="{_number(high * SCALE)}"'
        return f'<rect class="{name}" x="{left}" y="{top}" {size} rx="7"/>'

    def _box(self, box: Box, count: int) -> str:
        lines = folded(caption(box, count), self.plan.widths[box])
        x, y = self._at(self.plan.points[box])
        first = float(y) + 4.5 - 7.5 * (len(lines) - 1)
        text = "".join(
            f'<tspan x="{x}" y="{_number(first + 15 * number)}">{xml(line)}</tspan>'
            for number, line in enumerate(lines)
        )
        title = f"<title>{xml(f'{caption(box, count)}, {box.zone}')}</title>"
        return f"<g>{title}{self._rect(box, 'box')}<text>{text}</text></g>"

    def _label(self, number: int, edge: Edge) -> str:
        label = self.plan.strokes[number].label
        if label is None:
            return ""
        wide, high = label_size(edge.label)
        left, top = self._at((label[0] - wide / 2, label[1] + high / 2))
        x, y = self._at(label)
        colour = PROTECTIONS[edge.protection].colour
        return (
            f'<g class="label"><rect x="{left}" y="{top}" width="{_number(wide * SCALE)}" '
            f'height="{_number(high * SCALE)}" rx="4" stroke="{colour}"/>'
            f'<text x="{x}" y="{_number(float(y) + 4)}">{xml(edge.label)}</text></g>'
        )

    def _hit(self, mark: Mark, name: str) -> str:
        parts, badges = [], []
        for number in sorted({self._edge_of[it] for it in mark.channels if it in self._edge_of}):
            tip = f'marker-end="url(#{name}-tip)"'
            parts.append(f'<path d="{self._path(number)}" {tip}/>')
            stroke = self.plan.strokes[number]
            badges.append(stroke.label or stroke.curve[len(stroke.curve) // 2])
        boxes = {self._members[it] for it in mark.components if it in self._members}
        for box in sorted(boxes):
            parts.append(self._rect(box, "target", 0.04))
            x, y = self.plan.points[box]
            badges.append((x - self.plan.widths[box] / 2, y + HEIGHT / 2))
        for badge in badges:
            left, top = self._at(badge)
            parts.append(
                f'<circle cx="{left}" cy="{top}" r="12"/>'
                f'<text x="{left}" y="{_number(float(top) + 4.5)}">{mark.number}</text>'
            )
        return f'<g class="hit">{"".join(parts)}</g>'


def svg(
    model: Model, *, channels: Iterable[Channel] | None = None, title: str | None = None
) -> Svg:
    """Draw a model as SVG.

    Parameters
    ----------
    model : Model
    channels : iterable of Channel, optional
        Draw only these channels.
    title : str, optional
        The default is the model's name.

    Returns
    -------
    Svg
        Trust zones are frames. Equal components share a box. The colour and the dashes of a
        line show its protection. Equal models give the same bytes.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> drawing = svg(read_model("insecure"))
    >>> drawing
    <picture of insecure>
    >>> drawing.source()[:4]
    '<svg'
    """
    return Svg(model, channels, model.name if title is None else title)


def _tooltip(edge: Edge) -> str:
    legend = PROTECTIONS[edge.protection].legend
    ids = [channel.id for channel in edge.channels]
    more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
    return f"{legend}: {', '.join(ids[:4])}{more}"


def _look(protection: str) -> str:
    look = PROTECTIONS[protection]
    dashes = DASHES[look.dashes]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'stroke="{look.colour}" stroke-width="{look.width}"{dashed}'


def _marker(name: str, protection: str) -> str:
    colour = PROTECTIONS[protection].colour
    return (
        f'<marker id="{name}-{protection}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="11" '
        'markerHeight="11" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
        f'<path d="M0 0L10 5L0 10z" style="fill:{colour}"/></marker>'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
