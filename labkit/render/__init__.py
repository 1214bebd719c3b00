"""Pictures and tables of a model: for the terminal, for notebooks and for a README.

What they print as text is stable, so that nbval can hold it.
"""

from __future__ import annotations

from labkit.render.groups import PROTECTIONS, protection
from labkit.render.mermaid import Mermaid, mermaid
from labkit.render.picture import figure
from labkit.render.table import Table, table

__all__ = ["PROTECTIONS", "Mermaid", "Table", "figure", "mermaid", "protection", "table"]
