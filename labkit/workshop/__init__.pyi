import labkit.registry

from .definition import Exercise, Hint, Outcome, WrongSolution
from .participants import participant_copy, participants_notebooks
from .session import check, exercise, hint, progress, reset, switch

exercises: labkit.registry.Registry[Exercise]

__all__ = [
    "Exercise",
    "Hint",
    "Outcome",
    "WrongSolution",
    "check",
    "exercise",
    "exercises",
    "hint",
    "participant_copy",
    "participants_notebooks",
    "progress",
    "reset",
    "switch",
]
