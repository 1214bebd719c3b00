import labkit.registry

from .copies import participant_copy, participants_notebooks
from .definition import Exercise, Hint, Outcome, WrongSolution
from .session import check, exercise, hint, progress, reset

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
]
