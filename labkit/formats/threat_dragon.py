"""Read and write the format of OWASP Threat Dragon 2 (https://www.threatdragon.com)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from labkit.cluster.syntax.yamldoc import Document, Key
from labkit.formats.common import (
    at_rest,
    claims_text,
    everyone,
    is_encrypted,
    is_sensitive,
    labels,
    one_line,
    role,
    stable_uuid,
)
from labkit.formats.documents import each, identified
from labkit.formats.layout import Box, layout
from labkit.formats.original import extend
from labkit.formats.plain import from_plain, to_plain
from labkit.formats.visible import Visible, claims_by_protocol, joined, two_ways
from labkit.model import Channel, Claim, Component, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["slot", "visible", "write"]

VERSION = "2.6.2"
SLOT = "labkit"
SHAPES = {
    "process": ("process", "tm.Process"),
    "datastore": ("store", "tm.Store"),
    "actor": ("actor", "tm.Actor"),
}
KINDS = {shape: kind for kind, (_, shape) in SHAPES.items()}
FLOW, BOX, CURVE = "tm.Flow", "tm.BoundaryBox", "tm.Boundary"
STATUS = {"accepted": "Accepted", "mitigated": "Mitigated"}
LINE = {"stroke": "#333333", "strokeWidth": 1.5, "strokeDasharray": None}
RED = {"stroke": "red", "strokeWidth": 2.5, "strokeDasharray": None}


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model and its findings as one Threat Dragon diagram with a box for each zone.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> json.loads(write(read_model("hardened"), ()))["summary"]["title"]
    'hardened'
    """
    parts = everyone(model)
    boxes, places = layout(parts)
    about: dict[str, list[dict[str, Any]]] = {}
    for number, item in enumerate(findings, 1):
        about.setdefault(item.subject, []).append(_threat(item, number))
    cells = [
        *(_box(name, box) for name, box in boxes.items()),
        *(_part(model, it, places[it.id], about.get(it.id, [])) for it in parts),
        *(_flow(model, it, about.get(it.id, [])) for it in model.channels if it.open),
    ]
    document = {
        "version": VERSION,
        "summary": {"title": model.name, "owner": "", "description": model.description, "id": 0},
        "detail": {
            "contributors": [],
            "reviewer": "",
            "diagramTop": 1,
            "threatTop": len(findings),
            "diagrams": [
                {
                    "id": 0,
                    "title": "Data flow diagram",
                    "diagramType": "STRIDE",
                    "placeholder": "",
                    "thumbnail": "./public/content/images/thumbnail.stride.jpg",
                    "version": VERSION,
                    "cells": cells,
                }
            ],
        },
        SLOT: to_plain(model),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _data(
    kind: str, name: str, description: str, threats: list[Any], reason: str | None = None
) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "description": description,
        "outOfScope": reason is not None,
        "reasonOutOfScope": reason or "",
        "isTrustBoundary": False,
        "hasOpenThreats": any(item["status"] == "Open" for item in threats),
        "threats": threats,
    }


def _cell(box: Box) -> dict[str, Any]:
    return {
        "visible": True,
        "position": {"x": box.x, "y": box.y},
        "size": {"width": box.width, "height": box.height},
    }


def _box(name: str, box: Box) -> dict[str, Any]:
    data = _data(BOX, name, "", [])
    del data["threats"]
    return {
        "id": stable_uuid("zone", name),
        "shape": "trust-boundary-box",
        "zIndex": -1,
        **_cell(box),
        "attrs": {"label": {"text": name}},
        "data": data | {"isTrustBoundary": True},
    }


def _part(model: Model, it: Component, box: Box, threats: list[Any]) -> dict[str, Any]:
    kind = role(it.kind)
    shape, name = SHAPES[kind]
    data = _data(name, it.id, it.description, threats, dict(model.out_of_scope).get(it.id))
    look = RED if data["hasOpenThreats"] else LINE
    lines = ("topLine", "bottomLine") if kind == "datastore" else ("body",)
    if kind == "datastore":
        claim = at_rest(model, it)
        kept = [word for c in model.channels if c.server == it.id for word in c.data]
        data |= {
            "isEncrypted": claim is not None and claim.value == "encrypted",
            "storesCredentials": is_sensitive(kept),
        }
    return {
        "id": stable_uuid("component", it.id),
        "shape": shape,
        "zIndex": 1,
        **_cell(box),
        "attrs": {"text": {"text": it.id}} | dict.fromkeys(lines, look),
        "data": data,
    }


