"""The result of a verification: one row for each property of each channel."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from labkit.model import PROPERTIES
from labkit.tables import Cells, columns, html

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["FOUND_OUT", "Report", "Row", "verdict_on"]

#: What was found out of a claim that the model does not know.
FOUND_OUT = "found out"
MARK = {
    "agree": "agree",
    "disagree": "DISAGREE",
    "unprobed": "unprobed",
    FOUND_OUT: FOUND_OUT,
}
COLOUR = {"agree": "green", "disagree": "bold red", "unprobed": "yellow", FOUND_OUT: "cyan"}


def verdict_on(claimed: str, observed: str) -> str:
    """Return how what a lab showed compares with a claim of the model.

    Parameters
    ----------
    claimed, observed : str
        Values in the vocabulary of the model.

    Returns
    -------
    {"agree", "disagree", "found out"}

    Examples
    --------
    >>> verdict_on("none", "none"), verdict_on("none", "tls1.3"), verdict_on("unknown", "none")
    ('agree', 'disagree', 'found out')
    """
    if claimed == observed:
        return "agree"
    return FOUND_OUT if claimed == "unknown" else "disagree"


def _cell(row: Row) -> str:
    if row.verdict == "agree":
        return row.claimed
    if row.verdict == FOUND_OUT:
        return f"{row.claimed}: {row.observed}"
    return f"{row.claimed} ≠ {row.observed or '?'}"


@dataclass(frozen=True, slots=True)
class Row:
    """One claim of the model, and what the lab showed.

    Attributes
    ----------
    mode, channel, property : str
        The lab's mode, the channel's id and the property of the claim.
    claimed : str
        The value in the model.
    source : str
        The file and line that the model read it from.
    observed : str
        The value in the lab, in the vocabulary of the model; "" if it could not be probed.
    reason : str
        The evidence: an HTTP status, a TLS alert, bytes on the wire.
    control : str
        The answer that the legitimate client got, if another client was refused.
    verdict : {"agree", "disagree", "unprobed", "found out"}
        "found out" if the model does not know the value.

    Examples
    --------
    >>> claim = ("hardened", "a@n -> b@n:1", "server_authentication", "verified", "a.service:3")
    >>> Row(*claim, "verified", "TLS alert: unknown ca", "", "agree").verdict
    'agree'
    """

    mode: str
    channel: str
    property: str
    claimed: str
    source: str
    observed: str
    reason: str
    control: str
    verdict: str


class Report:
    """All rows of a verification.

    Parameters
    ----------
    rows : iterable of Row
        The rows, in the order of the model.

    Examples
    --------
    >>> row = Row("insecure", "a -> b:1", "encryption", "none", "", "none", "HTTP 200", "", "agree")
    >>> print(Report([row]).summary())
    1 claim: 1 agree, 0 disagree, 0 unprobed
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)

    def __add__(self, other: Report) -> Report:
        return Report([*self.rows, *other.rows])

    def __repr__(self) -> str:
        return "\n".join([self._plain(), self.summary()])

    def select(self, **wanted: str) -> Report:
        """Return the rows whose attributes contain the given texts.

        Parameters
        ----------
        **wanted : str
            A text for each attribute: ``verdict="disagree"``, ``channel="kubelet@worker1"``.

        Returns
        -------
        Report

        Raises
        ------
        AttributeError
            A row has no such attribute.
        """
        return Report(r for r in self.rows if all(v in getattr(r, k) for k, v in wanted.items()))

    @property
    def disagree(self) -> tuple[Row, ...]:
        """The rows in which the lab differs from the model."""
        return tuple(row for row in self.rows if row.verdict == "disagree")

    @property
    def unprobed(self) -> tuple[Row, ...]:
        """The rows that could not be probed."""
        return tuple(row for row in self.rows if row.verdict == "unprobed")

    @property
    def exit_code(self) -> int:
        """1 if a row disagrees, else 2 if a row is unprobed or there are no rows, else 0."""
        return 1 if self.disagree else 2 if self.unprobed or not self.rows else 0

    def summary(self) -> str:
        """Return one line with the counts.

        Returns
        -------
        str
        """
        counts = Counter(row.verdict for row in self.rows)
        words = [verdict for verdict in MARK if verdict != FOUND_OUT or counts[verdict]]
        parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in words)
        return f"{len(self.rows)} {'claim' if len(self.rows) == 1 else 'claims'}: {parts}"

    def to_json(self) -> str:
        """Return the rows as a JSON list.

        Returns
        -------
        str
        """
        return json.dumps([asdict(row) for row in self.rows], indent=2)

    def table(self) -> Table:
        """Return the rows as a table for a terminal: one line for each channel.

        Returns
        -------
        rich.table.Table
        """
        from rich.table import Table

        table = Table(title=self.summary(), title_justify="left", title_style="bold")
        table.add_column("mode")
        table.add_column("channel", overflow="fold", ratio=1)
        for name in PROPERTIES:
            table.add_column(name.replace("_", "\n"))
        for (mode, channel), rows in self._channels().items():
            cells = {row.property: f"[{COLOUR[row.verdict]}]{_cell(row)}[/]" for row in rows}
            of_channel = [cells.pop(name, "") for name in PROPERTIES]
            if any(of_channel):
                table.add_row(mode, channel, *of_channel)
            for name, cell in cells.items():
                table.add_row(mode, f"{channel}: {name}: {cell}")
        return table

    def differences(self) -> str:
        """Return a paragraph for each row that does not agree, or that the model did not know.

        Returns
        -------
        str
        """
        return "\n".join(
            f"{MARK[row.verdict]}: {row.mode}, {row.channel}, {row.property.replace('_', ' ')}: "
            f"claimed {row.claimed}, observed {row.observed or 'nothing'}\n"
            f"  why: {row.reason}\n  claimed by: {row.source}"
            for row in (*self.disagree, *self.unprobed, *self.select(verdict=FOUND_OUT).rows)
        )

    def _channels(self) -> dict[tuple[str, str], list[Row]]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.mode, row.channel), []).append(row)
        return found

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.mode,
                row.channel,
                row.property.replace("_", " "),
                row.claimed,
                row.observed,
                row.reason,
                MARK[row.verdict],
            )
            for row in self.rows
        ]

    def _plain(self) -> str:
        head = ("mode", "channel", "property", "claimed", "observed", "why", "verdict")
        return columns(head, self._cells())

    def _repr_html_(self) -> str:
        head = ("mode", "channel", "property", "claimed", "observed", "why", "verdict")
        colours = {
            "agree": "#1a7f37",
            "DISAGREE": "#cf222e",
            "unprobed": "#9a6700",
            FOUND_OUT: "#0969da",
        }
        rows: list[Cells] = [
            [*cells[:-1], (cells[-1], f"color:{colours[cells[-1]]};font-weight:600")]
            for cells in self._cells()
        ]
        return html(head, rows, self.summary())
