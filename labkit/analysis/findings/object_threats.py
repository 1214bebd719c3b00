"""Threats in a dumped cluster: the pods from which a goal is reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from labkit.analysis.attack_graph.from_anonymous import anonymous_object_steps
from labkit.analysis.attack_graph.from_objects.builder import inside
from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.from_objects.steps import object_steps
from labkit.analysis.attack_graph.steps import Path, cost, known_and_possible, paths_to, to_find_out
from labkit.analysis.findings.anonymous import anonymous_finding
from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster.objects.facts import Dump, PodGroup
from labkit.cluster.syntax.source import Source
from labkit.model import Claim, Goal
from labkit.model.footholds import ADMIN, OUTSIDE, SECRETS

__all__ = ["object_threats"]

RULES = {ADMIN: ("pod-to-cluster-admin", 4), SECRETS: ("pod-to-secrets", 3)}


def object_threats(dump: Dump, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding for each workload from whose pods a goal is reached, by the shortest way.

    One from which it is reached only if something unknown is true is a finding whose state is
    unknown.

    One that a service shows outside of the cluster is the likelier to be broken into. A daemon
    set is found once, and not once on each node, so that a new node is no new finding.

    Examples
    --------
    >>> from labkit.cluster.objects.facts import Dump, PodGroup, PodSpec
    >>> pods = PodGroup("shop", "web", "web", PodSpec(token=True), ("worker1",), ("web-1",))
    >>> list(object_threats(Dump("shop", pods=(pods,)), RiskRule()))
    []
    """
    steps = object_steps(dump)
    every = (*steps, *anonymous_object_steps(dump))
    graph, wide = known_and_possible(every, {ADMIN: [SECRETS]})
    yield from anonymous_finding((graph, wide), "kube-apiserver", dump.rbac, risk)
    doors = {step.grants[0]: str(step.because[0]) for step in steps if step.foothold == OUTSIDE}
    told: dict[str, Goal] = {}
    graphs = (graph,) if wide is graph else (graph, wide)
    for each in graphs:
        for goal in RULES:
            paths = paths_to(each, goal)
            workloads: dict[str, list[PodGroup]] = defaultdict(list)
            for pods in dump.pods:
                if inside(pods) in paths:
                    workloads[pods.workload].append(pods)
            for name, groups in workloads.items():
                # whether the secrets are read does not matter beside cluster-admin
                if told.get(name) in {ADMIN, goal} or (each is graph and name in told):
                    continue
                told[name] = goal
                first = min(groups, key=lambda pods: cost(paths[inside(pods)]))
                door = next(filter(None, (doors.get(inside(pods)) for pods in groups)), "")
                yield _finding(dump, groups, first, goal, paths[inside(first)], risk, door)


def _finding(
    dump: Dump,
    groups: list[PodGroup],
    first: PodGroup,
    goal: Goal,
    path: Path,
    risk: RiskRule,
    door: str,
) -> Finding:
    rule, weight = RULES[goal]
    likelihood = (2 if len(path) > 1 else 3) + bool(door)
    likelihood, impact = risk.weigh(rule, likelihood, weight)
    because = "; ".join(map(str, path[0].because))
    names = tuple(dict.fromkeys(it for s in path if (it := STEP_KINDS[s.name].attack)))
    way = " -> ".join(step.name for step in path)
    said = to_find_out(path)
    nodes = len({node for pods in groups for node in pods.nodes})
    spread = f"on {nodes} nodes" if nodes > 1 else ""
    return Finding(
        id=f"{rule}@{first.workload}",
        rule=rule,
        title=f"An attacker inside a pod reaches: {goal}",
        subject=f"pod/{first.id}",
        stride=("elevation of privilege",),
        cwe=("CWE-269",),
        attack=names,
        references=("Kubernetes documentation: Role Based Access Control Good Practices",),
        property="path",
        claim=Claim("unknown" if said else "reached", "", Source(dump.name, None, because)),
        state="unknown" if said else "open",
        control="",
        technique="",
        likelihood=likelihood,
        impact=impact,
        severity=risk.level(likelihood, impact),
        explanation="; ".join(filter(None, (way, said, spread, door))),
    )