def _flow(model: Model, it: Channel, threats: list[Any]) -> dict[str, Any]:
    reason = dict(model.out_of_scope).get(it.id)
    data = _data(FLOW, it.id, claims_text(it), threats, reason)
    look = RED if data["hasOpenThreats"] else LINE
    return {
        "id": stable_uuid("channel", it.id),
        "shape": "flow",
        "zIndex": 10,
        "visible": True,
        "connector": "smooth",
        "width": 200,
        "height": 100,
        "source": {"cell": stable_uuid("component", it.client)},
        "target": {"cell": stable_uuid("component", it.server)},
        "vertices": [],
        "labels": [_label(it.id)],
        "attrs": {
            "line": look | {"sourceMarker": {"name": "block"}, "targetMarker": {"name": "block"}}
        },
        "data": data
        | {
            "isBidirectional": True,
            "isEncrypted": is_encrypted(it),
            "isPublicNetwork": False,
            "protocol": it.protocol,
        },
    }


def _label(text: str) -> dict[str, Any]:
    middle = {"textAnchor": "middle", "textVerticalAnchor": "middle"}
    body = {"ref": "labelText", "refRx": "50%", "refRy": "60%", "fill": "#fff", "strokeWidth": 0}
    return {
        "markup": [
            {"tagName": "ellipse", "selector": "labelBody"},
            {"tagName": "text", "selector": "labelText"},
        ],
        "attrs": {"labelText": {"text": text, **middle}, "labelBody": body},
        "position": 0.5,
    }


def _threat(item: Finding, number: int) -> dict[str, Any]:
    return {
        "id": stable_uuid("finding", item.id),
        "number": number,
        "title": item.title,
        "type": item.stride[0].capitalize() if item.stride else "",
        "modelType": "STRIDE",
        "severity": item.severity.capitalize(),
        "status": STATUS.get(item.state, "Open"),
        "score": str(item.likelihood * item.impact),
        "description": f"{item.explanation}\n{item.claim}\n{', '.join((*item.cwe, *item.attack))}",
        "mitigation": item.control,
    }


def slot(document: Document) -> Model | None:
    """Return the model in the free slot, or None if another tool wrote the file.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Model or None

    Raises
    ------
    ConfigError
        The content of the slot is malformed.
    """
    return from_plain(document, SLOT) if SLOT in document.value else None


def visible(document: Document) -> Visible:
    """Return the model in the format's visible fields.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Visible

    Raises
    ------
    ConfigError
        A field is missing or has the wrong type.

    Examples
    --------
    >>> from labkit.formats.documents import parse
    >>> text = '{"summary": {"title": "shop"}, "detail": {"diagrams": []}}'
    >>> visible(parse(text, "shop.json")).name
    'shop'
    """
    notes: list[str] = []
    parts: dict[str, tuple[Key, ...]] = {}
    flows: dict[str, tuple[Key, ...]] = {}
    zones: dict[str, str] = {}
    for diagram in each(document, "detail", "diagrams"):
        if document.get(*diagram, "diagramJson") is not None:
            what = "a model of Threat Dragon 1: open it in Threat Dragon 2 and save it there"
            raise document.broken(what, *diagram)
        cells = identified(document, "id", *diagram, "cells")
        kinds = {key: _kind(document, *at) for key, at in cells.items()}
        for key in cells.keys() & (parts.keys() | flows.keys()):
            raise document.broken(f"{key!r} stands here twice", *cells[key], "id")
        here = {key: at for key, at in cells.items() if kinds[key] in KINDS}
        parts |= here
        flows |= {key: at for key, at in cells.items() if kinds[key] == FLOW}
        boxes = [at for key, at in cells.items() if kinds[key] == BOX]
        zones |= {key: _zone(document, boxes, *at) for key, at in here.items()}
        notes += [
            f"{document.source(*at)}: a trust boundary that is a curve does not show what is inside"
            for key, at in cells.items()
            if kinds[key] == CURVE
        ]
    names = labels({key: _text(document, *at, "name") for key, at in parts.items()})
    components = {
        key: _component(document, names[key], zones[key], *at) for key, at in parts.items()
    }
    channels, loose = joined(
        document,
        flows,
        {key: _text(document, *at, "name") for key, at in flows.items()},
        {
            key: (
                document.text(*at, "source", "cell", default=""),
                document.text(*at, "target", "cell", default=""),
            )
            for key, at in flows.items()
        },
        components,
    )
    found = {key: _channel(document, *it, at=flows[key]) for key, it in channels.items()}
    both = (key for key in found if document.get(*flows[key], "data", "isBidirectional") is True)
    every = {**{key: (it.id, parts[key]) for key, it in components.items()}}
    every |= {key: (it.id, flows[key]) for key, it in found.items()}
    return Visible(
        name=document.text("summary", "title", default=""),
        description=document.text("summary", "description", default=""),
        components=components,
        channels=found,
        notes=(*notes, *loose, *(two_ways(document.path, found[key]) for key in both)),
        out_of_scope=tuple(
            (name, _text(document, *at, "reasonOutOfScope"))
            for name, at in every.values()
            if document.get(*at, "data", "outOfScope") is True
        ),
    )


