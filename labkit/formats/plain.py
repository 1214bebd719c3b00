"""Convert a model to plain data without loss, for the free slot of a format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from labkit.cluster.syntax.source import Source
from labkit.errors import ConfigError
from labkit.model import (
    PROPERTIES,
    VALUES,
    Channel,
    Claim,
    Component,
    Foothold,
    Model,
    StoredCredential,
    parse_foothold,
)

if TYPE_CHECKING:
    from labkit.cluster.syntax.yamldoc import Document, Key

__all__ = ["VERSION", "from_plain", "to_plain"]

VERSION = 1
_CHANNEL_TEXTS = ("id", "client", "server", "protocol", "client_zone", "server_zone", "bind")
_COMPONENT_TEXTS = ("id", "kind", "node", "zone", "description")
_CREDENTIAL_TEXTS = ("name", "node", "kind", "identity")
_FOOTHOLDS = ("rights", "readable_by", "perhaps_readable_by")


def to_plain(model: Model) -> dict[str, Any]:
    """Return a model as dicts, lists and scalars.

    Parameters
    ----------
    model : Model
        Its environment is not kept.

    Returns
    -------
    dict
        :func:`from_plain` returns an equal model for it.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> plain = to_plain(read_model("hardened"))
    >>> plain["name"], plain["channels"][0]["encryption"]["value"]
    ('hardened', 'tls1.3')
    """
    return {
        "version": VERSION,
        "name": model.name,
        "description": model.description,
        "components": [
            {name: getattr(it, name) for name in _COMPONENT_TEXTS}
            | {"claims": [{"name": name, **_claim(claim)} for name, claim in it.claims]}
            for it in model.components
        ],
        "channels": [
            {name: getattr(it, name) for name in _CHANNEL_TEXTS}
            | {"port": it.port, "path": it.path, "open": it.open, "credential": it.credential}
            | {"data": list(it.data), "members": list(it.members)}
            | {name: _claim(getattr(it, name)) for name in PROPERTIES}
            for it in model.channels
        ],
        "credentials": [
            {name: getattr(it, name) for name in _CREDENTIAL_TEXTS}
            | {name: [each.word for each in getattr(it, name)] for name in _FOOTHOLDS}
            | {"opens": list(it.opens), "source": _source(it.source)}
            for it in model.credentials
        ],
        "unknowns": list(model.unknowns),
        **({"out_of_scope": list(map(list, model.out_of_scope))} if model.out_of_scope else {}),
        **(
            {"original": {"format": model.original[0], "document": model.original[1]}}
            if model.original
            else {}
        ),
    }


def from_plain(document: Document, *keys: Key) -> Model:
    """Return the model of the plain data that :func:`to_plain` returned.

    Parameters
    ----------
    document : Document
        The file with the data.
    *keys : str or int
        The place of the data in the file.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        A value is missing or has the wrong type, a claim has a value that labkit does not know,
        an id is given twice, or the data has another version.

    Examples
    --------
    >>> from labkit.cluster.syntax.yamldoc import Document
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> from_plain(Document("model.json", to_plain(model), {})) == model
    True
    """
    read = _Reader(document)
    version = document.get(*keys, "version")
    if version != VERSION or isinstance(version, bool):
        what = f"a model of version {version!r}, where this labkit reads {VERSION}"
        raise document.broken(what, *keys, "version")
    return Model(
        name=read.text(*keys, "name"),
        components=tuple(map(read.component, read.unique("id", *keys, "components"))),
        channels=tuple(map(read.channel, read.unique("id", *keys, "channels"))),
        credentials=tuple(map(read.credential, read.each(*keys, "credentials"))),
        description=read.text(*keys, "description"),
        unknowns=read.texts(*keys, "unknowns"),
        out_of_scope=tuple(read.pairs(*keys, "out_of_scope")),
        original=_original(document.get(*keys, "original")),
    )


def _original(found: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the other tool's document that a model was read from, if it is there."""
    if not isinstance(found, dict):
        return None
    name, document = found.get("format"), found.get("document")
    return (name, document) if isinstance(name, str) and isinstance(document, dict) else None


def _claim(claim: Claim) -> dict[str, Any]:
    return {"value": claim.value, "detail": claim.detail, "source": _source(claim.source)}


