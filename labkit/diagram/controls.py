"""The controls of a diagram: which there are, and the model with some of them flipped."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.analysis import with_control
from labkit.analysis.what_if import editable, missing_controls
from labkit.controls import with_controls
from labkit.model import Model, read_model

__all__ = ["flippable", "with_flipped"]


def flippable(model: Model) -> dict[str, bool]:
    """Return the controls that can be flipped in a model, and whether each is in place.

    Parameters
    ----------
    model : Model
        Of an environment, every control can be flipped. Of any other model, those that are
        missing can be put in place.

    Returns
    -------
    dict of str to bool

    Examples
    --------
    >>> from labkit.model import read_model
    >>> flippable(read_model("insecure"))["docker-tcp"]
    False
    """
    from labkit import controls

    missing = missing_controls(model)
    names = sorted(missing) if editable(model) is None else controls
    return {name: name not in missing for name in names}


def with_flipped(model: Model, wanted: Mapping[str, bool]) -> Model:
    """Return a model with controls put in place or taken out; no file is changed.

    Parameters
    ----------
    model : Model
    wanted : mapping of str to bool
        The control's name, and whether the control shall be in place.

    Returns
    -------
    Model
        `model` itself if nothing is wanted.

    Raises
    ------
    ConfigError
        There is no control of that name, or it does not fit the model.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> changed = with_flipped(read_model("hardened"), {"apiserver-anonymous": False})
    >>> changed.open_channels("kubelet@worker1 -> *:6443")[0].client_authentication.value
    'anonymous'
    """
    if not wanted:
        return model
    env = editable(model)
    if env is not None:
        return read_model(with_controls(env, wanted))
    return with_control(model, *sorted(name for name, on in wanted.items() if on))
