"""Pause Python's garbage collector while many objects are created that are all kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["gc_pause"]


@contextmanager
def gc_pause() -> Iterator[None]:
    """Disable garbage collection for a block or a function.

    Python collects garbage more often the more objects are created. The nodes of a document and
    the findings of a model are all kept until the end, and a tenth of the time would go into
    examining them again and again. Afterwards, what was made in the block is old to the collector,
    so that the next collection does not examine it either.

    Yields
    ------
    None

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
            if not gc.get_freeze_count():
                # what is kept becomes old at once: the next collection would examine all of it
                gc.freeze()
                gc.unfreeze()
            gc.enable()
