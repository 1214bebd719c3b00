"""Pictures and tables of a model: for the terminal, for notebooks and for a README.

What they print as text is stable, so that nbval can hold it.
"""

from __future__ import annotations

from labkit.render.canvas import save
from labkit.render.groups import PROTECTIONS, protection
from labkit.render.mermaid import Mermaid, mermaid
from labkit.render.picture import figure
from labkit.render.svg import Svg, svg
from labkit.render.table import Table, table

__all__ = [
    "PROTECTIONS",
    "Mermaid",
    "Svg",
    "Table",
    "figure",
    "mermaid",
    "protection",
    "save",
    "svg",
    "table",
]
