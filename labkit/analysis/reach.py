"""What an attacker at a foothold of the lab gets to: the least fixed point over techniques."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.analysis.steps import Path, Step, attack_graph, close
from labkit.errors import ConfigError
from labkit.model import View
from labkit.techniques import FOOTHOLDS, GOALS, Technique
from labkit.techniques import all as all_techniques
from labkit.techniques._base import (
    ADMIN,
    NETWORK,
    POD,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    SECRETS,
    USER_ON_WORKER,
)

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["IMPLIES", "Reach", "possible_steps", "reach"]

#: What somebody has by having something else.
IMPLIES = {
    ROOT_ON_WORKER: (USER_ON_WORKER, POD, NETWORK),
    ROOT_ON_ETCD: (NETWORK,),
    ADMIN: (SECRETS,),
}


@dataclass(frozen=True)
class Reach:
    """What an attacker gets to from one foothold.

    Attributes
    ----------
    start : str
    steps : tuple of Step
        Every technique that succeeds at a foothold that is held.
    paths : dict of str to tuple of Step
        For everything held, the fewest steps that lead to it; what is nearest first.
    """

    start: str
    steps: tuple[Step, ...]
    paths: dict[str, Path]

    @property
    def held(self) -> tuple[str, ...]:
        """Everything that the attacker has in the end, what is nearest ahead."""
        return tuple(self.paths)

    def path(self, goal: str) -> Path | None:
        """Return the steps that lead to a goal, the fewest; None where none do.

        Examples
        --------
        >>> from labkit import read_environment
        >>> found = reach(read_environment("hardened"), "on the cluster network")
        >>> found.path("cluster-admin") is None
        True
        """
        return self.paths.get(goal)

    def __repr__(self) -> str:
        lines = [f"from {self.start!r}"]
        for goal in GOALS:
            path = self.path(goal)
            if path is None:
                lines.append(f"  {goal}: not reached")
            else:
                way = " -> ".join(step.technique for step in path) or "held from the start"
                lines.append(f"  {goal}: {way}")
        return "\n".join(lines)


def reach(
    env: Environment | View, start: str, techniques: Iterable[Technique] | None = None
) -> Reach:
    """Compute what an attacker gets to.

    Parameters
    ----------
    env : Environment or View
    start : str
        A foothold.
    techniques : iterable of Technique, optional
        What the attacker knows; without it, all there are.

    Returns
    -------
    Reach

    Raises
    ------
    ConfigError
        There is no such foothold.

    Examples
    --------
    >>> from labkit import read_environment
    >>> reach(read_environment("hardened"), "on the cluster network").path("root on a worker")
    """
    if start not in FOOTHOLDS:
        raise ConfigError(f"no foothold {start!r}", hint=f"choose one of: {', '.join(FOOTHOLDS)}")
    possible = possible_steps(env if isinstance(env, View) else View(env), techniques)
    paths = close(attack_graph(possible, IMPLIES), start)
    return Reach(start, tuple(step for step in possible if step.foothold in paths), paths)


def possible_steps(view: View, techniques: Iterable[Technique] | None = None) -> tuple[Step, ...]:
    """Return every technique that the model lets through, at each of its footholds.

    Parameters
    ----------
    view : View
    techniques : iterable of Technique, optional
        Without it, all there are.

    Returns
    -------
    tuple of Step
    """
    found = []
    for technique in all_techniques() if techniques is None else techniques:
        for foothold in technique.footholds:
            prediction = technique.predict(view, foothold)
            if prediction.succeeds:
                step = Step(technique.name, foothold, technique.grants, prediction.because)
                found.append(step)
    return tuple(found)
