"""The model: facts become a graph of components and channels, every claim with its source.

Works without Docker and Kubernetes.
"""

from __future__ import annotations

from labkit.cluster.source import Source
from labkit.model.claims import PROPERTIES, VALUES, Channel, Claim
from labkit.model.graph import build_model, channels, credential
from labkit.model.view import View

__all__ = [
    "PROPERTIES",
    "VALUES",
    "Channel",
    "Claim",
    "Source",
    "View",
    "build_model",
    "channels",
    "credential",
]
