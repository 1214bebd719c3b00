"""The smallest set of controls that cuts every path to a goal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from labkit import controls
from labkit.analysis.reach import IMPLIES, possible_steps
from labkit.analysis.steps import attack_graph, close
from labkit.model import View

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.controls import Control

__all__ = ["choke_points", "smallest"]


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
    """
    view = View(env)
    missing = {
        control.name: control
        for control in (controls.all() if known is None else known)
        if not control.holds(view)
    }

    @cache
    def cuts(chosen: frozenset[str]) -> bool:
        changed = controls.put_in_place(env, [missing[name] for name in sorted(chosen)])
        return goal not in close(attack_graph(possible_steps(View(changed)), IMPLIES), start)

    return smallest(frozenset(missing), cuts)


def smallest(
    names: frozenset[str], cuts: Callable[[frozenset[str]], bool]
) -> tuple[str, ...] | None:
    """Return the fewest names with which something is cut, or None where all do not cut it.

    Parameters
    ----------
    names : frozenset of str
    cuts : callable
        Says of some names whether they cut it; more of them never cut less.

    Returns
    -------
    tuple of str or None

    Examples
    --------
    >>> smallest(frozenset("abc"), lambda chosen: "b" in chosen or len(chosen) == 3)
    ('b',)

    Notes
    -----
    A set that does not cut is grown until nothing can be added without cutting; one of the
    names left out then has to be in every cut. The smallest sets that satisfy all such demands
    are tried in turn: an implicit hitting set (Moreno-Centeno and Karp 2013), exact.
    """
    if not cuts(names):
        return None
    demands: list[frozenset[str]] = []
    while not cuts(chosen := _hitting_set(demands)):
        grown = chosen
        for name in sorted(names):
            if not cuts(grown | {name}):
                grown |= {name}
        demands.append(names - grown)
    return tuple(sorted(chosen))


def _hitting_set(demands: list[frozenset[str]]) -> frozenset[str]:
    """Return the fewest names, of several the first in order, with one out of each demand."""
    for size in range(len(demands) + 1):
        found = _hit(demands, frozenset(), size)
        if found is not None:
            return found
    raise AssertionError("one name out of each demand hits them all")


def _hit(demands: list[frozenset[str]], chosen: frozenset[str], size: int) -> frozenset[str] | None:
    open_ = [demand for demand in demands if not demand & chosen]
    if not open_:
        return chosen
    if not size:
        return None
    fewest = min(map(len, open_))
    for name in sorted(next(demand for demand in open_ if len(demand) == fewest)):
        found = _hit(open_, chosen | {name}, size - 1)
        if found is not None:
            return found
    return None
