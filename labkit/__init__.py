"""Threat modelling and labs for the communications of a Kubernetes cluster.

One configuration, read twice: as a model (a graph of components and channels, where each
property says where it was read) and as a lab (a real cluster in containers); and every claim
of the one held against the other.

Names are imported when they are first used: ``import labkit`` loads neither Docker's client
nor networkx nor matplotlib. The function that verifies is ``labkit.verify.verify``.

Examples
--------
>>> import labkit
>>> environment = labkit.read_environment("hardened")
>>> graph = labkit.build_model(environment)
>>> len(labkit.channels(graph)) > 0
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.cluster import Environment, read_environment
    from labkit.errors import (
        BuildFailed,
        CommandFailed,
        ConfigError,
        EngineError,
        ImageError,
        LabError,
        LabkitError,
        NameTaken,
        NoSuchLab,
        ProbeError,
        ProbeTimeout,
        StartTimeout,
    )
    from labkit.lab import Finding, Lab, LabStatus, Output, Timings, doctor, list_labs
    from labkit.model import Channel, Claim, Source, build_model, channels

__all__ = [
    "BuildFailed",
    "Channel",
    "Claim",
    "CommandFailed",
    "ConfigError",
    "EngineError",
    "Environment",
    "Finding",
    "ImageError",
    "Lab",
    "LabError",
    "LabStatus",
    "LabkitError",
    "NameTaken",
    "NoSuchLab",
    "Output",
    "ProbeError",
    "ProbeTimeout",
    "Source",
    "StartTimeout",
    "Timings",
    "__version__",
    "build_model",
    "channels",
    "doctor",
    "list_labs",
    "read_environment",
]

__version__ = "0.1.0"

_ROOM_OF = {
    "Environment": "cluster",
    "read_environment": "cluster",
    **dict.fromkeys(
        ["Finding", "Lab", "LabStatus", "Output", "Timings", "doctor", "list_labs"], "lab"
    ),
    **dict.fromkeys(["Channel", "Claim", "Source", "build_model", "channels"], "model"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = importlib.import_module(f"{__name__}.{_ROOM_OF.get(name, 'errors')}")
    value = globals()[name] = getattr(room, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