def _source(source: Source) -> dict[str, Any]:
    return {
        "path": source.path,
        "line": source.line,
        "text": source.text,
        "default": source.default,
    }


class _Reader:
    """Reads values from a document and checks their types."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def text(self, *keys: Key) -> str:
        value = self.document.get(*keys)
        if not isinstance(value, str):
            raise self.document.broken(f"{keys[-1]} must be a text", *keys)
        return value

    def text_or_none(self, *keys: Key) -> str | None:
        return None if self.document.get(*keys) is None else self.text(*keys)

    def texts(self, *keys: Key) -> tuple[str, ...]:
        return tuple(self.text(*keys, number) for number in range(self._count(*keys)))

    def number(self, *keys: Key) -> int | None:
        value = self.document.get(*keys)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self.document.broken(f"{keys[-1]} must be a whole number", *keys)
        return value

    def true_or_false(self, *keys: Key) -> bool:
        value = self.document.get(*keys)
        if not isinstance(value, bool):
            raise self.document.broken(f"{keys[-1]} must be true or false", *keys)
        return value

    def _count(self, *keys: Key) -> int:
        value = self.document.get(*keys)
        if not isinstance(value, list):
            raise self.document.broken(f"{keys[-1]} must be a list", *keys)
        return len(value)

    def each(self, *keys: Key) -> Iterable[tuple[Key, ...]]:
        for number in range(self._count(*keys)):
            if not isinstance(self.document.get(*keys, number), dict):
                raise self.document.broken("expected keys and values here", *keys, number)
            yield (*keys, number)

    def unique(self, name: str, *keys: Key) -> Iterable[tuple[Key, ...]]:
        seen = set()
        for place in self.each(*keys):
            found = self.text(*place, name)
            if found in seen:
                raise self.document.broken(f"{found!r} stands here twice", *place, name)
            seen.add(found)
            yield place

    def pairs(self, *keys: Key) -> Iterable[tuple[str, str]]:
        if self.document.get(*keys) is None:
            return
        for number in range(self._count(*keys)):
            one, other = (self.text(*keys, number, each) for each in (0, 1))
            yield one, other

    def source(self, *keys: Key) -> Source:
        return Source(
            self.text(*keys, "path"),
            self.number(*keys, "line"),
            self.text(*keys, "text"),
            self.true_or_false(*keys, "default"),
        )

    def claim(self, *keys: Key) -> Claim:
        return Claim(
            self.text(*keys, "value"), self.text(*keys, "detail"), self.source(*keys, "source")
        )

    def property(self, name: str, *keys: Key) -> Claim:
        claim = self.claim(*keys, name)
        if claim.value not in VALUES[name]:
            what = f"{claim.value!r} is not a value of {name}: {', '.join(VALUES[name])}"
            raise self.document.broken(what, *keys, name, "value")
        return claim

    def component(self, place: tuple[Key, ...]) -> Component:
        texts = {name: self.text(*place, name) for name in _COMPONENT_TEXTS}
        claims = tuple(
            (self.text(*claim, "name"), self.claim(*claim))
            for claim in self.unique("name", *place, "claims")
        )
        return Component(**texts, claims=claims)

    def channel(self, place: tuple[Key, ...]) -> Channel:
        own: dict[str, Any] = {name: self.text(*place, name) for name in _CHANNEL_TEXTS}
        own |= {name: self.property(name, *place) for name in PROPERTIES}
        return Channel(
            **own,
            port=self.number(*place, "port"),
            path=self.text_or_none(*place, "path"),
            open=self.true_or_false(*place, "open"),
            credential=self.text_or_none(*place, "credential"),
            data=self.texts(*place, "data"),
            members=self.texts(*place, "members"),
        )

    def footholds(self, *keys: Key) -> tuple[Foothold, ...]:
        try:
            return tuple(map(parse_foothold, self.texts(*keys)))
        except ConfigError as error:
            raise self.document.broken(error.message, *keys) from error

    def credential(self, place: tuple[Key, ...]) -> StoredCredential:
        own: dict[str, Any] = {name: self.text(*place, name) for name in _CREDENTIAL_TEXTS}
        own |= {name: self.footholds(*place, name) for name in _FOOTHOLDS}
        return StoredCredential(
            **own,
            opens=self.texts(*place, "opens"),
            source=self.source(*place, "source"),
        )
