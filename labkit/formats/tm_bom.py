"""Read and write TM-BOM 1.0.2, the format of the OWASP Threat Model Library.

See https://github.com/OWASP/www-project-threat-model-library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from labkit.cluster.syntax.yamldoc import Document, Key
from labkit.formats.common import (
    Names,
    at_rest,
    claims_text,
    everyone,
    is_encrypted,
    is_sensitive,
    labels,
    role,
    zones,
)
from labkit.formats.documents import each, identified
from labkit.formats.original import extend
from labkit.formats.plain import from_plain, to_plain
from labkit.formats.visible import Visible, claims_by_protocol, joined
from labkit.model import Channel, Claim, Component, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["slot", "visible", "write"]

SCHEMA = (
    "https://github.com/OWASP/www-project-threat-model-library/blob/v1.0.2/threat-model.schema.json"
)
#: An extension's name is a domain and a path; nobody can own a domain in ``.internal``.
SLOT = "labkit.internal/model"
NO_ZONE = "no-zone"
ATTACKER = "attacker"
#: For each role: the list that holds its components, and the object type in flows.
LISTS = {"process": "components", "datastore": "data_stores", "actor": "actors"}
OBJECTS = {"process": "component", "datastore": "data-store", "actor": "actor"}
LIKELIHOOD = ("unlikely", "possible", "likely", "certain")
IMPACT = ("minor", "moderate", "major", "severe")
STATUS = {"mitigated": "active", "accepted": "wont_do"}


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model and its findings as a TM-BOM.

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
    >>> document = json.loads(write(read_model("hardened"), ()))
    >>> [zone["title"] for zone in document["trust_zones"]]
    ['cluster network', 'master node', 'worker node']
    """
    parts = everyone(model)
    channels = [it for it in model.channels if it.open]
    names, zone_names = Names(), Names({NO_ZONE})
    symbols = {it.id: names(it.id) for it in parts}
    zone_symbols = {zone: zone_names(zone) for zone in zones(parts)}
    document: dict[str, Any] = {
        "$schema": SCHEMA,
        "version": "1.0",
        "scope": {
            "title": model.name,
            "description": model.description,
            "business_criticality": "high",
            "data_sensitivity": ["cred"],
            "exposure": "internal",
            "tier": "important",
        },
        "diagrams": [_diagram(model)],
        "trust_zones": [
            {"symbolic_name": key, "title": zone, "description": ""}
            for zone, key in zone_symbols.items()
        ],
        "trust_boundaries": list(_boundaries(channels, zone_symbols)),
        **{
            kind: [
                _part(it, symbols[it.id], zone_symbols.get(it.zone, NO_ZONE))
                for it in parts
                if LISTS[role(it.kind)] == kind
            ]
            for kind in LISTS.values()
        },
        "data_sets": list(_data_sets(model, parts, channels, symbols)),
        "data_flows": list(_flows(parts, channels, symbols)),
        **_threats(model, findings, symbols),
        "extensions": {SLOT: to_plain(model)},
    }
    if any(not it.zone for it in parts):
        zone = {"symbolic_name": NO_ZONE, "title": "in no trust zone", "description": ""}
        document["trust_zones"].append(zone)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _diagram(model: Model) -> dict[str, str]:
    from labkit.render.mermaid import mermaid

    source = mermaid(model).source
    return {"title": "Data flow diagram", "type": "mermaid", "source": source}


def _part(it: Component, symbol: str, zone: str) -> dict[str, str]:
    found = {"symbolic_name": symbol, "title": it.id, "description": it.description}
    kind = role(it.kind)
    if kind == "actor":
        found["type"] = "third_party" if it.kind == "anyone" else "user"
    elif kind == "datastore":
        found |= {"type": "key_value", "product": it.kind}
    return found | {"trust_zone": zone}


