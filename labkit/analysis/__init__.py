"""What an attacker could do: the consequences of a model, with no engine and no cluster."""

from __future__ import annotations

from labkit.analysis.accept import Acceptance, accept, read_acceptances
from labkit.analysis.choke import choke_points
from labkit.analysis.dumped import dump_steps, paths_to
from labkit.analysis.finding import Finding, Findings
from labkit.analysis.gate import Analysis, analyze
from labkit.analysis.loading import load_model
from labkit.analysis.paths import AttackPaths, Reached, attack_paths, reached
from labkit.analysis.reach import Reach, reach
from labkit.analysis.risk import RiskRule, read_risk
from labkit.analysis.steps import Path, Step, attack_graph, cheapest_paths, close, cost
from labkit.analysis.threats import find_threats
from labkit.analysis.what_if import Difference, cuts, diff, smallest_cut, with_control

__all__ = [
    "Acceptance",
    "Analysis",
    "AttackPaths",
    "Difference",
    "Finding",
    "Findings",
    "Path",
    "Reach",
    "Reached",
    "RiskRule",
    "Step",
    "accept",
    "analyze",
    "attack_graph",
    "attack_paths",
    "cheapest_paths",
    "choke_points",
    "close",
    "cost",
    "cuts",
    "diff",
    "dump_steps",
    "find_threats",
    "load_model",
    "paths_to",
    "reach",
    "reached",
    "read_acceptances",
    "read_risk",
    "smallest_cut",
    "with_control",
]
