"""Fill the truth matrix in several labs at once, and write it to a file as it grows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import techniques
from labkit.cli._messages import reporter, say
from labkit.cli._options import BOTH
from labkit.cli._profiles import flipped, own
from labkit.lab.parallel import in_parallel
from labkit.matrix import Cell, Matrix, Variant, combinations, run_matrix, variants
from labkit.matrix.cells import UNPROBED

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["fill"]


def fill(
    modes: Sequence[str],
    name: str,
    names: Sequence[str] | None,
    file: Path | None,
    *,
    only: Sequence[str] = (),
    sample: tuple[int, int] | None = None,
    quiet: bool = False,
    wait: float | None = None,
) -> tuple[Matrix, Matrix]:
    """Fill the matrix of several modes, and write it to a file after each variant.

    Parameters
    ----------
    modes : sequence of str
        Names or folders of environments.
    name : str
        The name of the labs, which must be up.
    names : sequence of str or None
        The controls to flip; None means all, or in a lab of a profile those that it adds.
    file : pathlib.Path or None
        A file of cells. Cells of the wanted variants that it already holds are not tried again,
        unless they are unprobed. Cells of other variants stay in it, unless their control no
        longer exists. A run with `sample` replaces the combinations of its modes.
    only : sequence of str
        The techniques to try; none means all, or in a lab of a profile those that it adds.
    sample : tuple of int, optional
        Try random combinations of controls instead: their number over all modes, and the seed.
    quiet : bool
        Show no progress.
    wait : float, optional
        Seconds to wait for another process that changes one of the labs.

    Returns
    -------
    wanted, stored : Matrix
        The cells of the wanted variants, and all cells that the file then holds.

    Raises
    ------
    ConfigError
        The file is not a truth matrix.
    NoSuchName
        There is no control or technique of a name.
    LabkitError
        A lab is not up, or a component did not become ready.
    """
    from labkit.lab import Lab

    named = [techniques[it] for it in dict.fromkeys(only)]
    held = Matrix.read(file) if file and file.exists() else Matrix(())
    lock = threading.Lock()
    labs = [
        Lab(mode, name=name, reporter=reporter(quiet=True), wait=wait)
        for mode in dict.fromkeys(modes)
    ]
    plans = {
        lab.mode: combinations(lab.environment, sample[0] // len(labs), sample[1])
        if sample
        else variants(lab.environment, flipped(lab.environment) if names is None else names)
        for lab in labs
    }
    for lab in labs:
        for technique in named or techniques.values():
            why = technique.why_not(lab.environment)
            # those of a profile need no word, unless they are asked for
            if why and (named or technique.modes == BOTH):
                say(f"{technique.name} does not apply to {lab.mode}: {why}", quiet=quiet)
    planned = {variant.key for plan in plans.values() for variant in plan}
    single = {variant.key for lab in labs for variant in variants(lab.environment)}

    def is_current(cell: Cell) -> bool:
        """Say whether a variant that this run does not try is still one of its mode."""
        if cell.environment not in plans:
            return True
        # another number or seed gives other combinations, and a new control changes all of them
        return sample is None if "+" in (cell.control or "") else cell.variant in single

    others = [cell for cell in held if cell.variant not in planned and is_current(cell)]
    wanted = [cell for cell in held if cell.variant in planned and cell.observed != UNPROBED]
    total = sum(map(len, plans.values()))

    def keep(variant: Variant, cells: list[Cell], seconds: float) -> None:
        with lock:
            wanted.extend(cells)
            if file:
                file.write_text(Matrix([*wanted, *others]).to_json())
            agree = sum(cell.agree for cell in cells)
            number = len({cell.variant for cell in wanted})
            share = f"{agree} of {len(cells)} agree"
            say(f" ✓ {number}/{total} {variant}: {share} ({seconds:.0f} s)", quiet=quiet)

    done = {(*cell.variant, *cell.place) for cell in wanted}

    def run(lab: Lab) -> None:
        known = named or own(techniques.values(), lab.environment)
        run_matrix(lab, plans[lab.mode], known=known, done=done, tell=keep)

    in_parallel(labs, run)
    return Matrix(wanted), Matrix([*wanted, *others])
