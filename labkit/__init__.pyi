from ._version import __version__
from .cluster import Environment, read_environment
from .errors import (
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
from .lab import Finding, Lab, LabStatus, Output, Timings, doctor, list_labs
from .model import Channel, Claim, Source, build_model, channels

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
