"""The contents of a report, for its HTML and its Markdown form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from labkit.analysis.findings.finding import LEVELS, STATES, Finding, Findings
from labkit.catalog import named
from labkit.model import Foothold, Model
from labkit.render.groups import PROTECTIONS, Look
from labkit.render.path_marks import PathMarks
from labkit.render.svg import Svg, svg

if TYPE_CHECKING:
    from labkit.analysis import AttackPaths

__all__ = ["MEANINGS", "SIGNS", "Contents", "FindingRow", "ReachRow", "Side", "contents"]

#: Most subjects that one finding lists; it counts the rest.
SUBJECTS = 8
MEANINGS = {
    "open": "no setting prevents it",
    "unknown": "the model does not say whether a setting prevents it",
    "accepted": "somebody has accepted the risk",
    "residual": "no setting can remove it; the report explains why",
    "mitigated": "a setting prevents it",
}
#: The sign of each state, for readers who do not see colours.
SIGNS = {"open": "●", "unknown": "?", "accepted": "☑", "residual": "◐", "mitigated": "✓"}
CHAPTERS = {
    "reach": "What an attacker can reach",
    "flows": "Data flows",
    "difference": "What changed",
    "findings": "Findings",
    "residual": "Residual and accepted risks",
    "paths": "Attack paths",
    "channels": "Channels",
    "credentials": "Credentials",
    "unknowns": "Unknowns",
    "reading": "How to read this",
}


@dataclass(frozen=True)
class Side:
    """One model with its findings and its attack paths.

    Attributes
    ----------
    model : Model
    findings : Findings
    paths : tuple of AttackPaths
        One for each foothold and goal, even if it holds no path.
    """

    model: Model
    findings: Findings
    paths: tuple[AttackPaths, ...]

    @cached_property
    def drawing(self) -> Svg:
        """The picture of the model's data flows."""
        return svg(self.model)

    @cached_property
    def marks(self) -> PathMarks:
        """Finds the channels and components of each step of a path."""
        return PathMarks(self.model)

    def picture(self, found: AttackPaths, name: str, base: str) -> str:
        """Return the cheapest attack path, drawn over the model's data flows, as SVG.

        Parameters
        ----------
        found : AttackPaths
            At least one path.
        name : str
            Prefix of the ids in the picture.
        base : str
            The name of the picture of the data flows on the same page.

        Returns
        -------
        str
        """
        cheapest = found.paths[0]
        title = f"Attack path: {found.start} to {found.goal}"
        steps = "; ".join(f"{n}. {step.name}" for n, step in enumerate(cheapest, start=1))
        return self.drawing.marked(self.marks.marks(cheapest), name, base, title, steps)

    @property
    def size(self) -> str:
        """The numbers of components, channels, trust zones and credentials."""
        model = self.model
        return (
            f"{len(model.components)} components, {len(model.channels)} channels, "
            f"{len(model.zones)} trust zones, {len(model.credentials)} credentials"
        )

    @property
    def open(self) -> str:
        """The number of open findings, by severity."""
        counts = Counter(item.severity for item in self.findings.open)
        levels = ", ".join(f"{counts[it]} {it}" for it in reversed(LEVELS) if counts[it])
        number = sum(counts.values())
        if not number:
            return "No finding is open."
        are = "finding is" if number == 1 else "findings are"
        return f"{number} {are} open: {levels}."

    @property
    def others(self) -> str:
        """The number of findings in each other state."""
        counts = Counter(item.state for item in self.findings)
        numbers = [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
        return f"{', '.join(numbers)}." if numbers else ""

    @property
    def reached(self) -> str:
        """The number of pairs of a foothold and a goal that have an attack path."""
        if not self.paths:
            return "Attack paths were not computed."
        known = sum(bool(it.paths) for it in self.paths)
        possible = sum(bool(it.possible) for it in self.paths)
        more = f", and may exist for {possible} more" if possible else ""
        pairs = f"{len(self.paths)} pairs of a foothold and a goal"
        return f"Attack paths exist for {known} of {pairs}{more}."


@dataclass(frozen=True)
class FindingRow:
    """One row for all findings that differ only in their subject.

    Attributes
    ----------
    ids, subjects : tuple of str
    found : tuple of Finding or None
        For each side, one of its findings; None if the side has no such subject.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    found: tuple[Finding | None, ...]

    @cached_property
    def main(self) -> Finding:
        """The finding with the worst state."""
        there = [item for item in self.found if item is not None]
        return min(there, key=lambda item: STATES.index(item.state))

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The states of the findings, without duplicates."""
        return tuple(dict.fromkeys(item.state for item in self.found if item is not None))

    @property
    def where(self) -> list[str]:
        """The subjects; if there are many, the first ones and the number of the others."""
        more = len(self.subjects) - SUBJECTS
        if more <= 1:
            return list(self.subjects)
        return [*self.subjects[:SUBJECTS], f"and {more} more"]

    @property
    def names(self) -> tuple[str, ...]:
        """Its classification: STRIDE, CWE and ATT&CK, then references."""
        main = self.main
        found = [", ".join(main.stride), *map(named, (*main.cwe, *main.attack)), *main.references]
        return tuple(name for name in found if name)


@dataclass(frozen=True, slots=True)
class ReachRow:
    """The attack paths from one foothold.

    Attributes
    ----------
    start : Foothold
    goals : tuple of tuple of AttackPaths or None
        For each goal, the paths on each side; None if they were not computed.
    """

    start: Foothold
    goals: tuple[tuple[AttackPaths | None, ...], ...]


@dataclass(frozen=True)
class Contents:
    """The contents of a report.

    Attributes
    ----------
    sides : tuple of Side
        One for each model.
    rows : tuple of FindingRow
        The worst first.
    """

    sides: tuple[Side, ...]
    rows: tuple[FindingRow, ...]

    @property
    def title(self) -> str:
        """The title of the report."""
        return f"Threat model: {' and '.join(side.model.name for side in self.sides)}"

    @property
    def compares(self) -> bool:
        """Whether the report compares models."""
        return len(self.sides) > 1

    @property
    def chapters(self) -> list[tuple[str, str]]:
        """The key and the title of each chapter that is not empty."""
        empty = {"difference": not self.difference, "reach": not self.reach}
        empty["paths"] = empty["reach"]
        return [(key, title) for key, title in CHAPTERS.items() if not empty.get(key)]

    @property
    def legend(self) -> list[Look]:
        """The line of each protection that a picture shows."""
        used = {edge.protection for side in self.sides for edge in side.drawing.edges}
        return [look for name, look in PROTECTIONS.items() if name in used]

    @property
    def closed(self) -> tuple[FindingRow, ...]:
        """The rows that are mitigated on every side."""
        return tuple(row for row in self.rows if set(row.states) == {"mitigated"})

    @cached_property
    def goals(self) -> tuple[Foothold, ...]:
        """The goals of attackers, in the given order."""
        return tuple(dict.fromkeys(it.goal for side in self.sides for it in side.paths))

    @cached_property
    def reach(self) -> tuple[ReachRow, ...]:
        """The attack paths by foothold."""
        known = [{(it.start, it.goal): it for it in side.paths} for side in self.sides]
        starts = dict.fromkeys(it.start for side in self.sides for it in side.paths)
        return tuple(
            ReachRow(
                start,
                tuple(tuple(each.get((start, goal)) for each in known) for goal in self.goals),
            )
            for start in starts
        )

    def state(self, *states: str) -> tuple[FindingRow, ...]:
        """Return the rows that have one of the states on any side.

        Parameters
        ----------
        *states : {"open", "unknown", "accepted", "residual", "mitigated"}

        Returns
        -------
        tuple of FindingRow
        """
        return tuple(row for row in self.rows if set(states) & set(row.states))

    @property
    def difference(self) -> list[tuple[str, list[FindingRow]]]:
        """The rows that are open on one of two sides, by what changed from first to second."""
        groups: dict[str, list[FindingRow]] = {}
        for row in self.rows if len(self.sides) == 2 else ():
            before, after = ("" if it is None else it.state for it in row.found)
            if before == "open" and after != "open":
                gone = f"No longer open: {after or 'its subject no longer exists'}"
                groups.setdefault(gone, []).append(row)
            elif after == "open" and before != "open":
                groups.setdefault("Newly open", []).append(row)
            elif before == after == "open":
                groups.setdefault("Still open", []).append(row)
        return sorted(groups.items())


def contents(
    models: Sequence[Model],
    findings: Sequence[Findings],
    paths: Sequence[Iterable[AttackPaths]],
) -> Contents:
    """Return the contents of a report.

    Parameters
    ----------
    models : sequence of Model
    findings : sequence of Findings
        One for each model.
    paths : sequence of iterable of AttackPaths
        For each model, one for each foothold and goal.

    Returns
    -------
    Contents

    Raises
    ------
    ValueError
        The three sequences differ in length.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> contents([model], [find_threats(model)], [[]]).sides[0].open
    'No finding is open.'
    """
    sides = tuple(
        Side(*each[:2], tuple(each[2])) for each in zip(models, findings, paths, strict=True)
    )
    return Contents(sides, tuple(_rows(sides)))


def _rows(sides: Sequence[Side]) -> Iterable[FindingRow]:
    known = [{item.id: item for item in side.findings} for side in sides]
    alike: dict[tuple[object, ...], list[str]] = {}
    for key in dict.fromkeys(key for each in known for key in each):
        found = [each.get(key) for each in known]
        same = tuple(
            it
            and (it.rule, it.state, it.claim, it.severity, it.control, it.technique, it.explanation)
            for it in found
        )
        alike.setdefault(same, []).append(key)
    rows = []
    for keys in alike.values():
        there = [next(each[key] for each in known if key in each) for key in keys]
        subjects = tuple(dict.fromkeys(sorted(map(_where, there))))
        rows.append(
            FindingRow(tuple(sorted(keys)), subjects, tuple(each.get(keys[0]) for each in known))
        )
    return sorted(rows, key=_worst_first)


def _where(item: Finding) -> str:
    """Return the subject of a finding, with its port if the id names one."""
    rule, _, where = item.id.partition("@")
    return where if rule == item.rule and where else item.subject


def _worst_first(row: FindingRow) -> tuple[int, int, str, str]:
    main = row.main
    return (STATES.index(main.state), -LEVELS.index(main.severity), main.rule, row.ids[0])
