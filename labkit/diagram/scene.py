"""Everything that the page shows of a model, as JSON can hold it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from labkit.analysis import Finding, Findings
from labkit.model import PROPERTIES, Channel, Claim, Model
from labkit.model.claims import listener_of
from labkit.render.groups import PROTECTIONS, Box, caption, folded, protection
from labkit.render.layout import HEIGHT, Point
from labkit.render.machines import by_machine, plan_by_machine
from labkit.render.plan import Plan, Stroke, label_size
from labkit.render.svg import DASHES
from labkit.render.table import BAD, GOOD

if TYPE_CHECKING:
    from labkit.verification import Row

__all__ = ["Json", "Seen", "scene"]

Json: TypeAlias = dict[str, Any]
#: The rows of a verification by channel and property.
Seen: TypeAlias = "Mapping[tuple[str, str], Row]"
#: Pixels for each unit of a plan.
SCALE = 96
#: What protects a channel that only the other model has.
GONE = "closed"


def scene(before: Model, after: Model, findings: Findings, seen: Seen) -> Json:
    """Return what the page shows of a model: picture, claims, evidence and findings.

    Parameters
    ----------
    before : Model
        The model to compare with; channels that only it has are drawn as gone.
    after : Model
        The model that is shown.
    findings : Findings
        Those of `after`.
    seen : mapping of (str, str) to Row
        The rows of a verification by channel and property; empty without one.

    Returns
    -------
    dict
        Only texts, numbers, lists and dictionaries; equal for equal arguments.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> shown = scene(model, model, find_threats(model), {})
    >>> len(shown["channels"]) == len(model.channels)
    True
    """
    old = {it.id: it for it in before.channels}
    new = {it.id: it for it in after.channels}
    every = [*after.channels, *(it for it in before.channels if it.id not in new)]
    found = _by_place(findings)
    boxes, edges = by_machine(after, every)
    drawing = plan_by_machine(boxes, edges)
    members: dict[Box, dict[str, None]] = defaultdict(dict)
    for edge in edges:
        for it in edge.channels:
            members[edge.client][it.client] = None
            members[edge.server][it.server] = None
    return {
        "name": after.name,
        "size": [round(side * SCALE) for side in drawing.size],
        "protections": {
            name: {
                "colour": look.colour,
                "dashes": DASHES[look.dashes],
                "width": look.width,
                "legend": look.legend,
            }
            for name, look in PROTECTIONS.items()
        },
        "frames": [_frame(drawing, name) for name in drawing.frames],
        "boxes": [_box(drawing, box, count, list(members[box])) for box, count in boxes.items()],
        "lines": [_line(drawing, stroke, new) for stroke in drawing.strokes],
        "channels": {
            it.id: _channel(it, old.get(it.id), it.id in new, found, seen) for it in every
        },
        "components": {
            it.id: {
                "claims": [_claim(name, claim, None, None) for name, claim in it.claims],
                "findings": found[it.id],
            }
            for it in after.components
        },
    }


# -- the picture ----------------------------------------------------------------------------


def _at(drawing: Plan, point: Point) -> Point:
    return round(point[0] * SCALE, 1), round((drawing.size[1] - point[1]) * SCALE, 1)


def _frame(drawing: Plan, name: str) -> Json:
    left, bottom, right, top = drawing.frames[name]
    x, y = _at(drawing, (left, top))
    return {
        "name": name,
        "x": x,
        "y": y,
        "width": round((right - left) * SCALE, 1),
        "height": round((top - bottom) * SCALE, 1),
    }


def _box(drawing: Plan, box: Box, count: int, components: list[str]) -> Json:
    x, y = drawing.points[box]
    wide = drawing.widths[box]
    left, top = _at(drawing, (x - wide / 2, y + HEIGHT / 2))
    return {
        "components": components,
        "machine": box.zone,
        "text": folded(caption(box, count), wide),
        "x": left,
        "y": top,
        "width": round(wide * SCALE, 1),
        "height": round(HEIGHT * SCALE, 1),
    }


def _line(drawing: Plan, stroke: Stroke, new: Mapping[str, Channel]) -> Json:
    edge = stroke.edge
    ids = [it.id for it in edge.channels]
    first, *rest = (" ".join(map(str, _at(drawing, point))) for point in stroke.curve)
    there = any(it in new for it in ids)
    shown: Json = {
        "channels": ids,
        "protection": edge.protection if there else GONE,
        "path": f"M{first}C{' '.join(rest)}",
        "label": None,
    }
    if stroke.label is not None:
        # the sign is for readers who see neither the colour nor the dashes
        text = f"{edge.label} ?" if there and edge.protection == "unknown" else edge.label
        x, y = _at(drawing, stroke.label)
        wide, high = label_size(text)
        shown["label"] = {
            "text": text,
            "x": x,
            "y": y,
            "width": round(wide * SCALE, 1),
            "height": round(high * SCALE, 1),
        }
    return shown


# -- what is said of each channel -----------------------------------------------------------


def _channel(
    it: Channel, old: Channel | None, there: bool, found: Mapping[str, list[Json]], seen: Seen
) -> Json:
    claims = [
        _claim(
            name,
            getattr(it, name),
            getattr(old, name) if old is not None else None,
            seen.get((it.id, name)),
        )
        for name in PROPERTIES
    ]
    about = [*found[it.id], *found[listener_of(it)]] if there else []
    change = "gone" if not there else "new" if old is None else ""
    if there and any(claim["before"] for claim in claims):
        change = "changed"
    return {
        "client": it.client,
        "server": it.server,
        "listener": listener_of(it),
        "open": it.open and there,
        "protection": protection(it) if there else GONE,
        "change": change,
        "credential": it.credential or "",
        "data": list(it.data),
        "claims": claims,
        "findings": about,
        "controls": _helping(about),
    }


def _claim(name: str, claim: Claim, before: Claim | None, row: Row | None) -> Json:
    kind = "unknown" if claim.value == "unknown" else "plain"
    kind = "bad" if claim.value in BAD else "good" if claim.value in GOOD else kind
    differs = before is not None and before.value != claim.value
    return {
        "property": name.replace("_", " "),
        "value": claim.value,
        "kind": kind,
        "detail": claim.detail,
        "source": str(claim.source),
        "before": before.value if before is not None and differs else "",
        "evidence": None if row is None else _evidence(row, claim),
    }


def _evidence(row: Row, claim: Claim) -> Json:
    return {
        # a probe under another configuration says nothing about this claim
        "verdict": row.verdict if row.claimed == claim.value else "of another configuration",
        "observed": row.observed,
        "reason": row.reason,
        "control": row.control,
    }


def _by_place(findings: Iterable[Finding]) -> dict[str, list[Json]]:
    """Return the findings by the channel, listener or component that they are about."""
    from labkit import controls

    found: dict[str, list[Json]] = defaultdict(list)
    for item in findings:
        found[item.id.partition("@")[2]].append(
            {
                "id": item.id,
                "title": item.title,
                "severity": item.severity,
                "state": item.state,
                "explanation": item.explanation,
                "control": item.control if item.control in controls else "",
                "technique": item.technique,
            }
        )
    return found


def _helping(found: Iterable[Json]) -> list[str]:
    """Return the controls that close what is open or unknown, each once."""
    names = (it["control"] for it in found if it["state"] in ("open", "unknown"))
    return [name for name in dict.fromkeys(names) if name]
