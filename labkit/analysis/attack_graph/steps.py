"""Steps of an attacker, and everything that they lead to: a graph of what can be held.

What an attacker holds only grows, so what is reached is the least fixed point over the steps,
and each thing has a cheapest derivation. That is the idea of MulVAL's logical attack graphs (Ou,
Boyer, McQueen 2006): polynomial, where a search over all simple paths explodes. Each step asks
for one thing, so the fixed point is reachability in a :class:`networkx.DiGraph`, and any
installed backend of networkx can compute it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, TypeAlias

import networkx as nx

from labkit.gc_pause import gc_pause
from labkit.model.claims import Claim
from labkit.model.footholds import Foothold

__all__ = [
    "Graph",
    "Path",
    "Step",
    "attack_graph",
    "cheapest_paths",
    "close",
    "cost",
    "known_and_possible",
    "paths_to",
    "to_find_out",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an attacker can do where something is held.

    Attributes
    ----------
    name : str
        What is done: "use-credential".
    foothold : Foothold
        What has to be held for it.
    grants : tuple of Foothold
        What it gives.
    because : tuple of Claim or str
        The claims of the model that let it through, or the objects of a cluster that do.
    cost : float
        How hard it is, above zero; 1 is a single request.
    technique : str
        The technique that demonstrates it in a lab, as in ``labkit technique show``; empty where
        none does.
    channel : str
        The id of the channel that it goes over; empty where it goes over none.
    unknown : str
        What has to be found out, because the step exists only if it is true; empty for a step
        that is known to exist.

    Examples
    --------
    >>> from labkit.model.footholds import POD, SECRETS
    >>> print(Step("etcd-read", POD, (SECRETS,), ()))
    inside a pod: etcd-read -> reads the secrets
    """

    name: str
    foothold: Foothold
    grants: tuple[Foothold, ...]
    because: tuple[Claim | str, ...] = field(compare=False)
    cost: float = 1.0
    technique: str = field(default="", compare=False)
    channel: str = field(default="", compare=False)
    unknown: str = field(default="", compare=False)

    def plain(self) -> dict[str, Any]:
        """Return the step as JSON can hold it.

        Returns
        -------
        dict of str to object
        """
        return {
            "step": self.name,
            "technique": self.technique,
            "foothold": str(self.foothold),
            "grants": list(map(str, self.grants)),
            "because": list(map(str, self.because)),
            "cost": self.cost,
            "channel": self.channel,
            "unknown": self.unknown,
        }

    def __str__(self) -> str:
        given = ", ".join(map(str, self.grants)) or "nothing more"
        return f"{self.foothold}: {self.name} -> {given}"

    @property
    def reasons(self) -> str:
        """What allows it, and what has to be found out."""
        said = "; ".join(map(str, self.because))
        return f"{said}; to find out: {self.unknown}".lstrip("; ") if self.unknown else said


Path: TypeAlias = tuple[Step, ...]
# networkx's classes take no parameters when they run
Graph: TypeAlias = "nx.DiGraph[Foothold]"


def cost(path: Path) -> float:
    """Return the total cost of a path.

    Parameters
    ----------
    path : tuple of Step

    Returns
    -------
    float
        The sum of the steps' costs; a plain request costs 1.

    Examples
    --------
    >>> from labkit.model.footholds import POD, ROOT_ON_WORKER
    >>> cost((Step("escape", POD, (ROOT_ON_WORKER,), (), 2.0),))
    2.0
    """
    return sum(step.cost for step in path)


def to_find_out(path: Path) -> str:
    """Return what has to be found out for a path to exist; "" for nothing.

    Examples
    --------
    >>> from labkit.model.footholds import NODE, POD
    >>> to_find_out((Step("escape", POD, (NODE,), (), unknown="whether the group is docker's"),))
    "to find out: whether the group is docker's"
    """
    found = dict.fromkeys(step.unknown for step in path if step.unknown)
    return f"to find out: {'; '.join(found)}" if found else ""


@gc_pause()
def attack_graph(
    steps: Iterable[Step],
    implies: Mapping[Foothold, Iterable[Foothold]] | None = None,
    *,
    possible: bool = False,
) -> Graph:
    """Build the graph of what can be held, and by which step.

    Parameters
    ----------
    steps : iterable of Step
        Of equally cheap ones between two footholds, the first counts that is known to exist.
    implies : mapping of Foothold to iterable of Foothold, optional
        The footholds that an attacker has by having another one.
    possible : bool
        Take the steps as well that exist only if something unknown is true.

    Returns
    -------
    networkx.DiGraph
        Edges have the :class:`Step` as ``step`` and its cost as ``weight``; if one
        foothold implies the other, they are ``None`` and 0.

    Examples
    --------
    >>> from labkit.model.footholds import POD, ROOT_ON_WORKER
    >>> graph = attack_graph([Step("escape", POD, (ROOT_ON_WORKER,), ())])
    >>> [(str(before), str(after)) for before, after in graph.edges]
    [('inside a pod', 'root on a worker')]
    """
    best: dict[Foothold, dict[Foothold, Step]] = {}
    for step in steps:
        if possible or not step.unknown:
            found = best.setdefault(step.foothold, {})
            for thing in step.grants:
                if thing not in found or _better(step, found[thing]):
                    found[thing] = step
    graph: Graph = nx.DiGraph()
    graph.add_edges_from(
        (foothold, thing, {"weight": step.cost, "step": step})
        for foothold, found in best.items()
        for thing, step in found.items()
    )
    for thing, others in (implies or {}).items():
        graph.add_edges_from([(thing, other) for other in others], weight=0.0, step=None)
    return graph


