"""The truth matrix: the prediction for every technique, compared with the lab.

The variants are the modes, and each mode with one control flipped. A cell is one technique from
one foothold in one variant: predicted from the configuration, carried out in the lab, compared.
"""

from __future__ import annotations

from labkit.matrix.cells import Cell, Matrix
from labkit.matrix.run import Variant, combinations, run_matrix, try_cell, variants

__all__ = ["Cell", "Matrix", "Variant", "combinations", "run_matrix", "try_cell", "variants"]
