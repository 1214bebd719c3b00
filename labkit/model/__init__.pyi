from .by_hand import Draft, read_model_file
from .claims import PROPERTIES, VALUES, Channel, Claim, Source
from .dumped import model_of_dump
from .graph import build_model, channels, credential
from .reading import read_model
from .threat_model import Component, Held, Model
from .view import View

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