def _better(step: Step, other: Step) -> bool:
    """Say whether a step is cheaper than another one, or as cheap and less doubtful."""
    return (step.cost, bool(step.unknown)) < (other.cost, bool(other.unknown))


def known_and_possible(
    steps: Iterable[Step], implies: Mapping[Foothold, Iterable[Foothold]] | None = None
) -> tuple[Graph, Graph]:
    """Build the graph of the steps that are known to exist, and the one of all steps.

    Parameters
    ----------
    steps : iterable of Step
    implies : mapping of Foothold to iterable of Foothold, optional
        As :func:`attack_graph` takes it.

    Returns
    -------
    known, possible : networkx.DiGraph
        The same object where no step depends on something unknown.

    Examples
    --------
    >>> from labkit.model.footholds import NODE, POD
    >>> step = Step("escape", POD, (NODE,), (), unknown="whether the group is docker's")
    >>> known, possible = known_and_possible([step])
    >>> known.has_edge(POD, NODE), possible.has_edge(POD, NODE)
    (False, True)
    """
    every = tuple(steps)
    graph = attack_graph(every, implies)
    if not any(step.unknown for step in every):
        return graph, graph
    return graph, attack_graph(every, implies, possible=True)


def close(
    graph: Graph, start: Foothold, wanted: Collection[Foothold] | None = None
) -> dict[Foothold, Path]:
    """Return everything that is reached from a start, each with the cheapest steps to it.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`attack_graph` returns.
    start : Foothold
    wanted : collection of Foothold, optional
        Return no others.

    Returns
    -------
    dict of Foothold to tuple of Step
        What is nearest first.

    Examples
    --------
    >>> from labkit.model.footholds import NETWORK, POD, ROOT_ON_WORKER
    >>> escape = Step("escape", POD, (ROOT_ON_WORKER,), ())
    >>> graph = attack_graph([escape], {ROOT_ON_WORKER: [NETWORK]})
    >>> [step.name for step in close(graph, POD)[NETWORK]]
    ['escape']
    """
    if start not in graph:
        return {start: ()}
    found: Any = nx.single_source_dijkstra(graph, start)
    costs, ways = found
    asked = costs if wanted is None else costs.keys() & wanted
    nearest = sorted(asked, key=lambda thing: costs[thing])
    return {thing: _steps(graph, ways[thing]) for thing in nearest}


def cheapest_paths(graph: Graph, start: Foothold, goal: Foothold, count: int) -> list[Path]:
    """Return the cheapest paths to a goal, no more than some; none visits a thing twice.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`attack_graph` returns.
    start, goal : Foothold
    count : int

    Returns
    -------
    list of tuple of Step
        The cheapest first, each another sequence of steps.

    Examples
    --------
    >>> from labkit.model.footholds import ADMIN, POD, ROOT_ON_WORKER
    >>> direct = Step("forge", POD, (ADMIN,), (), 3.0)
    >>> escape = Step("escape", POD, (ROOT_ON_WORKER,), ())
    >>> steal = Step("steal", ROOT_ON_WORKER, (ADMIN,), ())
    >>> graph = attack_graph([direct, escape, steal])
    >>> [cost(path) for path in cheapest_paths(graph, POD, ADMIN, 5)]
    [2.0, 3.0]
    """
    if start not in graph or goal not in graph or not nx.has_path(graph, start, goal):
        return []
    return list(islice(_different(graph, start, goal), count))


@gc_pause()
def paths_to(graph: Graph, goal: Foothold) -> dict[Foothold, Path]:
    """Return, for everything from which a goal is reached, the cheapest steps to it.

    One search from the goal backwards, whatever the number of starts.

    Parameters
    ----------
    graph : networkx.DiGraph
        What :func:`attack_graph` returns.
    goal : Foothold

    Returns
    -------
    dict of Foothold to tuple of Step
        What is nearest first.

    Examples
    --------
    >>> pod, node = Foothold("pod", "a/b"), Foothold("root", "c")
    >>> graph = attack_graph([Step("escape", pod, (node,), ())])
    >>> [str(step) for step in paths_to(graph, node)[pod]]
    ['inside pod a/b: escape -> root on c']
    """
    if goal not in graph:
        return {}
    back: Any = nx.reverse_view(graph)  # type: ignore[type-var]
    before, costs = nx.dijkstra_predecessor_and_distance(back, goal)
    found: dict[Foothold, Path] = {}
    for thing in sorted(costs, key=lambda each: costs[each]):
        nexts = before[thing]
        if not nexts:
            found[thing] = ()
            continue
        step = graph.edges[thing, nexts[0]]["step"]
        found[thing] = (step, *found[nexts[0]]) if step is not None else found[nexts[0]]
    return found


def _different(graph: Graph, start: Foothold, goal: Foothold) -> Iterator[Path]:
    told = set()
    for way in nx.shortest_simple_paths(graph, start, goal, weight="weight"):
        path = _steps(graph, way)
        if path not in told:
            told.add(path)
            yield path


def _steps(graph: Graph, way: Sequence[Foothold]) -> Path:
    edges = (graph.edges[pair]["step"] for pair in pairwise(way))
    return tuple(step for step in edges if step is not None)
