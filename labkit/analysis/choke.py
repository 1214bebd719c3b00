"""The smallest set of controls that cuts every path to a goal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

from labkit import controls
from labkit.analysis.reach import IMPLIES, possible_steps
from labkit.analysis.steps import attack_graph, close
from labkit.cluster import read_environment
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
    The only assumption is that more controls never open more. A set that does not cut is grown
    until nothing can be added without cutting; one of the controls left out then has to be in
    every cut. The smallest sets that satisfy all such demands are tried in turn: an implicit
    hitting set (Moreno-Centeno and Karp 2013), exact for the sizes that there are.
    """
    view = View(env)
    missing = {
        control.name: control
        for control in (controls.all() if known is None else known)
        if not control.holds(view)
    }

    @cache
    def cuts(chosen: frozenset[str]) -> bool:
        edits = [edit for name in sorted(chosen) for edit in missing[name].on]
        changed = read_environment(env.folder, (*env.edits, *edits)) if edits else env
        return goal not in close(attack_graph(possible_steps(View(changed)), IMPLIES), start)

    if not cuts(frozenset(missing)):
        return None
    demands: list[frozenset[str]] = []
    while not cuts(chosen := _hitting_set(demands)):
        grown = chosen
        for name in sorted(missing):
            if not cuts(grown | {name}):
                grown |= {name}
        demands.append(frozenset(missing) - grown)
    return tuple(sorted(chosen))


def _hitting_set(demands: list[frozenset[str]]) -> frozenset[str]:
    """Return the fewest names, of several the first in order, with one out of each demand."""
    names = sorted(set().union(*demands))
    for size in range(len(names) + 1):
        for chosen in combinations(names, size):
            if all(demand & set(chosen) for demand in demands):
                return frozenset(chosen)
    raise AssertionError("all names together hit every demand")
