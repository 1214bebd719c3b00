"""Exercises, one file each: a task, the check of a lab, hints, and the solution.

A module of this package that does not begin with ``_`` holds one exercise, as ``EXERCISE``;
a new file adds an exercise.

Examples
--------
>>> from labkit.workshop import exercises
>>> exercises["worker-2"].mode
'insecure'
"""

from __future__ import annotations

import sys
from typing import Any

from labkit.registry import Registry
from labkit.workshop.definition import Exercise

__all__: list[str] = []


class _Exercises(Registry[Exercise]):
    ATTRIBUTE = "EXERCISE"
    LISTED_BY = "labkit workshop list"


_exercises: Any = sys.modules[__name__]
_exercises.__class__ = _Exercises
