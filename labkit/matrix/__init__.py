"""The truth matrix: what the model predicts of every technique, and what happened.

Environments are the modes and each control flipped alone. Every cell is one technique from one
foothold: predicted from the configuration, carried out in the lab, compared.
"""

from __future__ import annotations

from labkit.matrix.cells import Cell, Matrix
from labkit.matrix.run import Variant, combinations, run_matrix, variants

__all__ = ["Cell", "Matrix", "Variant", "combinations", "run_matrix", "variants"]
