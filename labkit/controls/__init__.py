"""Mitigations, one file each: what each changes in a cluster's configuration, and what it stops.

A module of this package that does not begin with ``_`` holds one control, as ``CONTROL``;
adding a mitigation is adding one file. A control is a change of an environment's files: the
model is read from the changed files, and the same files are written into a running lab.

Examples
--------
>>> from labkit import controls
>>> controls["apiserver-anonymous"].title
'The apiserver takes no anonymous callers'
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from labkit.controls._base import Control
from labkit.registry import Registry

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["Control", "put_in_place", "with_controls"]


class _Controls(Registry[Control]):
    ATTRIBUTE = "CONTROL"


_controls: Any = sys.modules[__name__]
_controls.__class__ = _Controls


def with_controls(env: Environment, wanted: Mapping[str, bool]) -> Environment:
    """Return an environment with controls put in place or taken out; no file is touched.

    Parameters
    ----------
    env : Environment
    wanted : mapping of str to bool
        By the control's name: whether it is to be in place.

    Returns
    -------
    Environment

    Raises
    ------
    ConfigError
        There is no such control, or it does not fit the environment.

    Examples
    --------
    >>> from labkit import read_environment
    >>> from labkit.model import read_model
    >>> env = with_controls(read_environment("hardened"), {"apiserver-anonymous": False})
    >>> read_model(env).open_channels("kubelet@worker1 -> *:6443")[0].client_authentication.value
    'anonymous'
    """
    for name, on in sorted(wanted.items()):
        env = _controls[name].flipped(env, on)
    return env


def put_in_place(env: Environment, missing: Iterable[Control]) -> Environment:
    """Return an environment with controls put in place that are known to be missing there.

    Unlike :func:`with_controls` it reads the files once, and asks no control whether it holds.
    """
    from labkit.cluster import read_environment

    edits = [edit for control in missing for edit in control.edits(on=True)]
    return read_environment(env.folder, (*env.edits, *edits)) if edits else env
