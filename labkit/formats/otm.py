"""Read and write Open Threat Model 0.2.0, a format of IriusRisk, Threat Dragon and others.

See https://github.com/iriusrisk/OpenThreatModel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from labkit.cluster.syntax.yamldoc import Document, Key
from labkit.formats.common import Names, at_rest, claims_text, everyone, labels, role, zones
from labkit.formats.documents import identified, port_at
from labkit.formats.layout import layout
from labkit.formats.original import extend
from labkit.formats.plain import from_plain, to_plain
from labkit.formats.visible import (
    Visible,
    claim_or_unknown,
    claims_by_protocol,
    joined,
    two_ways,
)
from labkit.model import PROPERTIES, Channel, Claim, Component, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["slot", "visible", "write"]

VERSION = "0.2.0"
NO_ZONE = "no-zone"
DIAGRAM = "data-flow-diagram"
#: The types that Threat Dragon draws as a store, a process and an actor.
TYPES = {"datastore": "database", "process": "service", "actor": "user"}
#: The model has no trust ratings; zones nearer to the control plane get higher ones.
TRUST = {"outside": 0, "cluster network": 20, "worker node": 50, "master node": 80}
STATES = {"open": "exposed", "mitigated": "mitigated"}


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model and its findings in the Open Threat Model format.

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
    >>> json.loads(write(read_model("hardened"), ()))["otmVersion"]
    '0.2.0'
    """
    parts = everyone(model)
    channels = [it for it in model.channels if it.open]
    data = {name: key for key, name in _assets(channels)}
    boxes, places = layout(parts)
    zone_ids = Names({NO_ZONE})
    named = {zone: zone_ids(zone) for zone in zones(parts)}
    about: dict[str, list[Finding]] = {}
    for item in findings:
        about.setdefault(item.subject, []).append(item)
    trust_zones = [
        _zone(key, zone, TRUST.get(zone, 50), _where(boxes[zone], 0, 0))
        for zone, key in named.items()
    ]
    if any(not it.zone for it in parts):
        trust_zones.append(_zone(NO_ZONE, "in no trust zone", 50, _NOWHERE))
    document = {
        "otmVersion": VERSION,
        "project": {
            "name": model.name,
            "id": model.name or "model",
            "description": model.description,
            "attributes": {"labkit": to_plain(model)},
        },
        "representations": [
            {
                "name": "Data flow diagram",
                "id": DIAGRAM,
                "type": "diagram",
                "size": {
                    "width": max((it.x + it.width for it in boxes.values()), default=400) + 40,
                    "height": max((it.y + it.height for it in boxes.values()), default=400) + 40,
                },
            }
        ],
        "assets": [
            {
                "name": name,
                "id": key,
                "risk": {"confidentiality": 100, "integrity": 100, "availability": 50},
            }
            for name, key in data.items()
        ],
        "trustZones": trust_zones,
        "components": [
            {
                "id": it.id,
                "name": it.id,
                "type": TYPES[role(it.kind)],
                "description": it.description,
                "parent": {"trustZone": named.get(it.zone, NO_ZONE)},
                "representations": [
                    _place(
                        f"{it.id} in the diagram",
                        _where(
                            places[it.id],
                            *((boxes[it.zone].x, boxes[it.zone].y) if it.zone else (0, 0)),
                        ),
                    )
                ],
                "threats": [_threat_at(item) for item in about.get(it.id, ())],
                "attributes": _about(model, it),
            }
            for it in parts
        ],
        "dataflows": [
            {
                "id": it.id,
                "name": it.id,
                "description": claims_text(it),
                "bidirectional": True,
                "source": it.client,
                "destination": it.server,
                "assets": [data[name] for name in it.data],
                "threats": [_threat_at(item) for item in about.get(it.id, ())],
                "attributes": {
                    name: value
                    for name, value in (
                        *((name, getattr(it, name)) for name in ("protocol", "port", "path")),
                        *((name, getattr(it, name).value) for name in PROPERTIES),
                        ("credential", it.credential),
                    )
                    if value is not None
                },
            }
            for it in channels
        ],
        "threats": [_threat(item) for item in findings],
        "mitigations": [
            {"id": name, "name": name, "riskReduction": 100}
            for name in sorted({item.control for item in findings if item.control})
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


_NOWHERE = {"position": {"x": 0, "y": 0}, "size": {"width": 100, "height": 100}}


def _where(box: Any, left: int, top: int) -> dict[str, Any]:
    """Return the position of a box relative to a corner, and its size."""
    return {
        "position": {"x": box.x - left, "y": box.y - top},
        "size": {"width": box.width, "height": box.height},
    }


def _place(name: str, where: dict[str, Any]) -> dict[str, Any]:
    return {"representation": DIAGRAM, "id": name, **where}


def _zone(key: str, name: str, rating: int, where: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key,
        "name": name,
        "risk": {"trustRating": rating},
        "representations": [_place(f"{key} in the diagram", where)],
    }


def _assets(channels: Sequence[Channel]) -> Iterator[tuple[str, str]]:
    names = Names()
    for name in sorted({name for it in channels for name in it.data}):
        yield names(name), name


def _about(model: Model, it: Component) -> dict[str, Any]:
    claims = {name: claim.value for name, claim in it.claims}
    stored = at_rest(model, it)
    if stored is not None and not claims:
        claims = {"encryption at rest": stored.value}
    found: dict[str, Any] = {"kind": it.kind, "node": it.node}
    return found | ({"claims": claims} if claims else {})


def _threat(item: Finding) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.title,
        "description": item.explanation,
        "categories": [word.capitalize() for word in item.stride],
        "cwes": list(item.cwe),
        "risk": {
            "likelihood": 25 * item.likelihood,
            "impact": 25 * item.impact,
            "impactComment": f"{item.severity}; {item.property.replace('_', ' ')}: {item.claim}",
        },
        "tags": [item.rule, *item.attack, *item.references],
        "attributes": {"subject": item.subject, "state": item.state},
    }


def _threat_at(item: Finding) -> dict[str, Any]:
    done = "implemented" if item.state == "mitigated" else "recommended"
    mitigations = [{"mitigation": item.control, "state": done}] if item.control else []
    state = STATES.get(item.state, item.state)
    return {"threat": item.id, "state": state, "mitigations": mitigations}


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
    place = ("project", "attributes", "labkit")
    project = document.get("project")
    attributes = project.get("attributes") if isinstance(project, dict) else None
    if not isinstance(attributes, dict) or "labkit" not in attributes:
        return None
    return from_plain(document, *place)


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
    >>> text = '{"otmVersion": "0.2.0", "project": {"name": "shop", "id": "1"}}'
    >>> visible(parse(text, "shop.otm.json")).name
    'shop'
    """
    zone_names = {
        key: "" if key == NO_ZONE else document.text(*place, "name", default=key)
        for key, place in identified(document, "id", "trustZones").items()
    }
    places = identified(document, "id", "components")
    names = labels({key: document.text(*at, "name", default="") for key, at in places.items()})
    components = {
        key: _component(document, names[key], _zone_of(document, key, places, zone_names), *at)
        for key, at in places.items()
    }
    assets = {
        key: document.text(*place, "name", default=key)
        for key, place in identified(document, "id", "assets").items()
    }
    flows = identified(document, "id", "dataflows")
    channels, notes = joined(
        document,
        flows,
        {key: document.text(*at, "name", default="") for key, at in flows.items()},
        {
            key: (document.text(*at, "source"), document.text(*at, "destination"))
            for key, at in flows.items()
        },
        components,
    )
    found = {key: _channel(document, *flow, assets, *flows[key]) for key, flow in channels.items()}
    both = (key for key in found if document.get(*flows[key], "bidirectional") is True)
    return Visible(
        name=document.text("project", "name", default=""),
        description=document.text("project", "description", default=""),
        components=components,
        channels=found,
        notes=(*notes, *(two_ways(document.path, found[key]) for key in both)),
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
    about = original.get("project")
    project = original["project"] = dict(about) if isinstance(about, dict) else {}
    attributes = project.get("attributes")
    slots = written["project"]["attributes"]
    project["attributes"] = {**(attributes if isinstance(attributes, dict) else {}), **slots}
    for name in ("threats", "mitigations"):
        extend(original, name, written[name], "id")
    for name, known in (("components", seen.components), ("dataflows", seen.channels)):
        new = {it["id"]: it["threats"] for it in written[name]}
        for it in original.get(name) or ():
            if it["id"] in known and new.get(known[it["id"]].id):
                extend(it, "threats", new[known[it["id"]].id], "threat")


def _zone_of(
    document: Document,
    key: str,
    places: dict[str, tuple[Key, ...]],
    zone_names: dict[str, str],
) -> str:
    """Return the trust zone of a component, or of the component that contains it."""
    seen = set()
    while key in places and key not in seen:
        seen.add(key)
        parent = (*places[key], "parent")
        zone = document.text(*parent, "trustZone", default="")
        if zone:
            return zone_names.get(zone, zone)
        key = document.text(*parent, "component", default="")
    return ""


def _component(document: Document, label: str, zone: str, *at: Key) -> Component:
    written = document.text(*at, "type", default="process")
    attributes = (*at, "attributes")
    known = next((key for key, word in TYPES.items() if word == written), "")
    kind, node = known or written, ""
    claims: tuple[tuple[str, Claim], ...] = ()
    if isinstance(document.get(*attributes), dict):
        node = _word(document, *attributes, "node")
        own = _word(document, *attributes, "kind")
        kind = own if own and role(own) == known else kind
        said = document.get(*attributes, "claims")
        claims = tuple(
            (name, Claim(value, "", document.source(*attributes, "claims", name)))
            for name, value in (said.items() if isinstance(said, dict) else ())
            if isinstance(name, str) and isinstance(value, str)
        )
    description = document.text(*at, "description", default="")
    return Component(label, kind, node, zone, claims, description)


def _word(document: Document, *keys: Key) -> str:
    value = document.get(*keys)
    return value if isinstance(value, str) else ""


def _channel(
    document: Document,
    label: str,
    client: Component,
    server: Component,
    assets: dict[str, str],
    *at: Key,
) -> Channel:
    attributes = (*at, "attributes")
    if not isinstance(document.get(*attributes), dict):
        attributes = at
    protocol = _word(document, *attributes, "protocol")
    claims = claims_by_protocol(document, protocol, None, *at)
    for name in PROPERTIES:
        if said := _word(document, *attributes, name):
            claims[name] = claim_or_unknown(document, name, said, "", *attributes, name)
    return Channel(
        id=label,
        client=client.id,
        server=server.id,
        protocol=protocol,
        port=port_at(document, *attributes, "port"),
        path=_word(document, *attributes, "path") or None,
        open=True,
        **claims,
        credential=_word(document, *attributes, "credential") or None,
        data=tuple(assets.get(key, key) for key in document.words(*at, "assets")),
        client_zone=client.zone,
        server_zone=server.zone,
    )
