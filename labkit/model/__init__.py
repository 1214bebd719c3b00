"""The model: facts become a graph of components and channels, every claim with its source.

Works without Docker and Kubernetes.
"""

from __future__ import annotations

from labkit.cluster.source import Source
from labkit.model.by_hand import Draft, read_model_file
from labkit.model.claims import PROPERTIES, VALUES, Channel, Claim
from labkit.model.dumped import model_of_dump
from labkit.model.graph import build_model, channels, credential
from labkit.model.reading import read_model
from labkit.model.threat_model import Component, Held, Model
from labkit.model.view import View

__all__ = [
    "PROPERTIES",
    "VALUES",
    "Channel",
    "Claim",
    "Component",
    "Draft",
    "Held",
    "Model",
    "Source",
    "View",
    "build_model",
    "channels",
    "credential",
    "model_of_dump",
    "read_model",
    "read_model_file",
]
