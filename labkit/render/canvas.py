"""Figures that show themselves in a notebook, without pyplot and the same every time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["canvas"]


def canvas(name: str, width: float, height: float) -> Figure:
    """Make an empty figure.

    Parameters
    ----------
    name : str
        What it is a picture of; all that it says of itself as text, so that nbval can hold it.
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure
        Shows itself as PNG in a notebook.

    Examples
    --------
    >>> canvas("a cluster", 4, 3)
    <picture of a cluster>
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that a notebook shows without pyplot."""

        def __repr__(self) -> str:
            return f"<picture of {name}>"

        def _repr_png_(self) -> bytes:
            data = io.BytesIO()
            # the version of matplotlib would make every picture differ
            self.savefig(data, format="png", dpi=100, metadata={"Software": None})
            return data.getvalue()

    picture = Picture(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(picture)
    return picture
