"""What an attacker could do: the consequences of a model, with no engine and no cluster."""

from __future__ import annotations

from labkit.analysis.choke import choke_points
from labkit.analysis.dumped import dump_steps, paths_to
from labkit.analysis.reach import Reach, reach
from labkit.analysis.steps import Path, Step, attack_graph, cheapest_paths, close, cost

__all__ = [
    "Path",
    "Reach",
    "Step",
    "attack_graph",
    "cheapest_paths",
    "choke_points",
    "close",
    "cost",
    "dump_steps",
    "paths_to",
    "reach",
]
