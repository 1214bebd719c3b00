"""Delta debugging: the fewest settings with which a difference still appears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrink"]

T = TypeVar("T")


def shrink(items: Sequence[T], appears: Callable[[Sequence[T]], bool]) -> tuple[T, ...]:
    """Return the items that are left after each was dropped without which a thing still appears.

    Parameters
    ----------
    items : sequence
        With all of them it appears.
    appears : callable
        Takes some of the items, and says whether it appears with them.

    Returns
    -------
    tuple
        None of them can be dropped alone.

    Examples
    --------
    >>> shrink([1, 2, 3, 4], lambda some: 3 in some)
    (3,)
    >>> shrink([1, 2, 3, 4], lambda some: {2, 4} <= set(some))
    (2, 4)
    """
    left = tuple(items)
    # halves first: mostly one setting is guilty
    for half in (left[: len(left) // 2], left[len(left) // 2 :]):
        if 0 < len(half) < len(left) and appears(half):
            left = half
            break
    for item in left:
        rest = tuple(it for it in left if it != item)
        if rest and appears(rest):
            left = rest
    return left
