from .canvas import save
from .evidence_picture import evidence
from .groups import PROTECTIONS, protection
from .mermaid import Mermaid, mermaid
from .picture import figure
from .svg import Svg, svg
from .table import Table, table

__all__ = [
    "PROTECTIONS",
    "Mermaid",
    "Svg",
    "Table",
    "evidence",
    "figure",
    "mermaid",
    "protection",
    "save",
    "svg",
    "table",
]
