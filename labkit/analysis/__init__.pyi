from .accept import Acceptance, accept, read_acceptances
from .choke import choke_points
from .dumped import dump_steps
from .finding import Finding, Findings
from .gate import Analysis, analyze
from .loading import load_model
from .paths import AttackPaths, Reached, attack_paths, reached
from .reach import Reach, reach
from .risk import RiskRule, read_risk
from .steps import Path, Step, attack_graph, cheapest_paths, close, cost, paths_to
from .threats import find_threats
from .what_if import Difference, cuts, diff, smallest_cut, with_control

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
