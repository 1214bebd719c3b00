"""Controls, one file each: what each changes in a cluster's configuration, and what it stops.

A module of this package that does not begin with ``_`` holds one control, as ``CONTROL``;
a new file adds a control. A control changes an environment's files: labkit reads the
model from the changed files, and writes the same files into a running lab.

Examples
--------
>>> from labkit import controls
>>> controls["apiserver-anonymous"].title
'The apiserver refuses anonymous callers'
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
    """Return an environment with controls put in place or taken out; no file on disk changes.

    Parameters
    ----------
    env : Environment
    wanted : mapping of str to bool
        The control's name, and whether the control shall be in place.

    Returns
    -------
    Environment

    Raises
    ------
    ConfigError
        No control has this name, or it does not fit the environment.

    Examples
    --------
    >>> from labkit import read_environment
    >>> from labkit.model import read_model
    >>> env = with_controls(read_environment("hardened"), {"apiserver-anonymous": False})
    >>> read_model(env).open_channels("kubelet@worker1 -> *:6443")[0].client_authentication.value
    'anonymous'
    """
    from labkit.model import read_model

    if not wanted:
        return env
    model = read_model(env)
    for name, on in sorted(wanted.items()):
        model = _controls[name].flipped_model(model, on)
    return model.environment


def put_in_place(env: Environment, missing: Iterable[Control]) -> Environment:
    """Return an environment with missing controls put in place.

    Unlike :func:`with_controls` it reads the files once, and does not check the result.

    Parameters
    ----------
    env : Environment
    missing : iterable of Control
        Controls that are not in place in `env`.

    Returns
    -------
    Environment

    Raises
    ------
    ConfigError
        A control does not fit the environment.

    Examples
    --------
    >>> from labkit import controls, read_environment
    >>> from labkit.model import read_model
    >>> control = controls["kubelet-anonymous"]
    >>> env = put_in_place(read_environment("insecure"), [control])
    >>> control.holds(read_model(env))
    True
    """
    from labkit.cluster import read_environment

    edits = [edit for control in missing for edit in control.edits(on=True)]
    return read_environment(env.folder, (*env.edits, *edits)) if edits else env
