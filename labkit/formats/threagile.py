"""Read and write the YAML model of Threagile (https://threagile.io)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from labkit.cluster.syntax.yamldoc import Document, Key
from labkit.errors import ConfigError
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
from labkit.formats.documents import parse
from labkit.formats.original import extend
from labkit.formats.plain import from_plain, to_plain
from labkit.formats.threagile_risks import categories, tracking
from labkit.formats.visible import Visible, claim_or_unknown, claims_by_protocol, joined
from labkit.model import Channel, Claim, Component, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["slot", "visible", "write"]

SLOT = "labkit"
KINDS = {"process": "process", "datastore": "datastore", "actor": "external-entity"}
WORDS = {word: kind for kind, word in KINDS.items()}
TECHNOLOGIES = {
    "kube-apiserver": "web-service-rest",
    "etcd": "database",
    "kube-scheduler": "scheduler",
    "kube-controller-manager": "event-listener",
    "kubelet": "container-platform",
    "containerd": "container-platform",
    "dockerd": "container-platform",
    "kube-proxy": "load-balancer",
    "kubectl-proxy": "reverse-proxy",
    "kubectl": "devops-client",
}

#: Threagile's own names of protocols, beside those that labkit gives itself.
PROTOCOLS = frozenset(
    [
        "ws",
        "wss",
        "reverse-proxy-web-protocol",
        "reverse-proxy-web-protocol-encrypted",
        "mqtt",
        "jdbc",
        "jdbc-encrypted",
        "odbc",
        "odbc-encrypted",
        "sql-access-protocol",
        "sql-access-protocol-encrypted",
        "nosql-access-protocol",
        "nosql-access-protocol-encrypted",
        "binary",
        "binary-encrypted",
        "text",
        "text-encrypted",
        "ssh",
        "ssh-tunnel",
        "smtp",
        "smtp-encrypted",
        "pop3",
        "pop3-encrypted",
        "imap",
        "imap-encrypted",
        "ftp",
        "ftps",
        "sftp",
        "scp",
        "ldap",
        "ldaps",
        "jms",
        "nfs",
        "smb",
        "smb-encrypted",
        "local-file-access",
        "nrpe",
        "xmpp",
        "iiop",
        "iiop-encrypted",
        "jrmp",
        "jrmp-encrypted",
        "in-process-library-call",
        "inter-process-communication",
        "container-spawning",
    ]
)


class _Dumper(yaml.SafeDumper):
    """YAML without aliases: equal values are written again."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model and its findings as a Threagile model.

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
    >>> print(write(read_model("hardened"), ()).splitlines()[1])
    title: hardened
    """
    parts = everyone(model)
    channels = [it for it in model.channels if it.open]
    names = Names()
    ids = {it.id: names(it.id) for it in parts}
    data_names = Names()
    data = {name: data_names(name) for name in sorted({n for it in channels for n in it.data})}
    zone_names = Names()
    risks = list(categories(model, findings, ids))
    document = {
        "threagile_version": "1.0.0",
        "title": model.name,
        "author": {"name": "labkit", "homepage": ""},
        "application_description": {"description": model.description},
        "business_criticality": "important",
        "tags_available": [],
        "data_assets": {
            name: {
                "id": key,
                "description": "",
                "usage": "devops",
                "quantity": "many",
                "confidentiality": _confidentiality([name]),
                "integrity": "critical",
                "availability": "important",
            }
            for name, key in data.items()
        },
        "technical_assets": {it.id: _asset(model, it, ids, channels, data) for it in parts},
        "trust_boundaries": {
            zone: {
                "id": zone_names(f"zone {zone}"),
                "description": "",
                "type": "network-on-prem" if "network" in zone else "execution-environment",
                "technical_assets_inside": [ids[it.id] for it in parts if it.zone == zone],
                "trust_boundaries_nested": [],
            }
            for zone in zones(parts)
        },
        "shared_runtimes": {},
        # Threagile 0.9 and the schema use the first name, Threagile 1.0 reads the second
        "individual_risk_categories": {
            it["title"]: {key: value for key, value in it.items() if key != "title"} for it in risks
        },
        "custom_risk_categories": risks,
        "risk_tracking": tracking(model, findings, ids),
        SLOT: json.dumps(to_plain(model)),
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100)


def _confidentiality(data: Sequence[str]) -> str:
    return "strictly-confidential" if is_sensitive(data) else "confidential"


def _asset(
    model: Model,
    it: Component,
    ids: dict[str, str],
    channels: Sequence[Channel],
    data: dict[str, str],
) -> dict[str, Any]:
    kind = role(it.kind)
    served = sorted({name for c in channels if c.server == it.id for name in c.data})
    used = sorted({name for c in channels if it.id in (c.client, c.server) for name in c.data})
    stored = at_rest(model, it) if kind == "datastore" else None
    encrypted = stored is not None and stored.value == "encrypted"
    return {
        "id": ids[it.id],
        "description": it.description,
        "type": KINDS[kind],
        "usage": "devops",
        "used_as_client_by_human": kind == "actor",
        "out_of_scope": it.id in dict(model.out_of_scope),
        "size": "service",
        "technology": TECHNOLOGIES.get(it.kind, "unknown-technology"),
        "internet": False,
        "machine": "container" if it.kind == "pod" else "virtual",
        "encryption": "data-with-symmetric-shared-key" if encrypted else "none",
        "owner": "",
        "confidentiality": _confidentiality(used),
        "integrity": "critical",
        "availability": "important",
        "multi_tenant": False,
        "redundant": False,
        "custom_developed_parts": False,
        "data_assets_processed": [data[name] for name in used],
        "data_assets_stored": [data[name] for name in served] if kind == "datastore" else [],
        "data_formats_accepted": [],
        "communication_links": {c.id: _link(c, ids, data) for c in channels if c.client == it.id},
    }


def _link(it: Channel, ids: dict[str, str], data: dict[str, str]) -> dict[str, Any]:
    carried = [data[name] for name in dict.fromkeys(it.data)]
    return {
        "target": ids[it.server],
        "description": claims_text(it),
        "protocol": _protocol(it),
        "authentication": _authentication(it),
        "authorization": "technical-user" if it.authorization.value == "enforced" else "none",
        "vpn": False,
        "ip_filtered": False,
        "readonly": False,
        "usage": "devops",
        "data_assets_sent": carried,
        "data_assets_received": carried,
    }


def _protocol(it: Channel) -> str:
    if it.encryption.value == "local" or it.protocol == "unix":
        return "inter-process-communication"
    if it.protocol in ("http", "https"):
        return (
            "https"
            if is_encrypted(it)
            else "http"
            if it.encryption.value == "none"
            else (it.protocol)
        )
    if not it.protocol:
        return "unknown-protocol"
    secure = is_encrypted(it)
    if secure and f"{it.protocol}-encrypted" in PROTOCOLS:
        return f"{it.protocol}-encrypted"
    if it.protocol in PROTOCOLS:
        return it.protocol
    return "binary-encrypted" if secure else "binary"


def _authentication(it: Channel) -> str:
    claim = it.client_authentication
    if claim.value == "file-mode":
        return "externalized"
    if claim.value != "required":
        return "none"
    words = claim.detail.lower()
    return "token" if "token" in words else "client-certificate"


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
    if SLOT not in document.value:
        return None
    text = document.get(SLOT)
    if not isinstance(text, str):
        raise document.broken("must be the text that labkit wrote", SLOT)
    try:
        return from_plain(parse(text, f"{document.path} {SLOT}"))
    except ConfigError as error:
        raise document.broken(f"{SLOT}: {error.message}", SLOT) from error


def visible(document: Document) -> Visible:
    r"""Return the model in the format's visible fields.

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
    >>> visible(parse("title: shop\ntechnical_assets: {}", "shop.yaml")).name
    'shop'
    """
    assets = dict(_identified(document, "technical_assets"))
    boundaries = _zones(document)
    titles = labels({key: str(at[-1]) for key, at in assets.items()})
    components = {
        key: _component(document, titles[key], boundaries.get(key, ""), *at)
        for key, at in assets.items()
    }
    data = {key: str(at[-1]) for key, at in _identified(document, "data_assets")}
    flows = {
        f"{key}>{title}": (*at, "communication_links", title)
        for key, at in assets.items()
        for title in document.mapping(*at, "communication_links")
    }
    channels, notes = joined(
        document,
        flows,
        {key: str(at[-1]) for key, at in flows.items()},
        {key: (key.partition(">")[0], document.text(*at, "target")) for key, at in flows.items()},
        components,
    )
    for name in document.words("includes"):
        where = document.source("includes")
        notes.append(f"{where}: {name} is not read: merge the included files into one file first")
    return Visible(
        name=document.text("title", default=""),
        description=document.text("application_description", "description", default=""),
        components=components,
        channels={
            key: _channel(document, *flow, data, *flows[key]) for key, flow in channels.items()
        },
        notes=tuple(notes),
        out_of_scope=tuple(
            (components[key].id, _reason(document, *at))
            for key, at in assets.items()
            if document.get(*at, "out_of_scope") is True
        ),
    )


def _reason(document: Document, *at: Key) -> str:
    return document.text(*at, "justification_out_of_scope", default="")


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
    names = {it.id: key for key, it in seen.components.items()}
    ids = {it["id"]: names.get(title, "") for title, it in written["technical_assets"].items()}
    for each in (written["individual_risk_categories"].values(), written["custom_risk_categories"]):
        for category in each:
            for risk in category["risks_identified"].values():
                for key, value in risk.items():
                    if key.startswith("most_relevant_technical_asset") and value in ids:
                        risk[key] = ids[value]
    extend(original, "custom_risk_categories", written["custom_risk_categories"], "id")
    for name in ("individual_risk_categories", "risk_tracking"):
        original[name] = {**(original.get(name) or {}), **written[name]}


def _identified(document: Document, name: str) -> Iterator[tuple[str, tuple[Key, ...]]]:
    seen = set()
    for title in document.mapping(name):
        document.mapping(name, title)
        key = document.text(name, title, "id", default=title)
        if key in seen:
            raise document.broken(f"{key!r} stands here twice", name, title, "id")
        seen.add(key)
        yield key, (name, title)


def _zones(document: Document) -> dict[str, str]:
    return {
        asset: title
        for title in document.mapping("trust_boundaries")
        for asset in document.words("trust_boundaries", title, "technical_assets_inside")
    }


def _component(document: Document, label: str, zone: str, *at: Key) -> Component:
    word = document.text(*at, "type", default="process")
    kind = WORDS.get(word, word)
    claims: tuple[tuple[str, Claim], ...] = ()
    encryption = document.text(*at, "encryption", default="")
    if kind == "datastore" and encryption:
        value = "none" if encryption == "none" else "encrypted"
        claim = Claim(value, encryption, document.source(*at, "encryption"))
        claims = (("encryption at rest", claim),)
    description = document.text(*at, "description", default="")
    return Component(label, kind, "", zone, claims, description)


def _channel(
    document: Document,
    label: str,
    client: Component,
    server: Component,
    data: dict[str, str],
    *at: Key,
) -> Channel:
    protocol = document.text(*at, "protocol", default="")
    place = (*at, "protocol") if protocol else at
    claims = claims_by_protocol(document, protocol, None, *place)
    for name, key, nothing, something in (
        ("client_authentication", "authentication", "none", "required"),
        ("authorization", "authorization", "allow-all", "enforced"),
    ):
        if word := document.text(*at, key, default=""):
            value = nothing if word == "none" else something
            claims[name] = claim_or_unknown(document, name, value, word, *at, key)
    carried = (
        *document.words(*at, "data_assets_sent"),
        *document.words(*at, "data_assets_received"),
    )
    return Channel(
        id=label,
        client=client.id,
        server=server.id,
        protocol="" if protocol == "unknown-protocol" else protocol,
        port=None,
        path=None,
        open=True,
        **claims,
        credential=None,
        data=tuple(dict.fromkeys(data.get(key, key) for key in carried)),
        client_zone=client.zone,
        server_zone=server.zone,
    )
