from .by_hand import Draft, read_model_file
from .claims import PROPERTIES, VALUES, Channel, Claim, Source
from .footholds import GOALS, Foothold, Goal, Role, parse_foothold
from .from_configuration import read_model
from .from_objects import model_of_dump
from .threat_model import Component, Model, StoredCredential

__all__ = [
    "GOALS",
    "PROPERTIES",
    "VALUES",
    "Channel",
    "Claim",
    "Component",
    "Draft",
    "Foothold",
    "Goal",
    "Model",
    "Role",
    "Source",
    "StoredCredential",
    "model_of_dump",
    "parse_foothold",
    "read_model",
    "read_model_file",
]
