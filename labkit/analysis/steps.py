"""Steps of an attacker, and everything that they lead to: a graph of what can be held.

What an attacker holds only grows, so what is reached is the least fixed point over the steps,
and each thing has a cheapest derivation. That is the idea of MulVAL's logical attack graphs (Ou,
Boyer, McQueen 2006): polynomial, where a search over all simple paths explodes. Each step asks
for one thing, so the fixed point is reachability in a :class:`networkx.DiGraph`, and any
installed backend of networkx can compute it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, TypeAlias

import networkx as nx

__all__ = ["Path", "Step", "attack_graph", "cheapest_paths", "close", "cost", "paths_to"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an attacker can do where something is held.

    Attributes
    ----------
    technique : str
        What is done.
    foothold : str
        What has to be held for it.
    grants : tuple of str
        What it gives.
    because : tuple of str
        The claims of the model that let it through, with where they were read.
    cost : float
        How hard it is, above zero; one is a single request.

    Examples
    --------
    >>> print(Step("etcd-read", "inside a pod", ("reads the secrets",), ()))
    inside a pod: etcd-read -> reads the secrets
    """

    technique: str
    foothold: str
    grants: tuple[str, ...]
    because: tuple[str, ...] = field(compare=False)
    cost: float = 1.0

    def __str__(self) -> str:
        return f"{self.foothold}: {self.technique} -> {', '.join(self.grants) or 'nothing more'}"


Path: TypeAlias = tuple[Step, ...]
# networkx has no type hints of its own
Graph: TypeAlias = nx.DiGraph


def cost(path: Path) -> float:
    """Return what a path costs altogether.

    Examples
    --------
    >>> cost((Step("escape", "inside a pod", ("root on a worker",), (), 2.0),))
    2.0
    """
    return sum(step.cost for step in path)


def attack_graph(
    steps: Iterable[Step], implies: Mapping[str, Iterable[str]] | None = None
) -> Graph:
    """Build the graph of what can be held, and by which step.

    Parameters
    ----------
    steps : iterable of Step
        Those that are possible; of equally cheap ones between two things the first counts.
    implies : mapping of str to iterable of str, optional
        What somebody has by having something else.

    Returns
    -------
    networkx.DiGraph
        Edges have the :class:`Step` as ``step`` and its cost as ``weight``; where one thing
        implies the other, these are None and 0.

    Examples
    --------
    >>> graph = attack_graph([Step("escape", "inside a pod", ("root on a worker",), ())])
    >>> list(graph.edges)
    [('inside a pod', 'root on a worker')]
    """
    graph: Graph = nx.DiGraph()
    for step in steps:
        for thing in step.grants:
            known = graph.get_edge_data(step.foothold, thing)
            if known is None or step.cost < known["weight"]:
                graph.add_edge(step.foothold, thing, weight=step.cost, step=step)
    for thing, others in (implies or {}).items():
        for other in others:
            graph.add_edge(thing, other, weight=0.0, step=None)
    return graph


def close(graph: Graph, start: str) -> dict[str, Path]:
    """Return everything that is reached from a start, each with the cheapest steps to it.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`attack_graph` returns.
    start : str

    Returns
    -------
    dict of str to tuple of Step
        What is nearest first.

    Examples
    --------
    >>> escape = Step("escape", "inside a pod", ("root on a worker",), ())
    >>> graph = attack_graph([escape], {"root on a worker": ["on the cluster network"]})
    >>> [step.technique for step in close(graph, "inside a pod")["on the cluster network"]]
    ['escape']
    """
    if start not in graph:
        return {start: ()}
    costs, ways = nx.single_source_dijkstra(graph, start)
    nearest = sorted(costs, key=lambda thing: costs[thing])
    return {thing: _steps(graph, ways[thing]) for thing in nearest}


def cheapest_paths(graph: Graph, start: str, goal: str, count: int) -> list[Path]:
    """Return the cheapest paths to a goal, no more than some; none visits a thing twice.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`attack_graph` returns.
    start, goal : str
    count : int

    Returns
    -------
    list of tuple of Step
        The cheapest first, each another sequence of steps.

    Examples
    --------
    >>> direct = Step("forge", "inside a pod", ("cluster-admin",), (), 3.0)
    >>> escape = Step("escape", "inside a pod", ("root on a worker",), ())
    >>> steal = Step("steal", "root on a worker", ("cluster-admin",), ())
    >>> graph = attack_graph([direct, escape, steal])
    >>> [cost(path) for path in cheapest_paths(graph, "inside a pod", "cluster-admin", 5)]
    [2.0, 3.0]
    """
    if start not in graph or goal not in graph or not nx.has_path(graph, start, goal):
        return []
    return list(islice(_different(graph, start, goal), count))


def paths_to(graph: Graph, goal: str) -> dict[str, Path]:
    """Return, for everything from which a goal is reached, the cheapest steps to it.

    One search from the goal backwards, whatever the number of starts.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`labkit.analysis.attack_graph` returns.
    goal : str

    Returns
    -------
    dict of str to tuple of Step
        What is nearest first.

    Examples
    --------
    >>> graph = attack_graph([Step("escape", "inside pod a/b", ("root on node c",), ())])
    >>> [str(step) for step in paths_to(graph, "root on node c")["inside pod a/b"]]
    ['inside pod a/b: escape -> root on node c']
    """
    if goal not in graph:
        return {}
    back = nx.reverse_view(graph)
    before, costs = nx.dijkstra_predecessor_and_distance(back, goal)
    found: dict[str, Path] = {}
    for thing in sorted(costs, key=lambda each: costs[each]):
        nexts = before[thing]
        if not nexts:
            found[thing] = ()
            continue
        step = graph.edges[thing, nexts[0]]["step"]
        found[thing] = (step, *found[nexts[0]]) if step is not None else found[nexts[0]]
    return found


def _different(graph: Graph, start: str, goal: str) -> Iterator[Path]:
    told = set()
    for way in nx.shortest_simple_paths(graph, start, goal, weight="weight"):
        path = _steps(graph, way)
        if path not in told:
            told.add(path)
            yield path


def _steps(graph: Any, way: list[str]) -> Path:
    edges = (graph.edges[pair]["step"] for pair in pairwise(way))
    return tuple(step for step in edges if step is not None)
