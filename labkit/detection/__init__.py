"""Who would have seen an attack: predicted, observed in a lab, and held against Sigma rules.

A prediction needs the model alone. An observation carries a technique out in a lab and collects the
events that it leaves in the apiserver's audit log. Rules need the extra ``detect``, and stand in
:mod:`labkit.detection.sigma_rules`.
"""

from __future__ import annotations

from labkit.detection.cells import Detection, DetectionCell
from labkit.detection.prediction import Event, ExpectedEvent, Foresight, foresee
from labkit.detection.run import detect

__all__ = [
    "Detection",
    "DetectionCell",
    "Event",
    "ExpectedEvent",
    "Foresight",
    "detect",
    "foresee",
]
