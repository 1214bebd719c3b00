"""The cells of the detection column: predicted events, events in the log, rules that fired."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.detection.observation import AGREE, DISAGREE, FOUND_OUT, UNPROBED
from labkit.errors import ConfigError
from labkit.tables import columns

__all__ = ["Detection", "DetectionCell"]

HEAD = (
    *("technique", "foothold", "flipped", "event predicted", "event seen", "rule fires"),
    "ordinary traffic",
)


@dataclass(frozen=True, slots=True)
class DetectionCell:
    """One technique from one foothold, in one mode or with one control flipped.

    Attributes
    ----------
    environment : str
        The mode.
    control, direction : str or None
        The flipped control, and "on" or "off"; None for no flip.
    foothold, technique : str
    outcome : {"succeeded", "refused", "unprobed"}
        How the attack ended.
    predicted : {"seen", "none", "unknown"}
        Whether it leaves an event in the audit log.
    observed : {"seen", "none", "unprobed"}
    verdict : {"agree", "disagree", "found out", "unprobed"}
        Whether the events in the log are those that were predicted, one by one.
    events : tuple of str
        The events in the log.
    reason : str
        What differs, or why there is no result.
    fires : tuple of str
        The rules that fire on the events of the attack.
    on_ordinary : tuple of str
        Those of them that fire on ordinary traffic as well.
    rules_run : bool
        Whether rules were run at all.

    Examples
    --------
    >>> cell = DetectionCell("hardened", None, None, "inside a pod", "pod-token", "refused",
    ...                      "none", "none", "agree", (), "", (), (), True)
    >>> cell.row[2:]
    ('', 'none', 'none', '-', '-')
    """

    environment: str
    control: str | None
    direction: str | None
    foothold: str
    technique: str
    outcome: str
    predicted: str
    observed: str
    verdict: str
    events: tuple[str, ...]
    reason: str
    fires: tuple[str, ...]
    on_ordinary: tuple[str, ...]
    rules_run: bool

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of a table, under :data:`HEAD`."""
        fires = ", ".join(self.fires) or "no"
        silent = ", ".join(self.on_ordinary) or "silent"
        if self.observed != "seen" or not self.rules_run:
            # without an event, no rule could
            fires = silent = "-"
        elif not self.fires:
            silent = "-"
        seen = self.observed if self.verdict != DISAGREE else f"{self.observed} (differs)"
        flip = f"{self.control} {self.direction}" if self.control else ""
        return self.technique, self.foothold, flip, self.predicted, seen, fires, silent


class Detection:
    """The cells of a run, in its order.

    Parameters
    ----------
    cells : iterable of DetectionCell
    loud : sequence of str
        The rules that fire on ordinary traffic, whether or not they fire on an attack.

    Examples
    --------
    >>> Detection([]).exit_code
    2
    """

    def __init__(self, cells: Iterable[DetectionCell], loud: Sequence[str] = ()) -> None:
        self.cells = tuple(cells)
        self.loud = tuple(loud)

    @classmethod
    def read(cls, path: Path) -> Detection:
        """Read a file of :meth:`to_json`.

        Parameters
        ----------
        path : Path

        Returns
        -------
        Detection

        Raises
        ------
        ConfigError
            The file cannot be read, or is something else.
        """
        try:
            rows = [
                {key: _frozen(value) for key, value in row.items()}
                for row in json.loads(path.read_text())
            ]
            return cls(DetectionCell(**row) for row in rows)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path} holds no cells of labkit detect: {error}",
                hint=f"labkit detect --mode hardened --json > {path}",
            ) from error

    @property
    def differences(self) -> tuple[DetectionCell, ...]:
        """The cells that disagree, and those without a result."""
        return tuple(it for it in self.cells if it.verdict in (DISAGREE, UNPROBED))

    @property
    def exit_code(self) -> int:
        """1 if a cell disagrees, else 2 if one is unprobed or there is no cell, else 0."""
        words = {it.verdict for it in self.cells}
        return 1 if DISAGREE in words else 2 if UNPROBED in words or not words else 0

    def summary(self) -> str:
        """Return one line with the counts.

        Returns
        -------
        str
        """
        counts = Counter(it.verdict for it in self.cells)
        words = [AGREE, DISAGREE, UNPROBED, *([FOUND_OUT] if counts[FOUND_OUT] else ())]
        parts = ", ".join(f"{counts[word]} {word}" for word in words)
        seen = [it for it in self.cells if it.observed == "seen"]
        text = f"{_cells(len(self.cells))}: {parts}; {len(seen)} left an event"
        if any(it.rules_run for it in self.cells):
            caught = sum(bool(it.fires) for it in seen)
            loud = sum(bool(it.on_ordinary) for it in seen)
            text += f", a rule fired on {caught} of them, and on ordinary traffic for {loud}"
        return text

    def table(self) -> str:
        """Return the cells as text with aligned columns.

        Returns
        -------
        str
        """
        rows = [HEAD, *(it.row for it in self.cells)]
        if not any(it.control for it in self.cells):
            rows = [(*row[:2], *row[3:]) for row in rows]
        return columns(rows[0], rows[1:])

    def to_json(self) -> str:
        """Return the cells as a JSON list, one cell on each line.

        Returns
        -------
        str
        """
        lines = (json.dumps(asdict(cell), ensure_ascii=False) for cell in self.cells)
        return "[\n" + ",\n".join(lines) + "\n]"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _cells(count: int, plural: Sequence[str] = ("cell", "cells")) -> str:
    return f"{count} {plural[count != 1]}"
