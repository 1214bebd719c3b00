"""The matrix of several labs at once, kept in a file as it grows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from labkit.cli._messages import reporter, say
from labkit.lab.parallel import in_parallel
from labkit.matrix import Cell, Matrix, Variant, combinations, run_matrix, variants
from labkit.matrix.cells import UNPROBED

__all__ = ["fill"]


def fill(
    modes: Sequence[str],
    name: str,
    names: Sequence[str] | None,
    file: Path | None,
    *,
    sample: tuple[int, int] | None = None,
    quiet: bool = False,
) -> Matrix:
    """Fill the matrix of several modes, and write it to a file after each variant.

    Parameters
    ----------
    modes : sequence of str
    name : str
        Of the labs; all are up.
    names : sequence of str or None
        The controls to flip; None means all.
    file : pathlib.Path or None
        The cells that it holds already are not tried again, but for those left unprobed.
    sample : tuple of int, optional
        How many random combinations of controls to try instead, in all modes together, and
        the seed.
    quiet : bool
        Say nothing of the progress.

    Returns
    -------
    Matrix
        Sorted.
    """
    from labkit.lab import Lab

    held = Matrix.read(file) if file and file.exists() else Matrix(())
    kept = [cell for cell in held if cell.observed != UNPROBED]
    lock = threading.Lock()
    labs = [Lab(mode, name=name, reporter=reporter(quiet=True)) for mode in dict.fromkeys(modes)]
    plans = {
        lab.mode: combinations(lab.environment, sample[0] // len(labs), sample[1])
        if sample
        else variants(lab.environment, names)
        for lab in labs
    }
    planned = {variant.key for plan in plans.values() for variant in plan}
    total = sum(map(len, plans.values()))

    def keep(variant: Variant, cells: list[Cell], seconds: float) -> None:
        with lock:
            kept.extend(cells)
            if file:
                file.write_text(_known(kept, planned).to_json())
            agree = sum(cell.agree for cell in cells)
            number = len({cell.variant for cell in kept})
            share = f"{agree} of {len(cells)} agree"
            say(f" ✓ {number}/{total} {variant}: {share} ({seconds:.0f} s)", quiet=quiet)

    done = {(*cell.variant, *cell.place) for cell in kept}
    in_parallel(labs, lambda lab: run_matrix(lab, plans[lab.mode], done=done, tell=keep))
    return _known(kept, planned)


def _known(cells: Sequence[Cell], planned: set[tuple[str, str | None, str | None]]) -> Matrix:
    return Matrix(cell for cell in cells if cell.variant in planned)
