"""The cells of the truth matrix, and the queries on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.cluster.syntax.disk import MAX_MODEL, read_bytes
from labkit.cluster.syntax.source import decode
from labkit.errors import ConfigError
from labkit.resources import docs_dir, split_mode

__all__ = ["Cell", "Matrix"]

SUCCEEDED, REFUSED, UNPROBED, UNKNOWN = "succeeded", "refused", "unprobed", "unknown"
#: How a result compares with a prediction that the model does not make.
FOUND_OUT = "found out"


@dataclass(frozen=True, slots=True)
class Cell:
    """One technique from one foothold in one variant of an environment.

    Attributes
    ----------
    environment : str
        The mode.
    control, direction : str or None
        The flipped control (several with "+" between them), and "on" or "off"; None in the plain
        mode.
    foothold, technique : str
        The foothold, and the name of the technique.
    predicted : {"succeeded", "refused", "unknown"}
        The model's prediction; "unknown" if something that decides could not be read.
    observed : {"succeeded", "refused", "unprobed"}
        The result in the lab; a timeout or an error is "unprobed", never a refusal.
    reason : str
        The reason for the result.
    agree : bool
        Whether `predicted` and `observed` are equal.

    Examples
    --------
    >>> place = ("inside a pod", "agent-token")
    >>> Cell("hardened", "pod-security", "off", *place, "refused", "refused", "", True).variant
    ('hardened', 'pod-security', 'off')
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
        """The environment, the control and the direction."""
        return self.environment, self.control, self.direction

    @property
    def place(self) -> tuple[str, str]:
        """The technique and the foothold."""
        return self.technique, self.foothold

    @property
    def order(self) -> tuple[str, ...]:
        """The sort key: environment, control, direction, technique, foothold."""
        return tuple(part or "" for part in (*self.variant, *self.place))


def _word(cell: Cell) -> str:
    """Return how a result compares with its prediction."""
    if cell.observed == UNPROBED:
        return UNPROBED
    if cell.predicted == UNKNOWN:
        return FOUND_OUT
    return "agree" if cell.agree else "disagree"


class Matrix:
    """The cells of a truth matrix, sorted by `Cell.order`.

    Parameters
    ----------
    cells : iterable of Cell
        The cells, in any order.

    Examples
    --------
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> print(Matrix([cell]).summary())
    1 cell: 1 agree, 0 disagree, 0 unprobed
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
        """The cells whose technique gave no result."""
        return tuple(cell for cell in self.cells if cell.observed == UNPROBED)

    @property
    def disagree(self) -> tuple[Cell, ...]:
        """The cells whose result differs from the prediction."""
        return tuple(cell for cell in self.cells if _word(cell) == "disagree")

    @property
    def found_out(self) -> tuple[Cell, ...]:
        """The cells whose result the model does not know."""
        return tuple(cell for cell in self.cells if _word(cell) == FOUND_OUT)

    @property
    def exit_code(self) -> int:
        """1 if a cell disagrees, else 2 if a cell is unprobed or there are no cells, else 0."""
        return 1 if self.disagree else 2 if self.unprobed or not self.cells else 0

    def summary(self) -> str:
        """Return one line with the counts.

        Returns
        -------
        str
        """
        counts = Counter(map(_word, self.cells))
        words = ["agree", "disagree", "unprobed", *([FOUND_OUT] if counts[FOUND_OUT] else ())]
        parts = ", ".join(f"{counts[word]} {word}" for word in words)
        return f"{len(self.cells)} {'cell' if len(self.cells) == 1 else 'cells'}: {parts}"

    def select(self, *techniques: str) -> Matrix:
        """Return the cells of some techniques.

        Parameters
        ----------
        *techniques : str
            Names of techniques.

        Returns
        -------
        Matrix
        """
        return Matrix(cell for cell in self.cells if cell.technique in techniques)

    @property
    def modes(self) -> list[str]:
        """The environments, profile by profile; first those without one.

        Of each profile's, first the one in which most techniques succeed without a flip.
        """
        plain = (cell for cell in self.cells if cell.control is None)
        counts = Counter(cell.environment for cell in plain if cell.observed == SUCCEEDED)
        return sorted(
            {cell.environment for cell in self.cells},
            key=lambda mode: (split_mode(mode)[0], -counts[mode], mode),
        )

    def variants(self) -> list[tuple[str, str | None, str | None]]:
        """Return the variants, mode by mode, each plain mode before its flipped controls.

        Returns
        -------
        list of tuple
            Environment, control and direction, as `Cell.variant`.
        """
        modes = self.modes
        found = dict.fromkeys(cell.variant for cell in self.cells)
        return sorted(found, key=lambda variant: modes.index(variant[0]))

    def observed(self, variant: tuple[str, str | None, str | None]) -> dict[tuple[str, str], str]:
        """Return the results in one variant.

        Parameters
        ----------
        variant : tuple
            Environment, control and direction, as `Cell.variant`.

        Returns
        -------
        dict of (str, str) to str
            The results by technique and foothold.
        """
        return {cell.place: cell.observed for cell in self.cells if cell.variant == variant}

    def effects(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        """Return the techniques that each control stops.

        Returns
        -------
        dict of (str, str) to set of (str, str)
            By control and direction: pairs of a technique and a foothold. With "on", those that
            were refused once the control was on; with "off", those that succeeded once it was off.
            The opposite effect, for example of a flip that opens a port, is not counted.
        """
        found: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for environment, control, direction in self.variants():
            if control is None or direction is None:
                continue
            plain = self.observed((environment, None, None))
            flipped = self.observed((environment, control, direction))
            change = (SUCCEEDED, REFUSED) if direction == "on" else (REFUSED, SUCCEEDED)
            found.setdefault((control, direction), set()).update(
                place for place, seen in flipped.items() if (plain.get(place), seen) == change
            )
        return found

    def to_json(self) -> str:
        """Return the cells as a JSON list, one cell on each line.

        Returns
        -------
        str
        """
        lines = (json.dumps(asdict(cell), ensure_ascii=False) for cell in self.cells)
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @classmethod
    def read(cls, path: Path | None = None) -> Matrix:
        """Read a file with the output of :meth:`to_json`.

        Parameters
        ----------
        path : pathlib.Path, optional
            The file; by default the truth matrix that comes with labkit (docs/matrix.json).

        Returns
        -------
        Matrix

        Raises
        ------
        ConfigError
            The file cannot be read, or is not a list of cells.

        Examples
        --------
        >>> len(Matrix.read().cells) > 1000
        True
        """
        path = path or docs_dir() / "matrix.json"
        try:
            rows: Any = json.loads(decode(read_bytes(path, path.name, MAX_MODEL), path.name))
            if not isinstance(rows, list):
                raise TypeError("it is not a list of cells")
            return cls(Cell(**row) for row in rows)
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{path} is not a truth matrix: {error}",
                hint=f"remove {path}, and run the command again",
            ) from error
