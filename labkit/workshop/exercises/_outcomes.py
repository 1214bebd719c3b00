"""What the techniques would do with controls put in place in `insecure`."""

from __future__ import annotations

from collections.abc import Iterable

from labkit import techniques
from labkit.cluster import read_environment
from labkit.controls import with_controls
from labkit.model import Foothold, Model, read_model

__all__ = ["Row", "stopped", "with_all"]

#: A row of the matrix: a technique, and the foothold from which it is tried.
Row = tuple[str, Foothold]


def with_all(names: Iterable[str]) -> Model:
    """Return the model of `insecure` with controls put in place together."""
    return read_model(with_controls(read_environment("insecure"), dict.fromkeys(names, True)))


def stopped(model: Model, rows: Iterable[Row]) -> set[Row]:
    """Return the rows that are predicted to be refused.

    Examples
    --------
    >>> from labkit.model.footholds import NETWORK
    >>> stopped(with_all(["kubelet-anonymous"]), [("kubelet-exec", NETWORK)])
    {('kubelet-exec', Foothold(kind='network', where=''))}
    """
    return {
        (name, foothold)
        for name, foothold in rows
        if techniques[name].predict(model, foothold).succeeds is False
    }
