from ._version import __version__
from .analysis import attack_paths, diff, find_threats, minimal_cut, reach, with_control
from .catalogue import Catalogue
from .cluster import Environment, read_environment
from .controls import Control
from .lab import Lab, LabStatus, Output, Timings, attach, doctor, list_labs
from .loading import load_model
from .model import Channel, Claim, Foothold, Model, Source
from .techniques import Technique

techniques: Catalogue[Technique]
controls: Catalogue[Control]

__all__ = [
    "Catalogue",
    "Channel",
    "Claim",
    "Control",
    "Environment",
    "Foothold",
    "Lab",
    "LabStatus",
    "Model",
    "Output",
    "Source",
    "Technique",
    "Timings",
    "__version__",
    "attach",
    "attack_paths",
    "controls",
    "diff",
    "doctor",
    "find_threats",
    "list_labs",
    "load_model",
    "minimal_cut",
    "reach",
    "read_environment",
    "techniques",
    "with_control",
]
