"""The smallest set of controls that cuts every path to a goal."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from labkit import controls
from labkit.analysis.reach import Step, close, possible_steps
from labkit.model import View

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.controls import Control

__all__ = ["choke_points"]


def choke_points(
    env: Environment, start: str, goal: str, known: Iterable[Control] | None = None
) -> tuple[str, ...] | None:
    """Return the fewest controls that, put in place together, keep a goal out of reach.

    Parameters
    ----------
    env : Environment
    start, goal : str
        A foothold, and a foothold or a goal.
    known : iterable of Control, optional
        Those that may be chosen; without it, all there are.

    Returns
    -------
    tuple of str or None
        Their names, empty where the goal is out of reach anyway; None where all controls
        together do not cut every path.

    Examples
    --------
    >>> from labkit import read_environment
    >>> choke_points(read_environment("hardened"), "on the cluster network", "cluster-admin")
    ()

    Notes
    -----
    Each control's effect on each technique is computed once. Then a path that is still open
    is found, and one of the controls that break it has to be among the chosen: an implicit
    hitting set (Moreno-Centeno and Karp 2013), exact for the sizes that there are. What was
    chosen is confirmed by reading the environment with all of it in place.
    """
    view = View(env)
    steps = frozenset(possible_steps(view))
    missing = [c for c in (controls.all() if known is None else known) if not c.holds(view)]
    stops = {control.name: steps - _with(env, control.name) for control in missing}
    demands: list[frozenset[str]] = []
    while True:
        chosen = _hitting_set(demands)
        left = steps.difference(*(stops[name] for name in chosen))
        path = close(_sorted(left), start).get(goal)
        if path is None:
            return _confirmed(env, start, goal, chosen)
        breakers = frozenset(name for name, stopped in stops.items() if stopped & set(path))
        if not breakers:
            return None
        demands.append(breakers)


def _with(env: Environment, *names: str) -> frozenset[Step]:
    """Return the steps that are left with some controls in place."""
    return frozenset(possible_steps(View(controls.with_controls(env, dict.fromkeys(names, True)))))


def _sorted(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step.technique, step.foothold))


def _hitting_set(demands: list[frozenset[str]]) -> tuple[str, ...]:
    """Return the fewest names, of several the first in order, with one out of each demand."""
    names = sorted(set().union(*demands))
    for size in range(len(names) + 1):
        for chosen in combinations(names, size):
            if all(demand & set(chosen) for demand in demands):
                return chosen
    raise AssertionError("all names together hit every demand")


def _confirmed(
    env: Environment, start: str, goal: str, chosen: tuple[str, ...]
) -> tuple[str, ...] | None:
    return chosen if goal not in close(_with(env, *chosen), start) else None