def _boundaries(channels: Sequence[Channel], symbols: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the pairs of zones with a data flow, and the authentication that it needs."""
    crossing: dict[tuple[str, str], list[Channel]] = {}
    for it in channels:
        if it.client_zone != it.server_zone and {it.client_zone, it.server_zone} <= symbols.keys():
            pair = sorted((symbols[it.client_zone], symbols[it.server_zone]))
            crossing.setdefault((pair[0], pair[1]), []).append(it)
    for (one, other), found in sorted(crossing.items()):
        yield {
            "trust_zone_a": one,
            "trust_zone_b": other,
            "access_control_methods": sorted({word for it in found for word in _access(it)}),
            "authentication_methods": sorted({word for it in found for word in _methods(it)}),
        }


def _access(channel: Channel) -> Iterator[str]:
    claim = channel.authorization
    if claim.value == "allow-all":
        yield "none"
    elif claim.value == "enforced":
        words = claim.detail.lower()
        yield from (name for name in ("abac", "rbac") if name in words)


def _methods(channel: Channel) -> Iterator[str]:
    claim = channel.client_authentication
    if claim.value in ("none", "anonymous"):
        yield "none"
    elif claim.value == "required":
        yield "token" if "token" in claim.detail.lower() else "public_key"


def _data_sets(
    model: Model,
    parts: Sequence[Component],
    channels: Sequence[Channel],
    symbols: dict[str, str],
) -> Iterator[dict[str, Any]]:
    names = Names(symbols.values())
    stores = [it for it in parts if role(it.kind) == "datastore"]
    for name in sorted({name for it in channels for name in it.data}):
        placements = []
        for store in stores:
            if any(it.server == store.id and name in it.data for it in channels):
                claim = at_rest(model, store)
                encrypted = claim is not None and claim.value == "encrypted"
                placements.append({"data_store": symbols[store.id], "encrypted": encrypted})
        yield {
            "symbolic_name": names(name),
            "title": name,
            "description": "",
            "placements": placements,
            "data_sensitivity": ["cred" if is_sensitive([name]) else "op"],
        }


def _flows(
    parts: Sequence[Component], channels: Sequence[Channel], symbols: dict[str, str]
) -> Iterator[dict[str, Any]]:
    names = Names()
    objects = {it.id: {"type": OBJECTS[role(it.kind)], "object": symbols[it.id]} for it in parts}
    for it in channels:
        yield {
            "symbolic_name": names(it.id),
            "title": it.id,
            "description": claims_text(it),
            "source": objects[it.client],
            "destination": objects[it.server],
            "has_sensitive_data": is_sensitive(it.data),
            "encrypted": is_encrypted(it),
        }


def _threats(
    model: Model, findings: Sequence[Finding], symbols: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    if not findings:
        return {}
    names, controls, risks = Names(), Names(), Names()
    ends = {it.id: (it.client, it.server) for it in model.channels}
    wanted: dict[tuple[str, str], list[Finding]] = {}
    for item in findings:
        if item.control:
            wanted.setdefault((item.control, STATUS.get(item.state, "suggested")), []).append(item)
    return {
        "threat_personas": [
            {
                "symbolic_name": ATTACKER,
                "title": "Attacker",
                "description": "An attacker at one of labkit's footholds.",
                "is_person": True,
                "skill_level": "engineer",
                "access_level": "anonymous",
                "malicious_intent": True,
                "applicability_to_org": "moderate",
            }
        ],
        "threats": [
            {
                "symbolic_name": names(item.id),
                "title": item.title,
                "description": f"{item.id}: {item.state}. {item.claim}",
                "components_affected": [
                    symbols[end]
                    for end in ends.get(item.subject, (item.subject,))
                    if end in symbols
                ],
                "threat_persona": ATTACKER,
                "event": item.explanation,
                "sources": ["adversary"],
                "weaknesses": [{"cwe_id": number} for number in _numbers(item.cwe)],
            }
            for item in findings
        ],
        "controls": [
            {
                "symbolic_name": controls(f"{control}-{status}"),
                "title": control,
                "description": "",
                "threats": [names(item.id) for item in against],
                "status": status,
                "priority": max(against, key=lambda it: it.likelihood * it.impact).severity,
            }
            for (control, status), against in sorted(wanted.items())
        ],
        "risks": [
            {
                "symbolic_name": risks(item.id),
                "title": item.title,
                "description": item.explanation,
                "threats": [names(item.id)],
                "likelihood": LIKELIHOOD[item.likelihood - 1],
                "impact": IMPACT[item.impact - 1],
                "impact_description": item.explanation,
                "score": (item.likelihood + 1) * (item.impact + 1),
                "level": item.severity,
            }
            for item in findings
            if item.state != "mitigated"
        ],
    }


def _numbers(cwe: Sequence[str]) -> Iterator[int]:
    for name in cwe:
        number = name.removeprefix("CWE-")
        if number.isascii() and number.isdigit():
            yield int(number)


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
    extensions = document.get("extensions")
    if not isinstance(extensions, dict) or SLOT not in extensions:
        return None
    return from_plain(document, "extensions", SLOT)


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
    >>> visible(parse('{"scope": {"title": "shop"}, "trust_zones": []}', "shop.json")).name
    'shop'
    """
    zone_names = {
        key: "" if key == NO_ZONE else document.text(*at, "title", default=key)
        for key, at in identified(document, "symbolic_name", "trust_zones").items()
    }
    places: dict[str, tuple[Key, ...]] = {}
    kinds: dict[str, str] = {}
    for kind, name in LISTS.items():
        for key, at in identified(document, "symbolic_name", name).items():
            # the schema demands names that are unique in their list, not in the file
            places[f"{OBJECTS[kind]}/{key}"], kinds[f"{OBJECTS[kind]}/{key}"] = at, kind
    names = labels({key: document.text(*at, "title", default="") for key, at in places.items()})
    claims = _encryption(document)
    components = {
        key: Component(
            names[key],
            kinds[key],
            "",
            zone_names.get(zone, zone),
            claims.get(key, ()),
            document.text(*at, "description", default=""),
        )
        for key, at in places.items()
        for zone in [document.text(*at, "trust_zone", default="")]
    }
    flows = identified(document, "symbolic_name", "data_flows")
    channels, notes = joined(
        document,
        flows,
        {key: document.text(*at, "title", default="") for key, at in flows.items()},
        {
            key: (
                _end(document, components, *at, "source"),
                _end(document, components, *at, "destination"),
            )
            for key, at in flows.items()
        },
        components,
    )
    return Visible(
        name=document.text("scope", "title", default=""),
        description=document.text("scope", "description", default=""),
        components=components,
        channels={key: _channel(document, *it, at=flows[key]) for key, it in channels.items()},
        notes=tuple(notes),
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
    extensions = original.get("extensions")
    own = extensions if isinstance(extensions, dict) else {}
    original["extensions"] = {**own, SLOT: written["extensions"][SLOT]}
    titles = {it.id: key.partition("/")[2] for key, it in seen.components.items()}
    lists = [written[name] for name in LISTS.values()]
    symbols = {it["symbolic_name"]: titles.get(it["title"], "") for each in lists for it in each}
    for name in ("threat_personas", "threats", "controls", "risks"):
        items = written.get(name, [])
        for it in items if name == "threats" else ():
            affected = it["components_affected"]
            it["components_affected"] = [symbols[each] for each in affected if symbols.get(each)]
        extend(original, name, items, "symbolic_name")


def _end(document: Document, components: dict[str, Component], *keys: Key) -> str:
    """Return the id of a flow's end; if its type is wrong, the only thing with its name."""
    kind = document.text(*keys, "type", default="component").replace("_", "-")
    name = document.text(*keys, "object", default="")
    end = f"{kind}/{name}"
    if end in components:
        return end
    others = [key for key in components if key.partition("/")[2] == name]
    return others[0] if len(others) == 1 else end


def _encryption(document: Document) -> dict[str, tuple[tuple[str, Claim], ...]]:
    """Return the claims of stores: encrypted only if all data sets in them are encrypted."""
    found: dict[str, tuple[tuple[str, Claim], ...]] = {}
    sets = (each(document, *at, "placements") for at in each(document, "data_sets"))
    for at in chain.from_iterable(sets):
        encrypted = document.get(*at, "encrypted")
        if not isinstance(encrypted, bool):
            continue
        key = f"{OBJECTS['datastore']}/{document.text(*at, 'data_store', default='')}"
        word = "encrypted" if encrypted else "none"
        if key not in found or not encrypted:
            claim = Claim(word, "", document.source(*at, "encrypted"))
            found[key] = (("encryption at rest", claim),)
    return found


def _channel(
    document: Document, label: str, client: Component, server: Component, *, at: tuple[Key, ...]
) -> Channel:
    mark = document.get(*at, "encrypted")
    place = (*at, "encrypted") if isinstance(mark, bool) else at
    return Channel(
        id=label,
        client=client.id,
        server=server.id,
        protocol="",
        port=None,
        path=None,
        open=True,
        **claims_by_protocol(document, "", mark if isinstance(mark, bool) else None, *place),
        credential=None,
        data=(),
        client_zone=client.zone,
        server_zone=server.zone,
    )
