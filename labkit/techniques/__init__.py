"""Attacks, one file each: what each needs and abuses, and how it is carried out in a lab.

A module of this package that does not begin with ``_`` holds one technique, as ``TECHNIQUE``;
adding an attack is adding one file. Nothing here runs by itself, and nothing here speaks to
anything but the machines of the lab that it is given.

Examples
--------
>>> from labkit import techniques
>>> "etcd-read" in [technique.name for technique in techniques.all()]
True
>>> techniques.find("at-rest").footholds
('root on an etcd machine',)
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from labkit.errors import ConfigError
from labkit.techniques._base import FOOTHOLDS, GOALS, Prediction, Technique
from labkit.techniques._picture import picture
from labkit.techniques._reach import inside
from labkit.techniques._verdict import Setting, Verdict, Verdicts

__all__ = [
    "FOOTHOLDS",
    "GOALS",
    "Prediction",
    "Setting",
    "Technique",
    "Verdict",
    "Verdicts",
    "all",
    "find",
    "inside",
    "picture",
]


@cache
def all() -> tuple[Technique, ...]:  # noqa: A001 - read with its module: techniques.all()
    """Return every technique there is, by name."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    found = [importlib.import_module(f"{__name__}.{name}").TECHNIQUE for name in names]
    return tuple(sorted(found, key=lambda technique: technique.name))


def find(name: str) -> Technique:
    """Return a technique by its name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    for technique in all():
        if technique.name == name:
            return technique
    raise ConfigError(
        f"no technique {name!r}", hint=f"choose one of: {', '.join(t.name for t in all())}"
    )
