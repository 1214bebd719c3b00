from ._version import __version__
from .analysis import attack_paths, diff, find_threats, minimal_cut, reach, with_control
from .cluster import Environment, read_environment
from .controls import Control
from .diagram import living_diagram
from .lab import Lab, LabStatus, Output, Timings, attach, doctor, labs_up, list_labs
from .loading import load_model
from .model import Channel, Claim, Foothold, Model, Source
from .registry import Registry
from .techniques import Technique
from .verification import verify

techniques: Registry[Technique]
controls: Registry[Control]

def load_ipython_extension(shell: object) -> None: ...

__all__ = [
    "Channel",
    "Claim",
    "Control",
    "Environment",
    "Foothold",
    "Lab",
    "LabStatus",
    "Model",
    "Output",
    "Registry",
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
    "labs_up",
    "list_labs",
    "living_diagram",
    "load_model",
    "minimal_cut",
    "reach",
    "read_environment",
    "techniques",
    "verify",
    "with_control",
]
