"""Attack paths through a model: which goals are reached, from where, and by which steps.

There are two derivations of the same paths. ``"claims"`` asks what the claims of channels and
credentials (or the objects of a cluster) let an attacker do, and works for any model.
``"techniques"`` asks the predictions of the techniques, which a lab can carry out. They are
written independently, and each is the other's test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from labkit.analysis.attack_graph.from_channels import (
    channel_steps,
    implications,
    machines,
    nodes_of,
)
from labkit.analysis.attack_graph.steps import (
    Graph,
    Path,
    Step,
    cheapest_paths,
    close,
    cost,
    known_and_possible,
    paths_to,
)
from labkit.errors import ConfigError
from labkit.model import Foothold, Goal, Model, Role, parse_foothold
from labkit.model.footholds import CALLS, GOALS, NETWORK, NODE, OUTSIDE, POD
from labkit.tables import columns, html

__all__ = [
    "AttackPaths",
    "Derivation",
    "Reach",
    "attack_paths",
    "derivation",
    "find_foothold",
    "graph_for",
    "graphs_for",
    "paths_between",
    "reach",
    "usual_starts",
]

Derivation: TypeAlias = Literal["claims", "techniques"]
DERIVATIONS: tuple[Derivation, ...] = ("claims", "techniques")
#: What runs on a machine that somebody may get onto.
ON_MACHINES = frozenset({"etcd", "kube-apiserver", "kubelet", "kube-scheduler", "dockerd"})
#: What an attacker may hold without a step that says what it leads to.
LEAD_NOWHERE = frozenset({"commands", "secrets", "node"})


@dataclass(frozen=True)
class AttackPaths:
    """The cheapest paths from one foothold to one goal.

    It is false only where the goal is out of reach: a possible path counts as well.

    Attributes
    ----------
    start, goal : Foothold
    paths : tuple of tuple of Step
        The cheapest first; empty where no path is known.
    possible : tuple of tuple of Step
        Where no path is known, the cheapest of those that would exist if something unknown were
        true; the steps say what has to be found out. Without any, the goal is out of reach.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = attack_paths(read_model("insecure"), "pod", "admin", count=1)
    >>> [[step.name for step in path] for path in found.paths]
    [['insecure-port']]
    >>> bool(attack_paths(read_model("hardened"), "pod", "admin"))
    False
    """

    start: Foothold
    goal: Goal
    paths: tuple[Path, ...]
    possible: tuple[Path, ...] = ()
    HEAD = ("path", "cost", "held", "step", "technique", "because")

    def __len__(self) -> int:
        return len(self.paths or self.possible)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for number, path in enumerate(self.paths or self.possible, start=1):
            first = (str(number), f"{cost(path):g}")
            if not path:
                rows.append((*first, str(self.start), "held from the start", "", ""))
            for step in path:
                rows.append((*first, str(step.foothold), step.name, step.technique, step.reasons))
                first = ("", "")
        return rows

    @property
    def _title(self) -> str:
        count = len(self)
        kind = "" if self.paths else "possible "
        found = f"{count} {kind}path{'' if count == 1 else 's'}" if count else "out of reach"
        return f"{self.start} -> {self.goal}: {found}"

    def __repr__(self) -> str:
        rows = self._rows()
        return self._title + (f"\n{columns(self.HEAD, rows)}" if rows else "")

    def _repr_html_(self) -> str:
        return html(self.HEAD, self._rows(), self._title)


@dataclass(frozen=True)
class Reach:
    """The goals that an attacker reaches from some footholds.

    Attributes
    ----------
    paths : dict of Foothold to dict of Foothold to tuple of Step
        By foothold and by goal: the cheapest path.
    possible : dict of Foothold to dict of Foothold to tuple of Step
        Where no path is known: the cheapest that would exist if something unknown were true.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> from labkit.model.footholds import ADMIN, NETWORK
    >>> found = reach(read_model("insecure"), ["network"])
    >>> [step.name for step in found.path(NETWORK, ADMIN)]
    ['insecure-port']
    """

    paths: dict[Foothold, dict[Goal, Path]]
    possible: dict[Foothold, dict[Goal, Path]] = field(default_factory=dict)

    HEAD = ("from", *map(str, GOALS))

    def path(self, start: Foothold, goal: Goal) -> Path | None:
        """Return the cheapest path, or None if none is known.

        Parameters
        ----------
        start : Foothold
            One of those that were asked about.
        goal : Goal

        Returns
        -------
        tuple of Step or None

        Raises
        ------
        KeyError
            Nobody asked about this foothold.
        """
        return self.paths[start].get(goal)

    def possible_path(self, start: Foothold, goal: Goal) -> Path | None:
        """Return the cheapest path that something unknown would open, or None.

        Parameters
        ----------
        start : Foothold
            One of those that were asked about.
        goal : Goal

        Returns
        -------
        tuple of Step or None
        """
        return self.possible.get(start, {}).get(goal)

    def _shown(self, start: Foothold, goal: Goal) -> str:
        path, kind = self.path(start, goal), ""
        if path is None:
            path, kind = self.possible_path(start, goal), "possible: "
        if path is None:
            return "out of reach"
        return kind + (" -> ".join(step.name for step in path) or "held from the start")

    def _rows(self) -> list[tuple[str, ...]]:
        return [(str(it), *(self._shown(it, goal) for goal in GOALS)) for it in self.paths]

    def __repr__(self) -> str:
        return columns(self.HEAD, self._rows())

    def _repr_html_(self) -> str:
        return html(self.HEAD, self._rows())


def derivation(word: str) -> Derivation:
    """Return the derivation of an attack graph that a word names.

    Parameters
    ----------
    word : {"claims", "techniques"}

    Returns
    -------
    {"claims", "techniques"}

    Raises
    ------
    ConfigError
        The word is another one.

    Examples
    --------
    >>> derivation("claims")
    'claims'
    """
    for known in DERIVATIONS:
        if word == known:
            return known
    raise _no_derivation(word)


def _no_derivation(word: str) -> ConfigError:
    return ConfigError(f"no derivation {word!r}", hint=f"one of: {', '.join(DERIVATIONS)}")


def graph_for(model: Model, derivation: Derivation = "claims", *, possible: bool = False) -> Graph:
    """Return the attack graph of a model: footholds, joined by steps.

    Parameters
    ----------
    model : Model
    derivation : {"claims", "techniques"}
    possible : bool
        Take the steps as well that exist only if something unknown is true.

    Returns
    -------
    networkx.DiGraph
        See :func:`labkit.analysis.attack_graph.steps.attack_graph`.

    Raises
    ------
    ConfigError
        The model was not read from an environment, which the derivation from techniques needs.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> graph = graph_for(read_model("insecure"))
    >>> graph.has_edge(Foothold("admin"), Foothold("root", "worker1"))
    True
    """
    return graphs_for(model, derivation)[possible]


def graphs_for(model: Model, derivation: Derivation = "claims") -> tuple[Graph, Graph]:
    """Return the attack graph of what is known, and the one with possible steps as well.

    Parameters
    ----------
    model : Model
    derivation : {"claims", "techniques"}

    Returns
    -------
    known, possible : networkx.DiGraph
        The same object where no step depends on something unknown.

    Raises
    ------
    ConfigError
        The derivation has another name, or it is the one from techniques and the model was not read
        from an environment.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> known, possible = graphs_for(read_model("hardened"))
    >>> known is possible
    True
    """
    if derivation not in DERIVATIONS:  # a person may have typed it in a notebook
        raise _no_derivation(derivation)
    if derivation == "techniques":
        from labkit.analysis.attack_graph import from_techniques

        return from_techniques.graphs(model)
    implied = implications(model)
    if model.env is None and model.dump is None:
        # nothing of RBAC is loaded for a model that has none
        return known_and_possible(channel_steps(model), implied)
    from labkit.analysis.attack_graph.from_anonymous import (
        anonymous_object_steps,
        anonymous_steps,
    )

    if model.dump is None:
        from labkit.analysis.attack_graph.from_rights import account_steps

        steps = (*channel_steps(model), *anonymous_steps(model), *account_steps(model))
        return known_and_possible(*_without_pods_elsewhere(steps, implied))
    from labkit.analysis.attack_graph.from_objects import object_steps

    steps, anonymous = object_steps(model.dump), anonymous_object_steps(model.dump)
    pods = dict.fromkeys(step.foothold for step in steps if step.foothold.kind == "pod")
    # inside a pod means: inside one of the attacker's choice
    more = {POD: [*implied[POD], *pods], OUTSIDE: []}
    if anonymous or model.dump.open_ports:
        more |= {Foothold("pod", it.id): [CALLS] for it in model.dump.pods}
    return known_and_possible((*channel_steps(model), *steps, *anonymous), {**implied, **more})


def _without_pods_elsewhere(
    steps: tuple[Step, ...], implied: dict[Foothold, list[Foothold]]
) -> tuple[tuple[Step, ...], dict[Foothold, list[Foothold]]]:
    """Return steps by which root on a worker is in its pods, and not in those of other nodes.

    A pod that was not copied may be privileged on any node: one who chooses a pod has that node,
    and one who is root on another node has not.
    """
    from labkit.analysis.attack_graph.from_objects.not_read import UNREAD_POD

    if not any(it.name == UNREAD_POD and NODE in it.grants for it in steps):
        return steps, implied
    here = Foothold("pods-of", Role.WORKER)
    mine = (
        replace(it, foothold=here)
        for it in steps
        if it.foothold == POD and not (it.name == UNREAD_POD and NODE in it.grants)
    )
    on_nodes = {
        place: [here if it == POD and place.kind == "root" else it for it in others]
        for place, others in implied.items()
    }
    return (*steps, *mine), {**on_nodes, here: implied[POD]}


def attack_paths(
    model: Model,
    start: str | Foothold,
    goal: str | Goal,
    count: int = 5,
    derivation: Derivation = "claims",
) -> AttackPaths:
    """Return the cheapest paths from a foothold to a goal.

    Parameters
    ----------
    model : Model
    start, goal : str or Foothold
        As :func:`find_foothold` takes them: "pod", "root:worker1", "secrets" ...
    count : int
        How many paths at most.
    derivation : {"claims", "techniques"}
        From the claims of the model, or from what techniques are predicted to do.

    Returns
    -------
    AttackPaths

    Raises
    ------
    ConfigError
        There is no such foothold or goal in the model.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> attack_paths(read_model("hardened"), "pod", "secrets")
    inside a pod -> reads the secrets: out of reach
    >>> [step.name for step in attack_paths(read_model("insecure"), "pod", "node").paths[0]]
    ['docker-tcp']
    """
    graph, wide = graphs_for(model, derivation)
    start, goal = _start(model, start, wide, derivation), _goal(model, goal, wide, derivation)
    return paths_between(graph, wide, start, goal, count)


def paths_between(
    graph: Graph, wide: Graph, start: Foothold, goal: Goal, count: int
) -> AttackPaths:
    """Return the cheapest known paths, or without any, the cheapest possible ones.

    Parameters
    ----------
    graph, wide : networkx.DiGraph
        What :func:`graphs_for` returns.
    start, goal : Foothold
    count : int
        How many paths at most.
    """
    paths = tuple(cheapest_paths(graph, start, goal, count))
    if paths or wide is graph:
        return AttackPaths(start, goal, paths)
    return AttackPaths(start, goal, (), tuple(cheapest_paths(wide, start, goal, count)))


def reach(
    model: Model,
    starts: Iterable[str | Foothold] | None = None,
    derivation: Derivation = "claims",
) -> Reach:
    """Return the goals that an attacker reaches, from each foothold.

    Parameters
    ----------
    model : Model
    starts : iterable of str or Foothold, optional
        Without it, :func:`usual_starts`.
    derivation : {"claims", "techniques"}

    Returns
    -------
    Reach

    Raises
    ------
    ConfigError
        There is no such foothold in the model.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> reach(read_model("hardened"), ["network"])
    from                    reads the secrets  cluster-admin  root on a node
    ----------------------  -----------------  -------------  --------------
    on the cluster network  out of reach       out of reach   out of reach
    """
    graph, wide = graphs_for(model, derivation)
    if starts is None:
        chosen = [it for it in usual_starts(model) if derivation == "claims" or it in graph]
    else:
        chosen = [_start(model, start, wide, derivation) for start in starts]
    known = _nearest(graph, chosen)
    if wide is graph:
        return Reach(known)
    possible = _nearest(wide, chosen)
    for start, paths in known.items():
        possible[start] = {goal: it for goal, it in possible[start].items() if goal not in paths}
    return Reach(known, possible)


def _nearest(graph: Graph, starts: Iterable[Foothold]) -> dict[Foothold, dict[Goal, Path]]:
    """Return the cheapest path from each start to each goal that is reached from it."""
    chosen = list(starts)
    if len(chosen) == 1:
        ways = close(graph, chosen[0])
        return {chosen[0]: {goal: ways[goal] for goal in GOALS if goal in ways}}
    to = {goal: paths_to(graph, goal) for goal in GOALS}
    return {
        start: {goal: found[start] for goal, found in to.items() if start in found}
        for start in chosen
    }


def _start(model: Model, wanted: str | Foothold, graph: Graph, derivation: Derivation) -> Foothold:
    """Return a foothold from which a derivation can say what is reached."""
    start = find_foothold(model, wanted, graph)
    if derivation == "techniques" and start not in graph:
        raise ConfigError(
            f"no technique starts from {start.word!r}: what is reached from there is not known",
            hint='ask the claims of the model instead: derivation="claims"',
        )
    if start.kind in LEAD_NOWHERE and not (start in graph and graph.out_degree(start)):
        raise ConfigError(
            f"no step starts from {start.word!r}: what is reached from there is not known",
            hint="start from network, pod, user:NODE, root:NODE or holds:CREDENTIAL@NODE",
        )
    return start


def _goal(model: Model, wanted: str | Goal, graph: Graph, derivation: Derivation) -> Goal:
    """Return a goal of which a derivation can say whether it is reached."""
    goal = find_foothold(model, wanted, graph)
    # claims lead to machines, techniques to the roles of machines
    by_role = isinstance(goal.where, Role)
    if derivation == "claims" and by_role:
        raise ConfigError(
            f"{goal.word!r} is a machine of the attacker's choice: it is a start, not a goal",
            hint="name the machine, root:NODE, or ask for node: root on any node",
        )
    if goal == OUTSIDE or (
        goal.kind == "commands" and not (goal in graph and graph.in_degree(goal))
    ):
        raise ConfigError(
            f"no step of this model says whether {goal.word!r} is reached",
            hint=f"one of: {', '.join(it.word for it in GOALS)}, root:NODE, holds:CREDENTIAL@NODE",
        )
    if derivation == "techniques" and goal not in GOALS and not (by_role and goal in graph):
        raise ConfigError(
            f"no technique says whether {goal.word!r} is reached",
            hint=f"one of: {', '.join(it.word for it in GOALS)}; or ask the claims of the model",
        )
    return goal


def usual_starts(model: Model) -> list[Foothold]:
    """Return the footholds where an attacker may start: network, pod, users and root.

    Of a cluster's objects, outside the cluster as well.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> [it.word for it in usual_starts(read_model("hardened"))][:4]
    ['network', 'pod', 'user:etcd1', 'root:etcd1']
    """
    nodes = sorted({it.node for it in model.components if it.node and it.kind in ON_MACHINES})
    first = [OUTSIDE] if model.dump else []
    on = [Foothold(kind, node) for node in nodes for kind in ("user", "root")]
    return [*first, NETWORK, POD, *on]


def find_foothold(model: Model, wanted: str | Foothold, graph: Graph | None = None) -> Foothold:
    """Return the foothold or goal of a model that a text names.

    Parameters
    ----------
    model : Model
    wanted : str or Foothold
        "network", "pod", "user:NODE", "root:NODE", "holds:CREDENTIAL@NODE", of a cluster's
        objects "outside", "pod:NAMESPACE/NAME" and "is:NAME", and the goals "secrets", "admin"
        and "node". In place of NODE, "master", "worker" or "etcd" means a machine of the
        attacker's choice.
    graph : networkx.DiGraph, optional
        An attack graph, for what else there is to hold.

    Returns
    -------
    Foothold

    Raises
    ------
    ConfigError
        The model has no such foothold; the message names the nearest one.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> find_foothold(read_model("hardened"), "root:worker1")
    Foothold(kind='root', where='worker1')
    """
    text = wanted.word if isinstance(wanted, Foothold) else wanted.strip()
    nodes = nodes_of(model)
    known = {NETWORK, POD, *GOALS}
    if model.dump:
        known |= {OUTSIDE, *(Foothold("pod", it.id) for it in model.dump.pods)}
    known |= {Foothold("holds", it.id) for it in model.credentials}
    known |= {Foothold("commands", it.id) for it in model.components}
    known |= {Foothold(kind, node) for node in nodes for kind in ("user", "root")}
    roles = {role for role in Role if machines(model, role)}
    known |= {Foothold(kind, role) for role in roles for kind in ("user", "root")}
    held = known if graph is None else {*known, *graph}
    if isinstance(wanted, Foothold) and wanted in held:
        return wanted
    try:
        found = parse_foothold(text)
    except ConfigError:
        found = None
    if found is not None and found.kind == "pod" and found not in held:
        found = _pod_named(model, str(found.where))
    elif found is not None and found not in held:
        by_word = {it.word: it for it in known if isinstance(it.where, Role)}
        found = by_word.get(found.word)
    if found is None:
        from difflib import get_close_matches

        words = sorted(it.word for it in known)
        near = get_close_matches(text, words, n=1, cutoff=0.5)
        usual = "network, pod, user:NODE, root:NODE, secrets, admin, node"
        raise ConfigError(
            f"no foothold or goal {text!r} in {model.name}",
            hint=f"did you mean {near[0]!r}?" if near else f"one of: {usual}",
        )
    return found


def _pod_named(model: Model, name: str) -> Foothold | None:
    """Return the pod of a cluster's objects with a namespace and a name, or None.

    Equal pods are one foothold; a name that stands for several footholds names none.
    """
    pods = model.dump.pods if model.dump else ()
    found = {
        it.id
        for it in pods
        if name == it.workload or name in {f"{it.namespace}/{pod}" for pod in it.pods}
    }
    return Foothold("pod", found.pop()) if len(found) == 1 else None
