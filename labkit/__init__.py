"""Threat modelling and labs for the communications of a Kubernetes cluster.

One configuration is read twice: as a model (a graph of components and channels, where each
property says where it was read) and as a lab (a real cluster in containers). Live checks compare
every claim of the model with the lab.

Names are imported when they are first used: ``import labkit`` loads neither Docker's client
nor networkx nor matplotlib.

Examples
--------
>>> import labkit
>>> model = labkit.load_model("hardened")
>>> labkit.attack_paths(model, "pod", "admin")
inside a pod -> cluster-admin: out of reach
>>> labkit.techniques["etcd-read"].title
'Read a secret out of etcd'
"""

from __future__ import annotations

import importlib
from typing import Any

import lazy_loader

from labkit._renamed import with_old_names

_lazy, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted({*_names, "controls", "techniques"})

_ERRORS = (
    "BuildFailed",
    "CommandFailed",
    "ConfigError",
    "EngineError",
    "ImageError",
    "LabError",
    "LabkitError",
    "NameTaken",
    "NoSuchLab",
    "ProbeError",
    "ProbeTimeout",
    "StartTimeout",
)
_OLD = {
    "build_model": "load_model(...).graph",
    "channels": "load_model(...).channels",
    "Finding": "labkit.analysis.Finding, or labkit.lab.Check for what the doctor looks at",
    **{name: f"labkit.errors.{name}" for name in _ERRORS},
}


def _package(name: str) -> Any:
    # these two are packages, and mappings of what they hold
    if name in ("controls", "techniques"):
        return importlib.import_module(f"labkit.{name}")
    return _lazy(name)


__getattr__ = with_old_names(__name__, _OLD, _package)


def load_ipython_extension(shell: Any) -> None:
    """Add the workshop's magics to IPython: ``%load_ext labkit`` calls it."""
    importlib.import_module("labkit.workshop.magics").register(shell)


def __dir__() -> list[str]:
    return list(__all__)
