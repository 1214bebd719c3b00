"""Putting many objects together that are all kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["gc_pause"]


@contextmanager
def gc_pause() -> Iterator[None]:
    """Look for no garbage meanwhile; as a context or as a decorator.

    Python looks for garbage the more often the more objects are made. Of the nodes of a document,
    or of what is found about a model, all are kept until the end, and to look at them again and
    again is a tenth of the time.

    Examples
    --------
    >>> import gc
    >>> with gc_pause():
    ...     print(gc.isenabled())
    False
    >>> gc.isenabled()
    True
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
