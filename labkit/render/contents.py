"""What a report says, before it is HTML or Markdown: the same in both."""

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

#: As many subjects of one finding are listed; the rest is counted.
SUBJECTS = 8
MEANINGS = {
    "open": "nothing is against it",
    "unknown": "the model does not say",
    "accepted": "somebody owns the risk",
    "residual": "it stays whatever is set, and is explained",
    "mitigated": "a setting is against it",
}
#: What shows a state beside its word, for who sees no colours.
SIGNS = {"open": "●", "unknown": "?", "accepted": "☑", "residual": "◐", "mitigated": "✓"}
CHAPTERS = {
    "reach": "What an attacker gets to",
    "flows": "Data flows",
    "difference": "The difference",
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
    """One model with all that was found about it.

    Attributes
    ----------
    model : Model
    findings : Findings
    paths : tuple of AttackPaths
        Each from one foothold to one goal, whether there is a path or not.
    """

    model: Model
    findings: Findings
    paths: tuple[AttackPaths, ...]

    @cached_property
    def drawing(self) -> Svg:
        """The model's data flows."""
        return svg(self.model)

    @cached_property
    def marks(self) -> PathMarks:
        """What of the model each step of a path is about."""
        return PathMarks(self.model)

    def picture(self, found: AttackPaths, name: str, base: str) -> str:
        """Return the cheapest of some attack paths on the model's data flows, as SVG.

        Parameters
        ----------
        found : AttackPaths
        name, base : str
            What the ids in it begin with, and the name of the drawing that lies underneath.
        """
        cheapest = found.paths[0]
        title = f"Attack path: {found.start} to {found.goal}"
        told = "; ".join(f"{n}. {step.name}" for n, step in enumerate(cheapest, start=1))
        return self.drawing.marked(self.marks.marks(cheapest), name, base, title, told)

    @property
    def size(self) -> str:
        """How much there is of everything."""
        model = self.model
        return (
            f"{len(model.components)} components, {len(model.channels)} channels, "
            f"{len(model.zones)} trust zones, {len(model.credentials)} credentials"
        )

    @property
    def open(self) -> str:
        """How many findings are open, and how grave they are."""
        counts = Counter(item.severity for item in self.findings.open)
        grave = ", ".join(f"{counts[level]} {level}" for level in reversed(LEVELS) if counts[level])
        number = sum(counts.values())
        if not number:
            return "No finding is open."
        are = "finding is" if number == 1 else "findings are"
        return f"{number} {are} open: {grave}."

    @property
    def others(self) -> str:
        """How many findings are in the other states."""
        counts = Counter(item.state for item in self.findings)
        said = [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
        return f"{', '.join(said)}." if said else ""

    @property
    def reached(self) -> str:
        """How many of the goals that were looked at are reached."""
        if not self.paths:
            return "No attack path was looked for."
        there = sum(map(bool, self.paths))
        pairs = f"{len(self.paths)} pairs of a foothold and a goal"
        return f"A path joins {there or 'none'} of {pairs}."


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One kind of finding at one or more subjects that have everything in common.

    Attributes
    ----------
    ids, subjects : tuple of str
    found : tuple of Finding or None
        One of them for each side; None where the side has no such subject.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    found: tuple[Finding | None, ...]

    @property
    def main(self) -> Finding:
        """The one that says most: of the states the worst."""
        there = [item for item in self.found if item is not None]
        return min(there, key=lambda item: STATES.index(item.state))

    @property
    def states(self) -> tuple[str, ...]:
        """The states that it has."""
        return tuple(dict.fromkeys(item.state for item in self.found if item is not None))

    @property
    def where(self) -> list[str]:
        """The subjects, or the first of them and how many more."""
        more = len(self.subjects) - SUBJECTS
        if more <= 1:
            return list(self.subjects)
        return [*self.subjects[:SUBJECTS], f"and {more} more"]

    @property
    def names(self) -> tuple[str, ...]:
        """What others call it: STRIDE, CWE, ATT&CK, and where it is written about."""
        main = self.main
        found = [", ".join(main.stride), *map(named, (*main.cwe, *main.attack)), *main.references]
        return tuple(name for name in found if name)


@dataclass(frozen=True, slots=True)
class ReachRow:
    """What is reached from one foothold: for each goal, on each side, the paths."""

    start: Foothold
    goals: tuple[tuple[AttackPaths | None, ...], ...]


@dataclass(frozen=True)
class Contents:
    """All that a report says.

    Attributes
    ----------
    sides : tuple of Side
    rows : tuple of FindingRow
        The worst first.
    """

    sides: tuple[Side, ...]
    rows: tuple[FindingRow, ...]

    @property
    def title(self) -> str:
        """The report's name."""
        return f"Threat model: {' and '.join(side.model.name for side in self.sides)}"

    @property
    def compares(self) -> bool:
        """Whether there are two models."""
        return len(self.sides) > 1

    @property
    def chapters(self) -> list[tuple[str, str]]:
        """The chapters that have something to say, each with its title."""
        empty = {"difference": not self.difference, "reach": not self.reach}
        empty["paths"] = empty["reach"]
        return [(key, title) for key, title in CHAPTERS.items() if not empty.get(key)]

    @property
    def legend(self) -> list[Look]:
        """How the protections look that are on a drawing."""
        used = {edge.protection for side in self.sides for edge in side.drawing.edges}
        return [look for name, look in PROTECTIONS.items() if name in used]

    @property
    def closed(self) -> tuple[FindingRow, ...]:
        """The rows that are mitigated on every side."""
        return tuple(row for row in self.rows if set(row.states) == {"mitigated"})

    @cached_property
    def goals(self) -> tuple[Foothold, ...]:
        """What attackers were after, in the order given."""
        return tuple(dict.fromkeys(it.goal for side in self.sides for it in side.paths))

    @cached_property
    def reach(self) -> tuple[ReachRow, ...]:
        """What is reached, foothold by foothold."""
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
        """Return the rows that have one of some states on any side."""
        return tuple(row for row in self.rows if set(states) & set(row.states))

    @property
    def difference(self) -> list[tuple[str, list[FindingRow]]]:
        """What became of the findings of the first side on the second."""
        groups: dict[str, list[FindingRow]] = {}
        for row in self.rows if len(self.sides) == 2 else ():
            before, after = ("" if it is None else it.state for it in row.found)
            if before == "open" and after != "open":
                gone = "Closed: its subject is gone" if not after else f"No longer open: {after}"
                groups.setdefault(gone, []).append(row)
            elif after == "open" and before != "open":
                groups.setdefault("New, and open", []).append(row)
            elif before == after == "open":
                groups.setdefault("Still open", []).append(row)
        return sorted(groups.items())


def contents(
    models: Sequence[Model],
    findings: Sequence[Findings],
    paths: Sequence[Iterable[AttackPaths]],
) -> Contents:
    """Put together what a report says.

    Parameters
    ----------
    models : sequence of Model
    findings : sequence of Findings
        One for each model.
    paths : sequence of iterable of AttackPaths
        For each model.

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
    """Return what a finding is about: its id says the port, too."""
    rule, _, where = item.id.partition("@")
    return where if rule == item.rule and where else item.subject


def _worst_first(row: FindingRow) -> tuple[int, int, str, str]:
    main = row.main
    return (STATES.index(main.state), -LEVELS.index(main.severity), main.rule, row.ids[0])