def keep(original: dict[str, Any], written: dict[str, Any], seen: Visible) -> None:
    """Add labkit's findings and the free slot to a document of another tool.

    Parameters
    ----------
    original : dict
        The other tool's document, which is changed.
    written : dict
        labkit's document of the same model.
    seen : Visible
        The visible fields of the original.
    """
    original[SLOT] = written[SLOT]
    new = {it["id"]: it["data"] for it in written["detail"]["diagrams"][0]["cells"]}
    names = {key: stable_uuid("component", it.id) for key, it in seen.components.items()}
    names |= {key: stable_uuid("channel", it.id) for key, it in seen.channels.items()}
    added = 0
    for diagram in original["detail"]["diagrams"]:
        for cell in diagram["cells"]:
            threats = new.get(names.get(cell["id"], ""), {}).get("threats")
            if threats:
                added += len(threats)
                extend(cell["data"], "threats", threats, "id")
                its = cell["data"]["threats"]
                cell["data"]["hasOpenThreats"] = any(it.get("status") == "Open" for it in its)
    if added:
        top = original["detail"].get("threatTop")
        original["detail"]["threatTop"] = added + (top if isinstance(top, int) else 0)


def _kind(document: Document, *at: Key) -> str:
    return document.text(*at, "data", "type", default="")


def _text(document: Document, *keys: Key) -> str:
    return document.text(*keys[:-1], "data", keys[-1], default="")


def _numbers(document: Document, *at: Key) -> Iterator[float]:
    for outer, inner in (
        ("position", "x"),
        ("position", "y"),
        ("size", "width"),
        ("size", "height"),
    ):
        value = document.get(*at, outer, inner, default=0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e9:
            raise document.broken(f"{inner} must be a number", *at, outer, inner)
        yield value


def _zone(document: Document, boxes: Sequence[tuple[Key, ...]], *at: Key) -> str:
    """Return the name of the smallest box that contains a component's middle."""
    x, y, width, height = _numbers(document, *at)
    around = []
    for box in boxes:
        left, top, wide, high = _numbers(document, *box)
        if Box(left, top, wide, high).holds(x + width / 2, y + height / 2):
            around.append((wide * high, one_line(_text(document, *box, "name"))))
    return min(around, default=(0, ""))[1]


def _component(document: Document, label: str, zone: str, *at: Key) -> Component:
    kind = KINDS[_kind(document, *at)]
    claims: tuple[tuple[str, Claim], ...] = ()
    mark = document.get(*at, "data", "isEncrypted")
    if kind == "datastore" and isinstance(mark, bool):
        claim = Claim(
            "encrypted" if mark else "none", "", document.source(*at, "data", "isEncrypted")
        )
        claims = (("encryption at rest", claim),)
    return Component(label, kind, "", zone, claims, _text(document, *at, "description"))


def _channel(
    document: Document, label: str, client: Component, server: Component, *, at: tuple[Key, ...]
) -> Channel:
    mark = document.get(*at, "data", "isEncrypted")
    encrypted = mark if isinstance(mark, bool) else None
    protocol = _text(document, *at, "protocol")
    place = at if encrypted is None else (*at, "data", "isEncrypted")
    return Channel(
        id=label,
        client=client.id,
        server=server.id,
        protocol=protocol.lower(),
        port=None,
        path=None,
        open=True,
        **claims_by_protocol(document, protocol, encrypted, *place),
        credential=None,
        data=(),
        client_zone=client.zone,
        server_zone=server.zone,
    )
