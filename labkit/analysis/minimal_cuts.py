"""The smallest set of controls that cuts every path to a goal, and the effect of each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cache

from labkit.analysis.attack_graph.queries import Derivation, attack_paths
from labkit.analysis.what_if import missing_controls, with_missing
from labkit.model import Foothold, Goal, Model

__all__ = ["effect_of_each_control", "minimal_cut", "smallest"]


def minimal_cut(
    model: Model,
    start: str | Foothold,
    goal: str | Goal,
    derivation: Derivation = "claims",
    *,
    possible: bool = True,
) -> tuple[str, ...] | None:
    """Return the fewest controls that together cut every path from a foothold to a goal.

    Parameters
    ----------
    model : Model
    start, goal : str or Foothold
        As :func:`labkit.analysis.attack_paths` takes them.
    derivation : {"claims", "techniques"}
    possible : bool
        Cut possible paths as well, which depend on something unknown. Without it, one may be left.

    Returns
    -------
    tuple of str or None
        Names of controls, empty where there is no path; None where all controls together do not
        cut every path.

    Raises
    ------
    ConfigError
        There is no such foothold or goal in the model.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> minimal_cut(read_model("hardened"), "network", "node")
    ()
    """

    @cache
    def cut(chosen: frozenset[str]) -> bool:
        changed = with_missing(model, chosen)
        found = attack_paths(changed, start, goal, 1, derivation)
        return not (found if possible else found.paths)

    return smallest(missing_controls(model), cut)


def effect_of_each_control(
    model: Model, start: str | Foothold, goal: str | Goal
) -> dict[str, bool]:
    """Return for each missing control whether it alone cuts every path to a goal, also a possible.

    Parameters
    ----------
    model : Model
    start, goal : str or Foothold

    Returns
    -------
    dict of str to bool
        By the control's name, sorted.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> any(effect_of_each_control(read_model("insecure"), "network", "secrets").values())
    False
    """
    return {
        name: not attack_paths(with_missing(model, frozenset([name])), start, goal, 1)
        for name in sorted(missing_controls(model))
    }


def smallest(
    names: frozenset[str], cuts: Callable[[frozenset[str]], bool]
) -> tuple[str, ...] | None:
    """Return the smallest set of names for which a test holds, or None if all do not suffice.

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
        demands.append(_demand(names, chosen, cuts))
    return tuple(sorted(chosen))


def _demand(
    names: frozenset[str], chosen: frozenset[str], cuts: Callable[[frozenset[str]], bool]
) -> frozenset[str]:
    """Return the names that are left when as many as possible are chosen without cutting."""
    left: set[str] = set()
    rest = sorted(names - chosen)
    while rest:
        # as more names never cut less, the first that cuts is found by halving
        count = bisect_left(
            range(len(rest)), True, key=lambda it: cuts(chosen.union(rest[: it + 1]))
        )
        chosen = chosen.union(rest[:count])
        left.update(rest[count : count + 1])
        rest = rest[count + 1 :]
    return frozenset(left)


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
