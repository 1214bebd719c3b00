"""What an attacker at a foothold gets to, as a least fixed point over techniques.

What an attacker holds only grows, so the techniques are tried on what is held until nothing
new comes of it; each thing remembers the step that first gave it, and a path is read from
there. This is the idea of MulVAL's logical attack graphs (Ou, Boyer, McQueen 2006): polynomial,
where a search over all simple paths explodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

__all__ = ["Reach", "Step", "reach"]

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
    because: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.foothold}: {self.technique} -> {', '.join(self.grants) or 'nothing more'}"


@dataclass(frozen=True)
class Reach:
    """What an attacker gets to from one foothold.

    Attributes
    ----------
    start : str
    steps : tuple of Step
        Every technique that succeeds somewhere on the way, in the order in which it was found.
    first : dict of str to tuple of str
        For everything held, what gave it first: the step's technique and foothold, or the
        thing that implies it.
    """

    start: str
    steps: tuple[Step, ...]
    first: dict[str, Step | str | None]

    @property
    def held(self) -> tuple[str, ...]:
        """Everything that the attacker has in the end, what was there first ahead."""
        return tuple(self.first)

    def path(self, goal: str) -> tuple[Step, ...] | None:
        """Return the steps that lead to a goal, the fewest; None where none do.

        Examples
        --------
        >>> from labkit import read_environment
        >>> found = reach(read_environment("insecure"), "on the cluster network")
        >>> [step.technique for step in found.path("cluster-admin")]
        ['etcd-forge']
        >>> found = reach(read_environment("hardened"), "on the cluster network")
        >>> found.path("cluster-admin") is None
        True
        """
        if goal not in self.first:
            return None
        steps: list[Step] = []
        here: str = goal
        while (cause := self.first[here]) is not None:
            if isinstance(cause, Step):
                steps.insert(0, cause)
                here = cause.foothold
            else:
                here = cause
        return tuple(steps)

    def __repr__(self) -> str:
        lines = [f"from {self.start!r}"]
        for goal in GOALS:
            path = self.path(goal)
            if goal == self.start or path is None:
                word = "not reached" if path is None else "held from the start"
                lines.append(f"  {goal}: {word}")
            else:
                lines.append(f"  {goal}: {' -> '.join(step.technique for step in path)}")
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
    >>> reach(read_environment("hardened"), "on the cluster network").held
    ('on the cluster network',)
    """
    if start not in FOOTHOLDS:
        raise ConfigError(f"no foothold {start!r}", hint=f"choose one of: {', '.join(FOOTHOLDS)}")
    view = env if isinstance(env, View) else View(env)
    known = tuple(all_techniques() if techniques is None else techniques)
    first: dict[str, Step | str | None] = {start: None}
    steps: list[Step] = []
    rest = [start]
    while rest:  # in rounds, so that what is first is nearest
        new: dict[str, Step | str] = {}
        for here in rest:
            new |= {thing: here for thing in IMPLIES.get(here, ()) if thing not in {*first, *new}}
            for technique in known:
                if here not in technique.footholds:
                    continue
                prediction = technique.predict(view, here)
                if not prediction.succeeds:
                    continue
                step = Step(technique.name, here, technique.grants, prediction.because)
                steps.append(step)
                new |= {thing: step for thing in step.grants if thing not in {*first, *new}}
        first |= new
        rest = list(new)
    return Reach(start, tuple(steps), first)
