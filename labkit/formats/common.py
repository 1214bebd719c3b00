"""Helpers for several formats: unique names, roles of components, texts of claims."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable

from labkit.model import PROPERTIES, Channel, Claim, Component, Model
from labkit.model.threat_model import end_of_channel

__all__ = [
    "ENCRYPTED",
    "Names",
    "at_rest",
    "claims_text",
    "everyone",
    "is_encrypted",
    "is_sensitive",
    "labels",
    "one_line",
    "printable",
    "role",
    "rounded",
    "stable_uuid",
    "zones",
]

STORES = re.compile(r"etcd|data ?store|database|\bstore\b|\bdb\b|bucket|cache|file.?system")
ACTORS = re.compile(
    r"^(anyone|local-users|kubectl|person|actor|user|client|external|third.?party|system)"
    r"|attacker|browser|administrator|engineer|power_user"
)
SENSITIVE = re.compile(r"secret|token|credential|password|\bkeys?\b|all objects|root on|exec")
#: Characters that XML 1.0 forbids: https://www.w3.org/TR/xml/#charsets
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The detail of an unknown claim about a channel that another tool's file marks as encrypted.
ENCRYPTED = "encrypted; the file does not give the TLS version"
NAMESPACE = uuid.UUID("6f5d8c1e-6e0c-5a53-9a0e-1c6a0b1f7a11")


class Names:
    """Gives each thing a unique short name of letters, digits and hyphens.

    Parameters
    ----------
    taken : iterable of str, optional
        Names that must not be given.

    Examples
    --------
    >>> names = Names()
    >>> names("kubelet@worker1"), names("kubelet/worker1"), names("kubelet@worker1")
    ('kubelet-worker1', 'kubelet-worker1-2', 'kubelet-worker1')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._given: dict[str, str] = {}
        self._taken = set(taken)

    def __call__(self, thing: str) -> str:
        """Return the name of a thing; the same thing always gets the same name."""
        if thing not in self._given:
            stem = re.sub(r"[^a-z0-9]+", "-", thing.lower()).strip("-") or "x"
            name, number = stem, 2
            while name in self._taken:
                name, number = f"{stem}-{number}", number + 1
            self._taken.add(name)
            self._given[thing] = name
        return self._given[thing]


def role(kind: str) -> str:
    """Return the role of a kind of component in a data flow diagram.

    Parameters
    ----------
    kind : str

    Returns
    -------
    {"process", "datastore", "actor"}

    Examples
    --------
    >>> role("kubelet"), role("etcd"), role("local-users")
    ('process', 'datastore', 'actor')
    """
    kind = kind.lower()
    if STORES.search(kind):
        return "datastore"
    return "actor" if ACTORS.search(kind) else "process"


def labels(names: dict[str, str], others: dict[str, str] | None = None) -> dict[str, str]:
    """Return a readable and unique name for each id.

    Parameters
    ----------
    names : dict of str to str
        The names in the file, by id; they may be empty or equal.
    others : dict of str to str, optional
        By id, a text that distinguishes equal names. The default is the id.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> labels({"1": "web", "2": "web", "3": "", "4": "db"})
    {'1': 'web (1)', '2': 'web (2)', '3': '3', '4': 'db'}
    """
    other = {key: (others or {}).get(key) or key for key in names}
    tidy = {key: one_line(name) or other[key] for key, name in names.items()}
    given = Counter(tidy.values())
    found: dict[str, str] = {}
    taken: set[str] = set()
    for key, name in tidy.items():
        label = name if given[name] == 1 else f"{name} ({other[key]})"
        while label in taken:
            label = f"{label} ({key})"
        taken.add(label)
        found[key] = label
    return found


def one_line(text: str) -> str:
    r"""Return a name as one line; some tools break long names into lines.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> one_line("Web\nApplication ")
    'Web Application'
    """
    return " ".join(text.split())


def everyone(model: Model) -> tuple[Component, ...]:
    """Return the components of a model, and every other client and server of its channels.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Component

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> {it.id for it in everyone(model)} >= {it.client for it in model.channels}
    True
    """
    parts = {it.id: it for it in model.components}
    for it in model.channels:
        for end, zone in ((it.client, it.client_zone), (it.server, it.server_zone)):
            parts.setdefault(end, end_of_channel(end, zone))
    return tuple(parts.values())


def zones(components: Iterable[Component]) -> tuple[str, ...]:
    """Return the trust zones of components, sorted.

    Parameters
    ----------
    components : iterable of Component

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> zones([Component("web", "pod", "m", "shop"), Component("db", "pod", "m", "")])
    ('shop',)
    """
    return tuple(sorted({it.zone for it in components if it.zone}))


def is_encrypted(channel: Channel) -> bool:
    """Say whether a channel is encrypted, as a claim or as another tool's mark says.

    Without a claim and without a mark, it counts as not encrypted.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    bool

    Examples
    --------
    >>> from labkit.model import read_model
    >>> is_encrypted(read_model("hardened").channels[0])
    True
    """
    claim = channel.encryption
    marked = claim.value == "unknown" and claim.detail == ENCRYPTED
    return marked or claim.value.startswith("tls")


def is_sensitive(data: Iterable[str]) -> bool:
    """Say whether data holds a credential, or something as valuable.

    Parameters
    ----------
    data : iterable of str
        Names of data.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_sensitive(["pod specs", "secrets"]), is_sensitive(["endpoints"])
    (True, False)
    """
    return any(SENSITIVE.search(name.lower()) for name in data)


def at_rest(model: Model, store: Component) -> Claim | None:
    """Return the claim about encryption at rest in a store, from the store or from its clients.

    Parameters
    ----------
    model : Model
    store : Component

    Returns
    -------
    Claim or None
        None if neither the store nor a client makes a claim.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> at_rest(model, model.component("etcd@etcd1")).value
    'encrypted'
    """
    own = store.claim("encryption at rest") or store.claim("secrets at rest")
    if own is not None or role(store.kind) != "datastore":
        return own
    writers = {it.client for it in model.channels if it.open and it.server == store.id}
    found = (it.claim("secrets at rest") for it in model.components if it.id in writers)
    return next((claim for claim in found if claim is not None), None)


def claims_text(channel: Channel) -> str:
    """Return the claims of a channel as text, one line for each, with its source.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> claims_text(read_model("hardened").channels[0]).count(chr(10))
    3
    """
    return "\n".join(f"{name.replace('_', ' ')}: {getattr(channel, name)}" for name in PROPERTIES)


def printable(text: str) -> str:
    r"""Return a text with each character that XML forbids replaced by U+FFFD.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> printable("a\x00b")
    'a\ufffdb'
    """
    return UNPRINTABLE.sub("\ufffd", text)


def stable_uuid(*words: str) -> str:
    """Return a UUID that depends only on the words (version 5, RFC 9562).

    Parameters
    ----------
    *words : str

    Returns
    -------
    str

    Examples
    --------
    >>> stable_uuid("flow", "a -> b") == stable_uuid("flow", "a -> b")
    True
    """
    return str(uuid.uuid5(NAMESPACE, "\0".join(words)))


def rounded(count: int) -> int:
    """Return the number of columns of a nearly square grid for a number of things.

    Parameters
    ----------
    count : int

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> [rounded(count) for count in (0, 1, 4, 7, 10)]
    [1, 1, 2, 3, 4]
    """
    side = 1
    while side * side < count:
        side += 1
    return side
