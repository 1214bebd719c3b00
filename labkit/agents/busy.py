"""Say how many times longer than on an idle machine something takes on this one now."""

from __future__ import annotations

from labkit.agents._patience import stretch


def answer() -> str:
    """Return a number from 1 on."""
    return str(stretch())
