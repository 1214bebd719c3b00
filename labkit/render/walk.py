"""Attack paths on a picture: which channels and components each step is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.model import Channel, Model
from labkit.model.strangers import STRANGERS
from labkit.render.svg import Mark

if TYPE_CHECKING:
    from labkit.analysis import Path, Step

__all__ = ["Walk"]

HOLDS = "holds "


class Walk:
    """What of a model the steps of attack paths are about.

    A step says by which claims it is possible; the channels of which just these are claimed
    are those that it may go over. Where there are none, it is about a credential or a machine.

    Examples
    --------
    >>> from labkit.analysis import attack_paths
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> [mark] = Walk(model).marks(attack_paths(model, "network", "node", 1).paths[0])
    >>> sorted(mark.channels)
    ['anyone@network -> dockerd@worker1:2375']
    """

    def __init__(self, model: Model) -> None:
        self._node = {it.id: it.node for it in model.components}
        self._on: dict[str, list[str]] = {}
        for it in model.components:
            self._on.setdefault(it.node, []).append(it.id)
        self._asked: dict[str, dict[str, Channel]] = {}
        self._heard: dict[str, dict[str, Channel]] = {}
        self._with: dict[str, list[Channel]] = {}
        for channel in model.channels:
            if not channel.open:
                continue
            for claim in (channel.client_authentication, channel.authorization):
                self._asked.setdefault(str(claim), {})[channel.id] = channel
            for claim in (channel.encryption, channel.server_authentication):
                self._heard.setdefault(str(claim), {})[channel.id] = channel
            if channel.credential:
                held = f"{channel.credential}@{self._node.get(channel.client, '')}"
                self._with.setdefault(held, []).append(channel)

    def marks(self, path: Path) -> tuple[Mark, ...]:
        """Return what each step is about, numbered from 1."""
        return tuple(self._mark(number, step) for number, step in enumerate(path, start=1))

    def _mark(self, number: int, step: Step) -> Mark:
        words = (step.foothold, *step.grants)
        places = {place for word in words if (place := word.rpartition(" on ")[2]) in self._on}
        if channel := self._channel(self._asked, step.because, places):
            # where the listener lets anyone in, a true client's call is not what is done
            called = channel.client.startswith(STRANGERS) or step.foothold.startswith(HOLDS)
            used = [channel.id] if called else []
            return Mark(number, frozenset(used), frozenset([channel.server]))
        if channel := self._channel(self._heard, step.because, places):
            return Mark(number, frozenset([channel.id]), frozenset())
        held = [word.removeprefix(HOLDS) for word in words if word.startswith(HOLDS)]
        if users := [channel for name in held for channel in self._with.get(name, ())]:
            over = users if step.foothold.startswith(HOLDS) else []
            return Mark(
                number,
                frozenset(channel.id for channel in over),
                frozenset(channel.client for channel in users),
            )
        # a credential that is on no channel is still its component's
        owners = [name for name in held if name in self._node]
        owners += [it for place in sorted(places) for it in self._on[place]]
        return Mark(number, components=frozenset(owners))

    def _channel(
        self, claimed: dict[str, dict[str, Channel]], because: tuple[str, ...], places: set[str]
    ) -> Channel | None:
        """Return the channel of which all is claimed that makes a step possible."""
        if claimed is self._asked and len(because) == 1 and because[0] in self._heard:
            return None
        told = [claimed.get(said, {}) for said in because]
        if not told:
            return None
        found = [
            channel
            for key, channel in sorted(told[0].items())
            if all(key in other for other in told[1:])
        ]
        # one claim may be every machine's: the one that is gained is meant, and no client's call
        return min(
            found,
            key=lambda it: (
                self._node.get(it.server) not in places,
                not it.client.startswith(STRANGERS),
            ),
            default=None,
        )
