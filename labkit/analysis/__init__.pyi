from .attack_graph.from_objects import object_steps
from .attack_graph.queries import AttackPaths, Reach, attack_paths, derivation, find_foothold, reach
from .attack_graph.steps import Path, Step, attack_graph, cheapest_paths, close, cost, paths_to
from .findings.accept import Acceptance, accept, read_acceptances
from .findings.finding import Finding, Findings
from .findings.risk import RiskRule, read_risk
from .findings.threats import find_threats
from .gate import Analysis, analyze
from .minimal_cuts import effect_of_each_control, minimal_cut
from .what_if import Difference, diff, with_control

__all__ = [
    "Acceptance",
    "Analysis",
    "AttackPaths",
    "Difference",
    "Finding",
    "Findings",
    "Path",
    "Reach",
    "RiskRule",
    "Step",
    "accept",
    "analyze",
    "attack_graph",
    "attack_paths",
    "cheapest_paths",
    "close",
    "cost",
    "derivation",
    "diff",
    "effect_of_each_control",
    "find_foothold",
    "find_threats",
    "minimal_cut",
    "object_steps",
    "paths_to",
    "reach",
    "read_acceptances",
    "read_risk",
    "with_control",
]
