"""A model as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.model import Channel, Model
from labkit.render.escaping import plain
from labkit.render.groups import PROTECTIONS, Box, Edge, caption, grouped

__all__ = ["Mermaid", "mermaid"]

ARROWS = {"dashed": "-.->", "dotted": "-.->", "dashdot": "-.->", "solid": "-->"}


class Mermaid:
    """A flowchart as Mermaid source, and as text for a program that cannot draw Mermaid.

    Attributes
    ----------
    source, text : str

    Examples
    --------
    >>> Mermaid("flowchart LR", "an empty model")
    an empty model
    """

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/vnd.mermaid": self.source}


#: Characters with a meaning in Mermaid or in Markdown, as Mermaid's entity codes.
ENTITIES = str.maketrans({sign: f"#{ord(sign)};" for sign in "#%`|\\"}) | str.maketrans(
    {'"': "#quot;", "<": "#lt;", ">": "#gt;"}
)


def _quoted(text: str) -> str:
    """Return a text quoted and escaped for Mermaid."""
    return f'"{plain(text).translate(ENTITIES)}"'


def mermaid(
    model: Model,
    *,
    channels: Iterable[Channel] | None = None,
    title: str | None = None,
    closed: bool = False,
) -> Mermaid:
    """Draw a model, or some of its channels, as a Mermaid flowchart.

    Parameters
    ----------
    model : Model
    channels : iterable of Channel, optional
        Draw only these channels.
    title : str, optional
        The default is the model's name.
    closed : bool, optional
        Also draw listeners that are not configured.

    Returns
    -------
    Mermaid
        Subgraphs are trust zones. Equal components share a box. The colour of an edge shows its
        protection.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> drawing = mermaid(read_model("hardened"))
    >>> print(drawing.source.splitlines()[3])
    flowchart LR
    """
    boxes, edges = grouped(model, channels)
    if not closed:
        edges = [edge for edge in edges if edge.protection != "closed"]
        used = {box for edge in edges for box in (edge.client, edge.server)}
        boxes = {box: count for box, count in boxes.items() if box in used}
    heading = model.name if title is None else title
    names = {box: f"n{number}" for number, box in enumerate(boxes)}
    lines = ["---", f"title: {_quoted(heading)}", "---", "flowchart LR"]
    zones = list(dict.fromkeys(box.zone for box in boxes))
    for number, zone in enumerate(zones):
        lines.append(f"  subgraph z{number}[{_quoted(zone)}]")
        lines += [
            f"    {names[box]}[{_quoted(caption(box, count))}]"
            for box, count in boxes.items()
            if box.zone == zone
        ]
        lines.append("  end")
    for edge in edges:
        arrow = ARROWS[PROTECTIONS[edge.protection].dashes]
        label = _quoted(edge.label)
        lines.append(f"  {names[edge.client]} {arrow}|{label}| {names[edge.server]}")
    for name, look in PROTECTIONS.items():
        numbers = [str(i) for i, edge in enumerate(edges) if edge.protection == name]
        if numbers:
            style = f"stroke:{look.colour},stroke-width:{look.width}px"
            lines.append(f"  linkStyle {','.join(numbers)} {style}")
    return Mermaid("\n".join(lines) + "\n", _text(heading, boxes, edges))


def _text(heading: str, boxes: dict[Box, int], edges: list[Edge]) -> str:
    lines = [heading, "=" * len(heading)] if heading else []
    for zone in dict.fromkeys(box.zone for box in boxes):
        inside = [caption(box, count) for box, count in boxes.items() if box.zone == zone]
        lines.append(f"[{zone}] {', '.join(inside)}")
    rows = [
        (
            f"{caption(edge.client, boxes[edge.client])} -> "
            f"{caption(edge.server, boxes[edge.server])}",
            edge.label,
            PROTECTIONS[edge.protection].legend,
        )
        for edge in edges
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    lines += [
        f"  {row[0].ljust(widths[0])}  {row[1].ljust(widths[1])}  {row[2]}" for row in sorted(rows)
    ]
    return "\n".join(lines)
