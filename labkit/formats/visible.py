"""The fields that another tool shows, and how changes to them are merged into the model.

If labkit wrote the file, the file holds the whole model in a free slot. A user of the other tool
changes the visible fields only. A changed field is more recent, so it wins over the slot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.cluster.syntax.yamldoc import Document, Key
from labkit.formats.common import ENCRYPTED, labels, one_line
from labkit.model import PROPERTIES, VALUES, Channel, Claim, Component, Model

__all__ = [
    "Visible",
    "agreed",
    "claim_or_unknown",
    "claims_by_protocol",
    "foreign",
    "joined",
    "two_ways",
]

_COMPONENT = ("id", "kind", "node", "zone", "description")
_CHANNEL = (
    *("id", "client", "server", "protocol", "port", "path", "open"),
    *("data", "client_zone", "server_zone"),
)


@dataclass(frozen=True, slots=True)
class Visible:
    """The model in the visible fields of a file.

    Attributes
    ----------
    name, description : str
    components : dict of str to Component
        By their ids in the file.
    channels : dict of str to Channel
        By their ids in the file.
    notes : tuple of str
        Parts of the file that were left out.
    out_of_scope : tuple of (str, str)
        The ids of components and channels that somebody put out of scope, with the reason.
    """

    name: str
    description: str = ""
    components: dict[str, Component] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    out_of_scope: tuple[tuple[str, str], ...] = ()


def two_ways(path: str, it: Channel) -> str:
    """Return the note for a flow in both directions, which a channel does not have.

    Parameters
    ----------
    path : str
    it : Channel

    Returns
    -------
    str
    """
    said = f"{path}: {it.id} goes in both directions"
    return f"{said}: labkit takes {it.client} for the client, and {it.server} for the server"


def claim_or_unknown(
    document: Document, name: str, value: str | None, detail: str, *keys: Key
) -> Claim:
    """Return a claim about a channel; it is unknown if the file gives no value.

    Parameters
    ----------
    document : Document
    name : str
        One of :data:`labkit.model.PROPERTIES`.
    value : str or None
        The value in the file. A value that is not in :data:`labkit.model.VALUES` is unknown.
    detail : str
    *keys : str or int
        The place of the value.

    Returns
    -------
    Claim

    Examples
    --------
    >>> document = Document("model.json", {"flow": {}}, {("flow",): 7})
    >>> print(claim_or_unknown(document, "encryption", None, "", "flow"))
    unknown (the file does not say): model.json:7 flow
    """
    source = document.source(*keys)
    if value is None:
        return Claim("unknown", detail or "the file does not say", source)
    if value not in VALUES[name]:
        return Claim("unknown", f"labkit does not know the value {value!r}", source)
    return Claim(value, detail, source)


Place = tuple[Key, ...]


def joined(
    document: Document,
    places: dict[str, Place],
    titles: dict[str, str],
    ends: dict[str, tuple[str, str]],
    components: dict[str, Component],
) -> tuple[dict[str, tuple[str, Component, Component]], list[str]]:
    """Return the label and the ends of each flow, and a note for each flow that lacks an end.

    Parameters
    ----------
    document : Document
    places : dict of str to tuple of str or int
        The place of each flow in the document, by the flow's id.
    titles : dict of str to str
        The names of the flows, by id.
    ends : dict of str to tuple of str
        The ids of each flow's client and server, by the flow's id.
    components : dict of str to Component
        By id.

    Returns
    -------
    flows : dict of str to tuple of str, Component and Component
        Label, client and server, by the flow's id.
    notes : list of str

    Examples
    --------
    >>> document = Document("a.json", {"flows": [{}]}, {("flows",): 4})
    >>> joined(document, {"f": ("flows",)}, {"f": "asks"}, {"f": ("web", "db")}, {})[1]
    ["a.json:4 flows: no 'web', so the flow 'asks' is left out"]
    """
    found = {}
    notes = []
    known = {key: it.id for key, it in components.items()}
    others = {
        key: f"{known[one]} -> {known[other]}"
        for key, (one, other) in ends.items()
        if one in known and other in known
    }
    for key, label in labels(titles, others).items():
        if key in others:
            client, server = (components[end] for end in ends[key])
            found[key] = (label, client, server)
        else:
            lost = next(end for end in ends[key] if end not in known)
            where = document.source(*places[key])
            missing = f"no {lost!r}" if lost else "one end is loose"
            notes.append(f"{where}: {missing}, so the flow {label!r} is left out")
    return found, notes


#: Names of protocols without and with encryption.
_PLAIN = frozenset({"http", "ws", "ftp", "telnet", "ldap", "smtp", "tcp-plain"})
_SECURE = re.compile(
    r"(?:https|wss|tls|mtls|ssl|ftps|sftp|scp|ssh|ldaps|grpcs|amqps|mqtts|imaps|pop3s|smtps|rediss)\b"
    r"|.*-encrypted$"
)
#: The line in a note, which changes when something is added before it.
_LINE = re.compile(r":\d+ ")
_LOCAL = frozenset({"unix", "inter-process-communication", "in-process-library-call"})


def claims_by_protocol(
    document: Document, protocol: str, encrypted: bool | None, *keys: Key
) -> dict[str, Any]:
    """Return the four claims that follow from a channel's protocol and its encryption mark.

    Parameters
    ----------
    document : Document
    protocol : str
    encrypted : bool or None
        The mark "encrypted" in the file; None if the file has no mark.
    *keys : str or int
        The place of the channel.

    Returns
    -------
    dict of str to Claim
        By the names in :data:`labkit.model.PROPERTIES`.

    Examples
    --------
    >>> document = Document("model.json", {"flow": {}}, {("flow",): 7})
    >>> claims_by_protocol(document, "HTTP", None, "flow")["encryption"].value
    'none'
    >>> claims_by_protocol(document, "HTTPS", False, "flow")["encryption"].detail
    'marked as not encrypted, and https encrypts'
    """
    word = protocol.strip().lower()
    secure = bool(_SECURE.match(word))
    value: str | None = None
    detail = ""
    if word in _LOCAL:
        value, detail = "local", protocol
    elif secure and encrypted is False:
        detail = f"marked as not encrypted, and {word} encrypts"
    elif word in _PLAIN and encrypted:
        detail = f"marked as encrypted, and {word} encrypts nothing"
    elif secure or encrypted:
        detail = ENCRYPTED
    elif word in _PLAIN or encrypted is False:
        value, detail = "none", f"plain {word}" if word in _PLAIN else "marked as not encrypted"
    claims = {name: claim_or_unknown(document, name, None, "", *keys) for name in PROPERTIES}
    claims["encryption"] = claim_or_unknown(document, "encryption", value, detail, *keys)
    if value == "local" or (value == "none" and word in _PLAIN):
        server = "server_authentication"
        claims[server] = claim_or_unknown(document, server, value, detail, *keys)
    return claims


def foreign(seen: Visible) -> Model:
    """Return the model of a file that labkit did not write.

    Parameters
    ----------
    seen : Visible

    Returns
    -------
    Model
        Its unknowns hold the notes and every unknown property of a channel.

    Examples
    --------
    >>> foreign(Visible("shop", notes=("a.json:4: left out",))).unknowns
    ('a.json:4: left out',)
    """
    return Model(
        name=seen.name,
        components=tuple(seen.components.values()),
        channels=tuple(seen.channels.values()),
        description=seen.description,
        unknowns=(*seen.notes, *_scope(seen), *_unknown(seen.channels.values())),
        out_of_scope=seen.out_of_scope,
    )


def _scope(seen: Visible) -> Iterator[str]:
    for key, reason in seen.out_of_scope:
        why = f" ({reason})" if reason else ""
        yield f"{key} is out of scope{why}: its findings count as accepted"


def _unknown(channels: Any) -> Iterator[str]:
    for channel in channels:
        for name in PROPERTIES:
            claim = getattr(channel, name)
            if claim.value == "unknown":
                yield f"{channel.id}: {name.replace('_', ' ')} is {claim}"


def agreed(kept: Model, written: Visible, seen: Visible, path: str) -> Model:
    """Return the model that labkit wrote, with the later changes of another tool.

    Parameters
    ----------
    kept : Model
        The model in the free slot.
    written : Visible
        The visible fields when labkit wrote the file.
    seen : Visible
        The visible fields now. A field that differs from ``written`` wins over the free slot.
    path : str
        The name of the file, for messages.

    Returns
    -------
    Model
        Its unknowns list every change.

    Examples
    --------
    >>> agreed(Model("old", (), ()), Visible("old"), Visible("new"), "a.json").name
    'new'
    """
    merge = _Merge(path)
    renamed = {
        written.components[key].id: it.id
        for key, it in seen.components.items()
        if key in written.components
    }
    model = replace(kept, channels=tuple(_moved(it, renamed) for it in kept.channels))
    components = merge.all(model.components, written.components, seen.components, _COMPONENT)
    written = replace(
        written, channels={key: _moved(it, renamed) for key, it in written.channels.items()}
    )
    channels = merge.all(model.channels, written.channels, seen.channels, _CHANNEL)
    gone = {it.id for it in written.components.values()} - set(renamed)
    texts = {
        name: merge.value(kept.name, name, getattr(kept, name), getattr(written, name), now)
        for name in ("name", "description")
        for now in [getattr(seen, name)]
    }
    known = {_LINE.sub(" ", note, count=1) for note in written.notes}
    new = tuple(note for note in seen.notes if _LINE.sub(" ", note, count=1) not in known)
    scope = kept.out_of_scope
    if seen.out_of_scope != written.out_of_scope:
        now = seen.out_of_scope
        scope = merge.value(model.name, "out of scope", None, written.out_of_scope, now)
    return replace(
        model,
        **texts,
        components=tuple(components),
        channels=tuple(it for it in channels if not {it.client, it.server} & gone),
        unknowns=(*kept.unknowns, *new, *merge.notes),
        out_of_scope=scope,
    )


def _moved(channel: Channel, renamed: dict[str, str]) -> Channel:
    client, server = (renamed.get(end, end) for end in (channel.client, channel.server))
    if (client, server) == (channel.client, channel.server):
        return channel
    return replace(channel, client=client, server=server)


class _Merge:
    """Merges the kept, the written and the seen values, and notes each change."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.notes: list[str] = []

    def value(self, thing: str, name: str, kept: Any, written: Any, seen: Any) -> Any:
        """Return the kept value, or the seen value if it differs from the written one."""
        if seen == written:
            return kept
        self.notes.append(
            f"{self.path} {thing}: {name.replace('_', ' ')} is {seen!r}, "
            f"and was {written!r} when labkit wrote the file: labkit uses the new value"
        )
        return seen

    def all(
        self,
        kept: tuple[Any, ...],
        written: dict[str, Any],
        seen: dict[str, Any],
        names: tuple[str, ...],
    ) -> Iterator[Any]:
        """Yield the kept things with their changes, without removed ones, then the new ones."""
        place = {it.id: key for key, it in written.items()}
        new = {key: it for key, it in seen.items() if key not in written}
        added = {it.id for it in new.values()}
        for it in kept:
            key = place.get(one_line(it.id))
            if key is None:
                # a closed channel is not shown, unless somebody opened it later
                if it.id not in added:
                    yield it
            elif key in seen:
                yield self._one(it, written[key], seen[key], names)
            else:
                self.notes.append(f"{self.path}: {it.id} was removed after labkit wrote the file")
        for it in new.values():
            self.notes.append(f"{self.path}: {it.id} was added after labkit wrote the file")
            yield it
            if isinstance(it, Channel):
                self.notes += _unknown([it])

    def _one(self, kept: Any, written: Any, seen: Any, names: tuple[str, ...]) -> Any:
        changes: dict[str, Any] = {}
        for name in names:
            if getattr(seen, name) != getattr(written, name):
                changes[name] = self.value(
                    kept.id, name, None, getattr(written, name), getattr(seen, name)
                )
        if isinstance(kept, Channel):
            changes |= dict(self._claims(kept, written, seen))
        else:
            changes |= self._claims_of_component(kept, written, seen)
        return replace(kept, **changes) if changes else kept

    def _claims(self, kept: Channel, written: Any, seen: Any) -> Iterator[tuple[str, Claim]]:
        for name in PROPERTIES:
            before, now = getattr(written, name), getattr(seen, name)
            if before.value != now.value:
                self.value(kept.id, name, None, before.value, now.value)
                yield name, now

    def _claims_of_component(self, kept: Any, written: Any, seen: Any) -> dict[str, Any]:
        before, now = dict(written.claims), dict(seen.claims)
        claims = dict(kept.claims)
        for name in sorted({*before, *now}):
            was, is_ = (it[name].value if name in it else None for it in (before, now))
            if was != is_:
                self.value(kept.id, name, None, was, is_)
                claims.pop(name, None)
                if name in now:
                    claims[name] = now[name]
        return {"claims": tuple(claims.items())} if claims != dict(kept.claims) else {}
