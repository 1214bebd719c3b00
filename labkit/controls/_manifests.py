"""A manifest as one of the kit's own environments has it, for the other."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Edit, Whole
from labkit.paths import environments_dir

__all__ = ["as_in"]


def as_in(mode: str, name: str) -> tuple[Edit, ...]:
    """Return the edit that brings a manifest into the form that it has in a mode.

    Examples
    --------
    >>> [edit] = as_in("hardened", "builder.yaml")
    >>> edit.path, "hostPath" in edit.text
    ('manifests/builder.yaml', False)
    """
    path = f"manifests/{name}"
    return (Whole(PLAN, path, (environments_dir() / mode / path).read_text()),)
