"""What an attacker could do: the consequences of a model, with no engine and no cluster."""

from __future__ import annotations

from labkit.analysis.choke import choke_points
from labkit.analysis.finding import Finding, Findings
from labkit.analysis.reach import Reach, reach
from labkit.analysis.risk import RiskRule, read_risk
from labkit.analysis.steps import Path, Step, attack_graph, cheapest_paths, close, cost
from labkit.analysis.threats import find_threats

__all__ = [
    "Finding",
    "Findings",
    "Path",
    "Reach",
    "RiskRule",
    "Step",
    "attack_graph",
    "cheapest_paths",
    "choke_points",
    "close",
    "cost",
    "find_threats",
    "reach",
    "read_risk",
]
