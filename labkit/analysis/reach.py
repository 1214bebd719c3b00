"""What an attacker at a foothold gets to, as a least fixed point over techniques.

What an attacker holds only grows, so the techniques are tried on what is held until nothing
new comes of it, and each thing remembers the steps that first led to it. This is the idea of
MulVAL's logical attack graphs (Ou, Boyer, McQueen 2006): polynomial, where a search over all
simple paths explodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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

__all__ = ["Reach", "Step", "close", "possible_steps", "reach"]

#: What somebody has by having something else.
IMPLIES = {
    ROOT_ON_WORKER: (USER_ON_WORKER, POD, NETWORK),
    ROOT_ON_ETCD: (NETWORK,),
    ADMIN: (SECRETS,),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One technique carried out at one foothold.

    Attributes
    ----------
    technique, foothold : str
    grants : tuple of str
        What it gives.
    because : tuple of str
        The claims of the model that let it through, with where they were read.
    """

    technique: str
    foothold: str
    grants: tuple[str, ...]
    because: tuple[str, ...] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.foothold}: {self.technique} -> {', '.join(self.grants) or 'nothing more'}"


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
    paths: dict[str, tuple[Step, ...]]

    @property
    def held(self) -> tuple[str, ...]:
        """Everything that the attacker has in the end, what is nearest ahead."""
        return tuple(self.paths)

    def path(self, goal: str) -> tuple[Step, ...] | None:
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
    paths = close(possible, start)
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


def close(steps: Iterable[Step], start: str) -> dict[str, tuple[Step, ...]]:
    """Return everything that some steps lead to, each with the fewest steps to it.

    Parameters
    ----------
    steps : iterable of Step
        Those that are possible; of equally near ones the first is taken.
    start : str

    Returns
    -------
    dict of str to tuple of Step
        What is nearest first.

    Examples
    --------
    >>> escape = Step("escape", "inside a pod", ("root on a worker",), ())
    >>> [step.technique for step in close([escape], "inside a pod")["on the cluster network"]]
    ['escape']
    """
    steps = tuple(steps)
    found: dict[str, tuple[Step, ...]] = {}

    def add(thing: str, way: tuple[Step, ...]) -> list[str]:
        if thing in found:
            return []
        found[thing] = way
        return [thing, *(new for implied in IMPLIES.get(thing, ()) for new in add(implied, way))]

    rest = add(start, ())
    while rest:  # a round is one more step, so what is found first is nearest
        rest = [
            new
            for here in rest
            for step in steps
            if step.foothold == here
            for thing in step.grants
            for new in add(thing, (*found[here], step))
        ]
    return found
