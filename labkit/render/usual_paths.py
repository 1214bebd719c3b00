"""Choose the attack paths of a report."""

from __future__ import annotations

from labkit.analysis.attack_graph.queries import AttackPaths, graphs_for, paths_between
from labkit.analysis.attack_graph.steps import close
from labkit.model import GOALS, Foothold, Model
from labkit.model.footholds import NETWORK, POD

__all__ = ["usual_paths"]


def usual_paths(model: Model, count: int = 3) -> list[AttackPaths]:
    """Return the attack paths that a report shows.

    They start on the network, inside a pod, and as a user and as root on machines. Of several
    machines that run the same components in the same zones, only the first is used.

    Parameters
    ----------
    model : Model
    count : int
        Most paths for each goal from the network and from a pod; a machine has the cheapest
        path only.

    Returns
    -------
    list of AttackPaths
        One for each foothold and goal, even if it holds no path; none for a model that has no part
        of a cluster.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = usual_paths(read_model("hardened"))
    >>> sorted({str(paths.start) for paths in found if paths})
    ['root on etcd1', 'root on master', 'root on worker1']
    """
    if not model.of_cluster:
        return []
    graph, wide = graphs_for(model)
    found = [
        paths_between(graph, wide, start, goal, count) for start in (NETWORK, POD) for goal in GOALS
    ]
    for node in _machines(model):
        for start in (Foothold("user", node), Foothold("root", node)):
            ways = close(graph, start, GOALS)
            maybe = close(wide, start, GOALS) if wide is not graph else ways
            for goal in GOALS:
                paths = (ways[goal],) if goal in ways else ()
                possible = (maybe[goal],) if goal in maybe and not paths else ()
                found.append(AttackPaths(start, goal, paths, possible))
    return found


def _machines(model: Model) -> list[str]:
    """Return the first machine of each set of machines that run the same components."""
    runs: dict[str, set[tuple[str, str]]] = {}
    for it in model.components:
        # "anyone" has no machine, and administrators' clients do not distinguish machines
        if it.node and it.kind not in ("anyone", "kubectl"):
            runs.setdefault(it.node, set()).add((it.zone, it.kind))
    first: dict[frozenset[tuple[str, str]], str] = {}
    for node in sorted(runs):
        first.setdefault(frozenset(runs[node]), node)
    return list(first.values())
