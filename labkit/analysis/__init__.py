"""What an attacker could do: the consequences of a model, with no engine and no cluster."""

from __future__ import annotations

from labkit.analysis.choke import choke_points
from labkit.analysis.reach import Reach, Step, reach

__all__ = ["Reach", "Step", "choke_points", "reach"]
