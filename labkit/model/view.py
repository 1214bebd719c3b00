"""An environment and its model together, with the questions that predictions ask of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.model.claims import Channel
from labkit.model.graph import build_model, channels

if TYPE_CHECKING:
    from labkit.cluster.facts import Environment

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """What an analysis looks at.

    Parameters
    ----------
    env : Environment

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> view = View(read_environment("hardened"))
    >>> [channel.id for channel in view.channels("flanneld@worker1 -> *")][0]
    'flanneld@worker1 -> etcd@etcd1:2379'
    """

    env: Environment
    _found: dict[str, tuple[Channel, ...]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def graph(self) -> Any:
        """The model: a networkx.MultiDiGraph."""
        return build_model(self.env)

    def channels(self, pattern: str) -> tuple[Channel, ...]:
        """Return the open channels whose ids match a shell's pattern, in the model's order."""
        if pattern not in self._found:
            self._found[pattern] = tuple(
                c for c in channels(self.graph) if c.open and fnmatchcase(c.id, pattern)
            )
        return self._found[pattern]

    def closed(self, pattern: str) -> tuple[Channel, ...]:
        """Return the channels that match and are known to be closed."""
        found = channels(self.graph)
        return tuple(c for c in found if not c.open and fnmatchcase(c.id, pattern))
