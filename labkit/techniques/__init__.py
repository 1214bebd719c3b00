"""The techniques: what an attacker can do, what it needs, and how it is carried out in a lab.

The package is a mapping from names to techniques. Each module that does not begin with ``_``
holds one technique, as ``TECHNIQUE``. To add a technique, add one file. Importing the package
runs nothing, and a technique contacts only the machines of the lab that it is given.

Examples
--------
>>> from labkit import techniques
>>> "etcd-read" in techniques
True
>>> [str(foothold) for foothold in techniques["at-rest"].footholds]
['root on an etcd machine']
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any

from labkit.registry import Registry
from labkit.techniques._lib.machines.reach import ATTACK, CONTROL, address_in_lab, marked
from labkit.techniques._lib.technique import FOOTHOLDS, Prediction, SentRequest, Technique
from labkit.techniques._lib.verdict import Setting, Verdict, Verdicts

__all__ = [
    "ATTACK",
    "CONTROL",
    "FOOTHOLDS",
    "Prediction",
    "SentRequest",
    "Setting",
    "Technique",
    "Verdict",
    "Verdicts",
    "address_in_lab",
    "marked",
]


class _Techniques(Registry[Technique]):
    ATTRIBUTE = "TECHNIQUE"
    OLD = MappingProxyType(
        {
            "GOALS": "labkit.model.GOALS",
            "inside": "techniques.address_in_lab",
            "picture": "labkit.render.evidence",
        }
    )


_techniques: Any = sys.modules[__name__]
_techniques.__class__ = _Techniques
