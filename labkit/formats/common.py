"""What several formats need: names that they take, roles of components, words for claims."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable

from labkit.model import PROPERTIES, Channel, Claim, Component, Model
from labkit.model.threat_model import end_of_channel

__all__ = [
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
#: What XML 1.0 cannot hold.
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NAMESPACE = uuid.UUID("6f5d8c1e-6e0c-5a53-9a0e-1c6a0b1f7a11")


class Names:
    """Gives each thing a short name of letters, digits and hyphens that no other one has.

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
        """Return a thing's name: always the same one."""
        if thing not in self._given:
            stem = re.sub(r"[^a-z0-9]+", "-", thing.lower()).strip("-") or "x"
            name, number = stem, 2
            while name in self._taken:
                name, number = f"{stem}-{number}", number + 1
            self._taken.add(name)
            self._given[thing] = name
        return self._given[thing]


def role(kind: str) -> str:
    """Say what a component of a kind is in a data flow diagram.

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
    """Return a readable name for each id that no other one has.

    Parameters
    ----------
    names : dict of str to str
        By id, as somebody gave them.
    others : dict of str to str, optional
        What each is called where that is not enough; without it, by its id.

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
    r"""Return a name as one line: tools break long ones.

    Examples
    --------
    >>> one_line("Web\nApplication ")
    'Web Application'
    """
    return " ".join(text.split())


def everyone(model: Model) -> tuple[Component, ...]:
    """Return the components of a model, and whoever else stands at an end of a channel."""
    parts = {it.id: it for it in model.components}
    for it in model.channels:
        for end, zone in ((it.client, it.client_zone), (it.server, it.server_zone)):
            parts.setdefault(end, end_of_channel(end, zone))
    return tuple(parts.values())


def zones(components: Iterable[Component]) -> tuple[str, ...]:
    """Return the trust zones of components, in a stable order."""
    return tuple(sorted({it.zone for it in components if it.zone}))


def is_encrypted(channel: Channel) -> bool:
    """Say whether a channel is known to be encrypted."""
    return channel.encryption.value.startswith("tls")


def is_sensitive(data: Iterable[str]) -> bool:
    """Say whether there is a credential, or what is worth as much, among what is carried.

    Examples
    --------
    >>> is_sensitive(["pod specs", "secrets"]), is_sensitive(["endpoints"])
    (True, False)
    """
    return any(SENSITIVE.search(name.lower()) for name in data)


def at_rest(model: Model, store: Component) -> Claim | None:
    """Return what is claimed of the data in a store: by itself, or by whoever writes there."""
    own = store.claim("encryption at rest") or store.claim("secrets at rest")
    if own is not None or role(store.kind) != "datastore":
        return own
    writers = {it.client for it in model.channels if it.open and it.server == store.id}
    found = (it.claim("secrets at rest") for it in model.components if it.id in writers)
    return next((claim for claim in found if claim is not None), None)


def claims_text(channel: Channel) -> str:
    """Write all claims of a channel, a line for each, with where it was read."""
    return "\n".join(f"{name.replace('_', ' ')}: {getattr(channel, name)}" for name in PROPERTIES)


def printable(text: str) -> str:
    r"""Return a text without what XML cannot hold.

    Examples
    --------
    >>> printable("a\x00b")
    'a\ufffdb'
    """
    return UNPRINTABLE.sub("\ufffd", text)


def stable_uuid(*words: str) -> str:
    """Return a UUID that is the same for the same words, today and tomorrow.

    Examples
    --------
    >>> stable_uuid("flow", "a -> b") == stable_uuid("flow", "a -> b")
    True
    """
    return str(uuid.uuid5(NAMESPACE, "\0".join(words)))


def rounded(count: int) -> int:
    """Return how many things stand side by side in a box of so many.

    Examples
    --------
    >>> [rounded(count) for count in (0, 1, 4, 7, 10)]
    [1, 1, 2, 3, 4]
    """
    side = 1
    while side * side < count:
        side += 1
    return side
