"""Attack paths through a model: reachable or not, the cheapest, all goals at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.analysis.channel_steps import CALLS, NETWORK, channel_steps, implications
from labkit.analysis.roles import ADMIN, NODE_ROOT, OUTSIDE, POD, SECRETS
from labkit.analysis.steps import Path, attack_graph, cheapest_paths, cost, paths_to
from labkit.errors import ConfigError
from labkit.model import Model
from labkit.render.columns import columns, html

__all__ = ["GOALS", "AttackPaths", "Reached", "attack_paths", "find_fact", "graph_for", "reached"]

#: What an attacker may be after.
GOALS = (SECRETS, ADMIN, NODE_ROOT)
WORDS = {
    "network": NETWORK,
    "pod": POD,
    "outside": OUTSIDE,
    "secrets": SECRETS,
    "admin": ADMIN,
    "node": NODE_ROOT,
}
IN_A_POD = "inside pod "
#: "user:worker1", "root:worker1", "holds:kubelet@worker1".
PLACE = re.compile(r"(user|root|holds):(.+)")


@dataclass(frozen=True)
class AttackPaths:
    """The cheapest paths from one foothold to one goal.

    Attributes
    ----------
    start, goal : str
    paths : tuple of tuple of Step
        The cheapest first; empty where the goal is out of reach.
    """

    start: str
    goal: str
    paths: tuple[Path, ...]
    HEAD = ("path", "cost", "held", "step", "because")

    def __bool__(self) -> bool:
        return bool(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for number, path in enumerate(self.paths, start=1):
            first = (str(number), f"{cost(path):g}")
            if not path:
                rows.append((*first, self.start, "held from the start", ""))
            for step in path:
                rows.append((*first, step.foothold, step.technique, "; ".join(step.because)))
                first = ("", "")
        return rows

    @property
    def _title(self) -> str:
        found = f"{len(self.paths)} paths" if self.paths else "out of reach"
        return f"{self.start} -> {self.goal}: {found}"

    def __repr__(self) -> str:
        return self._title + (f"\n{columns(self.HEAD, self._rows())}" if self.paths else "")

    def _repr_html_(self) -> str:
        return html(self.HEAD, self._rows(), self._title)


@dataclass(frozen=True)
class Reached:
    """Which goals an attacker gets to from some footholds.

    Attributes
    ----------
    paths : dict of str to dict of str to tuple of Step
        By foothold and by goal: the cheapest way.
    """

    paths: dict[str, dict[str, Path]]

    HEAD = ("from", *GOALS)

    def path(self, start: str, goal: str) -> Path | None:
        """Return the cheapest path, or None where the goal is out of reach."""
        return self.paths[start].get(goal)

    def _rows(self) -> list[tuple[str, ...]]:
        def said(path: Path | None) -> str:
            if path is None:
                return "out of reach"
            return " -> ".join(step.technique for step in path) or "held from the start"

        return [(start, *(said(self.path(start, goal)) for goal in GOALS)) for start in self.paths]

    def __repr__(self) -> str:
        return columns(self.HEAD, self._rows())

    def _repr_html_(self) -> str:
        return html(self.HEAD, self._rows())


def graph_for(model: Model) -> Any:
    """Return the attack graph of a model: what can be held, and by which step.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> graph_for(read_model("insecure")).has_edge("cluster-admin", "root on worker1")
    True
    """
    implied = implications(model)
    from labkit.analysis.anonymous import anonymous_steps, dump_steps_of_anonymous

    if model.dump is None:
        return attack_graph((*channel_steps(model), *anonymous_steps(model)), implied)
    from labkit.analysis.dumped import dump_steps

    steps, strangers = dump_steps(model.dump), dump_steps_of_anonymous(model.dump)
    pods = dict.fromkeys(step.foothold for step in steps if step.foothold.startswith(IN_A_POD))
    # inside a pod means: inside one of the attacker's choice
    more = {POD: [*implied[POD], *pods], OUTSIDE: []}
    if strangers:
        more |= {f"{IN_A_POD}{it.id}": [CALLS] for it in model.dump.pods}
    return attack_graph((*channel_steps(model), *steps, *strangers), {**implied, **more})


def attack_paths(model: Model, start: str, goal: str, count: int = 5) -> AttackPaths:
    """Return the cheapest paths from a foothold to a goal.

    Parameters
    ----------
    model : Model
    start, goal : str
        As :func:`find_fact` takes them: "pod", "root:worker1", "secrets" ...
    count : int
        How many at most.

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
    >>> [step.technique for step in attack_paths(read_model("insecure"), "pod", "node").paths[0]]
    ['docker-tcp']
    """
    graph = graph_for(model)
    start, goal = (find_fact(model, word, graph) for word in (start, goal))
    return AttackPaths(start, goal, tuple(cheapest_paths(graph, start, goal, count)))


def reached(model: Model, starts: Iterable[str] | None = None) -> Reached:
    """Return what an attacker gets to, all goals at once.

    Parameters
    ----------
    model : Model
    starts : iterable of str, optional
        Footholds; without it, the network, a pod, and a user and root of every machine; of a
        dumped cluster, outside of it as well.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> reached(read_model("hardened"), ["network"])
    from                    reads the secrets  cluster-admin  root on a node
    ----------------------  -----------------  -------------  --------------
    on the cluster network  out of reach       out of reach   out of reach
    """
    graph = graph_for(model)
    nodes = sorted({it.node for it in model.components if it.node and it.kind in MACHINES})
    first = [OUTSIDE] if model.dump else []
    usual = [
        *first,
        NETWORK,
        POD,
        *(f"{who} on {node}" for node in nodes for who in ("user", "root")),
    ]
    chosen = usual if starts is None else [find_fact(model, start, graph) for start in starts]
    ways = {goal: paths_to(graph, goal) for goal in GOALS}
    return Reached(
        {
            start: {goal: found[start] for goal, found in ways.items() if start in found}
            for start in chosen
        }
    )


#: What runs on a machine that somebody may get onto.
MACHINES = frozenset({"etcd", "kube-apiserver", "kubelet", "kube-scheduler", "dockerd"})


def find_fact(model: Model, word: str, graph: Iterable[str] = ()) -> str:
    """Return a foothold or a goal by its word.

    Parameters
    ----------
    model : Model
    word : str
        "network", "pod", "secrets", "admin", "node", "user:NODE", "root:NODE",
        "holds:CREDENTIAL@NODE", of a dumped cluster "outside", or what these stand for.
    graph : iterable of str, optional
        What else there is to hold.

    Raises
    ------
    ConfigError
        There is none such; the message names the nearest.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> find_fact(read_model("hardened"), "root:worker1")
    'root on worker1'
    """
    word = word.strip()
    if found := PLACE.fullmatch(word):
        kind, name = found.groups()
        word = f"{kind} {name}" if kind == "holds" else f"{kind} on {name}"
    fact = WORDS.get(word, word)
    words = [fact for fact in WORDS.values() if fact != OUTSIDE or model.dump]
    known = {*words, *(f"holds {held.name}@{held.node}" for held in model.credentials)}
    for it in model.components:
        if it.node:
            known |= {f"user on {it.node}", f"root on {it.node}"}
        known.add(f"commands {it.id}")
    if fact not in known and fact not in set(graph):
        from difflib import get_close_matches

        near = get_close_matches(word, sorted({*known, *WORDS}), n=1, cutoff=0.5)
        raise ConfigError(
            f"no foothold or goal {word!r} in {model.name}",
            hint=f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(WORDS)}",
        )
    return fact
