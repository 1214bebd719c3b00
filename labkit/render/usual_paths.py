"""Which attack paths a report looks for."""

from __future__ import annotations

from labkit.analysis.attack_graph.queries import AttackPaths, graph_for
from labkit.analysis.attack_graph.steps import cheapest_paths, close
from labkit.model import GOALS, Foothold, Model
from labkit.model.footholds import NETWORK, POD

__all__ = ["usual_paths"]


def usual_paths(model: Model, count: int = 3) -> list[AttackPaths]:
    """Return the attack paths that a report is about.

    They start on the network, inside a pod, and as a user and as root of one machine of each
    sort: of machines in one zone that run the same, the first stands for all.

    Parameters
    ----------
    model : Model
    count : int
        How many paths from the network and from a pod; from machines it is the cheapest.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = usual_paths(read_model("hardened"))
    >>> sorted({str(paths.start) for paths in found if paths})
    ['root on etcd1', 'root on master', 'root on worker1']
    """
    graph = graph_for(model)
    found = [
        AttackPaths(start, goal, tuple(cheapest_paths(graph, start, goal, count)))
        for start in (NETWORK, POD)
        for goal in GOALS
    ]
    for node in _machines(model):
        for start in (Foothold("user", node), Foothold("root", node)):
            ways = close(graph, start)
            found += [
                AttackPaths(start, goal, (ways[goal],) if goal in ways else ()) for goal in GOALS
            ]
    return found


def _machines(model: Model) -> list[str]:
    """Return one machine of each sort."""
    runs: dict[str, set[tuple[str, str]]] = {}
    for it in model.components:
        # whoever is "on the network" has no machine, and people are no machine's sort
        if it.node and it.kind not in ("anyone", "kubectl"):
            runs.setdefault(it.node, set()).add((it.zone, it.kind))
    first: dict[frozenset[tuple[str, str]], str] = {}
    for node in sorted(runs):
        first.setdefault(frozenset(runs[node]), node)
    return list(first.values())
