"""Mark attack paths on a picture: the channels and components of each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.model import Model
from labkit.model.footholds import NETWORK
from labkit.render.svg import Mark

if TYPE_CHECKING:
    from labkit.analysis import Path, Step

__all__ = ["PathMarks"]


class PathMarks:
    """Finds the channels and components of the steps of attack paths.

    A step over a channel marks the channel. Any other step marks the components of its
    credential or its machine.

    Parameters
    ----------
    model : Model

    Examples
    --------
    >>> from labkit.analysis import attack_paths
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> [mark] = PathMarks(model).marks(attack_paths(model, "network", "node", 1).paths[0])
    >>> sorted(mark.channels)
    ['anyone@network -> dockerd@worker1:2375']
    """

    def __init__(self, model: Model) -> None:
        self._node = {it.id: it.node for it in model.components}
        self._on: dict[str, list[str]] = {}
        for it in model.components:
            self._on.setdefault(it.node, []).append(it.id)
        self._channels = {it.id: it for it in model.channels}
        self._with: dict[str, list[str]] = {}
        for channel in model.open_channels():
            if channel.credential:
                held = f"{channel.credential}@{self._node.get(channel.client, '')}"
                self._with.setdefault(held, []).append(channel.id)

    def marks(self, path: Path) -> tuple[Mark, ...]:
        """Return the mark of each step of a path, numbered from 1."""
        return tuple(self._mark(number, step) for number, step in enumerate(path, start=1))

    def _mark(self, number: int, step: Step) -> Mark:
        if channel := self._channels.get(step.channel):
            if step.foothold == NETWORK:
                return Mark(number, frozenset([channel.id]), frozenset())
            # the attacker does not use the client's own call, unless they use its credential
            called = channel.from_anyone or step.foothold.kind == "holds"
            used = [channel.id] if called else []
            return Mark(number, frozenset(used), frozenset([channel.server]))
        held = list(self._held(step))
        if users := [it for name in held for it in self._with.get(name, ())]:
            over = users if step.foothold.kind == "holds" else []
            clients = (self._channels[it].client for it in users)
            return Mark(number, frozenset(over), frozenset(clients))
        # a credential that no channel uses still belongs to its component
        owners = [name for name in held if name in self._node]
        for place in sorted({str(it.where) for it in (step.foothold, *step.grants)}):
            owners += self._on.get(place, ()) if place else ()
        return Mark(number, components=frozenset(owners))

    @staticmethod
    def _held(step: Step) -> Iterator[str]:
        return (str(it.where) for it in (step.foothold, *step.grants) if it.kind == "holds")
