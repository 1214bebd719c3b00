"""The cells of the truth matrix, and what can be read from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.errors import ConfigError
from labkit.resources import matrix_file

__all__ = ["Cell", "Matrix"]

SUCCEEDED, REFUSED, UNPROBED = "succeeded", "refused", "unprobed"


@dataclass(frozen=True, slots=True)
class Cell:
    """One technique from one foothold in one environment.

    Attributes
    ----------
    environment : str
        The mode.
    control, direction : str or None
        The control that was flipped, and "on" or "off"; None in the plain mode.
    foothold, technique : str
    predicted : {"succeeded", "refused"}
        What the model says.
    observed : {"succeeded", "refused", "unprobed"}
        What happened; a timeout or an error is "unprobed", never a refusal.
    reason : str
        Why that was observed.
    agree : bool
    """

    environment: str
    control: str | None
    direction: str | None
    foothold: str
    technique: str
    predicted: str
    observed: str
    reason: str
    agree: bool

    @property
    def variant(self) -> tuple[str, str | None, str | None]:
        """Return which cluster it is about."""
        return self.environment, self.control, self.direction

    @property
    def place(self) -> tuple[str, str]:
        """Return the technique and the foothold."""
        return self.technique, self.foothold

    @property
    def order(self) -> tuple[str, ...]:
        """Return its place in a file: by environment, control, direction, technique, foothold."""
        return tuple(part or "" for part in (*self.variant, *self.place))


class Matrix:
    """All cells of a run, sorted: by environment, control, direction, technique, foothold.

    Parameters
    ----------
    cells : iterable of Cell
        In any order.

    Examples
    --------
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> print(Matrix([cell]).summary())
    1 cells: 1 agree, 0 disagree, 0 unprobed
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = tuple(sorted(cells, key=lambda cell: cell.order))

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return self.summary()

    @property
    def unprobed(self) -> tuple[Cell, ...]:
        """The cells about which nothing could be found out."""
        return tuple(cell for cell in self.cells if cell.observed == UNPROBED)

    @property
    def disagree(self) -> tuple[Cell, ...]:
        """The cells in which something else happened than the model says."""
        return tuple(c for c in self.cells if not c.agree and c.observed != UNPROBED)

    @property
    def exit_code(self) -> int:
        """1 where something disagrees, 2 where something is unprobed, else 0."""
        return 1 if self.disagree else 2 if self.unprobed or not self.cells else 0

    def summary(self) -> str:
        """Return one line with the counts."""
        counts = Counter(
            "unprobed" if c.observed == UNPROBED else "agree" if c.agree else "disagree"
            for c in self.cells
        )
        parts = ", ".join(f"{counts[word]} {word}" for word in ("agree", "disagree", "unprobed"))
        return f"{len(self.cells)} cells: {parts}"

    def select(self, *techniques: str) -> Matrix:
        """Return the cells of some techniques."""
        return Matrix(cell for cell in self.cells if cell.technique in techniques)

    @property
    def modes(self) -> list[str]:
        """The environments, the one first in which most techniques succeed as it is."""
        plain = (cell for cell in self.cells if cell.control is None)
        counts = Counter(cell.environment for cell in plain if cell.observed == SUCCEEDED)
        return sorted({c.environment for c in self.cells}, key=lambda mode: (-counts[mode], mode))

    def variants(self) -> list[tuple[str, str | None, str | None]]:
        """Return the clusters, mode by mode, each plain mode before its flipped controls."""
        modes = self.modes
        found = dict.fromkeys(cell.variant for cell in self.cells)
        return sorted(found, key=lambda variant: modes.index(variant[0]))

    def observed(self, variant: tuple[str, str | None, str | None]) -> dict[tuple[str, str], str]:
        """Return what was observed in one cluster, by technique and foothold."""
        return {cell.place: cell.observed for cell in self.cells if cell.variant == variant}

    def effects(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        """Return what each control stops, and what it holds off.

        Returns
        -------
        dict of (str, str) to set of (str, str)
            By control and direction: the techniques and footholds that were refused by
            putting it in place alone, or that succeeded by taking it out alone. A flip that
            does the opposite, opening a port that was closed say, is not counted.
        """
        found: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for environment, control, direction in self.variants():
            if control is None or direction is None:
                continue
            plain = self.observed((environment, None, None))
            flipped = self.observed((environment, control, direction))
            change = (SUCCEEDED, REFUSED) if direction == "on" else (REFUSED, SUCCEEDED)
            found[control, direction] = {
                place for place, seen in flipped.items() if (plain.get(place), seen) == change
            }
        return found

    def to_json(self) -> str:
        """Return the cells as a JSON list, one a line, in the order of the matrix."""
        lines = (json.dumps(asdict(cell), ensure_ascii=False) for cell in self.cells)
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @classmethod
    def read(cls, path: Path | None = None) -> Matrix:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        path : pathlib.Path, optional
            The truth matrix that comes with the kit (docs/matrix.json) if not given.

        Raises
        ------
        ConfigError
            The file is not such a list.

        Examples
        --------
        >>> len(Matrix.read().cells) > 1000
        True
        """
        path = path or matrix_file()
        try:
            rows: Any = json.loads(path.read_text())
            if not isinstance(rows, list):
                raise TypeError("no list of cells")
            return cls(Cell(**row) for row in rows)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{path} is not a truth matrix: {error}", hint=f"remove {path}, and repeat"
            ) from error
