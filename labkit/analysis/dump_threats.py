"""Threats in a dumped cluster: the pods from which a goal is reached."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.analysis.dumped import ATTACK, dump_steps
from labkit.analysis.finding import Finding
from labkit.analysis.risk import RiskRule
from labkit.analysis.roles import ADMIN, OUTSIDE, SECRETS
from labkit.analysis.steps import Path, attack_graph, paths_to
from labkit.cluster.dump import Dump
from labkit.cluster.source import Source
from labkit.model import Claim

__all__ = ["dump_threats"]

POD = "inside pod "
RULES = {ADMIN: ("pod-to-cluster-admin", 4), SECRETS: ("pod-to-secrets", 3)}


def dump_threats(dump: Dump, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding for each group of equal pods from which a goal is reached.

    One that a service shows outside of the cluster is the likelier to be broken into.

    Examples
    --------
    >>> from labkit.cluster.dump import Dump, PodGroup, PodSpec
    >>> pods = PodGroup("shop", "web", "web", PodSpec(token=True), ("worker1",), ("web-1",))
    >>> list(dump_threats(Dump("shop", pods=(pods,)), RiskRule()))
    []
    """
    steps = dump_steps(dump)
    graph = attack_graph(steps, {ADMIN: [SECRETS]})
    doors = {step.grants[0]: step.because[0] for step in steps if step.foothold == OUTSIDE}
    found = {goal: paths_to(graph, goal) for goal in RULES}
    for goal, paths in found.items():
        for start, path in paths.items():
            if start.startswith(POD) and not (goal == SECRETS and start in found[ADMIN]):
                yield _finding(dump, start, goal, path, risk, doors.get(start, ""))


def _finding(dump: Dump, start: str, goal: str, path: Path, risk: RiskRule, door: str) -> Finding:
    rule, weight = RULES[goal]
    pod = start.removeprefix(POD)
    likelihood = (2 if len(path) > 1 else 3) + bool(door)
    likelihood, impact = risk.weigh(rule, likelihood, weight)
    because = "; ".join(path[0].because)
    names = tuple(dict.fromkeys(ATTACK[s.technique] for s in path if s.technique in ATTACK))
    return Finding(
        id=f"{rule}@{pod}",
        rule=rule,
        title=f"Whoever breaks into a pod comes to: {goal}",
        subject=f"pod/{pod}",
        stride=("elevation of privilege",),
        cwe=("CWE-269",),
        attack=names,
        references=("Kubernetes documentation: Role Based Access Control Good Practices",),
        property="path",
        claim=Claim("reached", "", Source(dump.name, None, because)),
        state="open",
        control="",
        technique="",
        likelihood=likelihood,
        impact=impact,
        severity=risk.level(likelihood, impact),
        explanation=" -> ".join(step.technique for step in path) + (door and f"; {door}"),
    )
