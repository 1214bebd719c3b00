"""Figures that a notebook shows without pyplot, with the same bytes every time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["canvas", "save"]

#: Number of colours in a PNG: enough for smooth edges.
COLOURS = 64


def canvas(name: str, width: float, height: float) -> Figure:
    """Return an empty figure.

    Parameters
    ----------
    name : str
        The subject of the picture. Its ``repr`` shows nothing else, so nbval can compare it.
    width, height : float
        Size in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it as PNG.

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
            return _png(self, 100)

    picture = Picture(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(picture)
    return picture


def _png(figure: Figure, dpi: int) -> bytes:
    from PIL import Image

    data, small = io.BytesIO(), io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    # a palette makes the file a third of the size, and Pillow leaves out matplotlib's version
    colours = Image.open(data).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    colours.save(small, format="png", optimize=True)
    return small.getvalue()


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as SVG or PNG, with the same bytes every time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path or str
        The suffix selects the format: .svg or .png.

    Raises
    ------
    ConfigError
        The suffix is neither .svg nor .png.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(canvas("nothing", 1, 1), Path(folder) / "nothing.svg")
    ...     (Path(folder) / "nothing.svg").read_text().count("dc:date")
    0
    """
    import matplotlib as mpl

    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ConfigError(f"{path}: a picture is .svg or .png", hint="change the suffix")
    if kind == "png":
        path.write_bytes(_png(figure, 150))
        return
    # the date, the version and random ids would make every file differ
    with mpl.rc_context({"svg.hashsalt": "labkit", "svg.fonttype": "none"}):
        figure.savefig(path, format=kind, metadata={"Date": None, "Creator": None})
