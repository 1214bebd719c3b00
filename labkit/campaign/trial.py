"""Try one configuration in a lab: verify every claim, try every technique, compare."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import techniques
from labkit.campaign.outcome import NO_START, OVER, REFUSED, Difference
from labkit.cluster import read_environment
from labkit.cluster.edits import Edit
from labkit.errors import ConfigError, LabkitError
from labkit.lab.bootstrap import units
from labkit.lab.parallel import checkpoint
from labkit.lab.wait import journal, telling
from labkit.matrix import Variant, try_cell
from labkit.matrix.cells import FOUND_OUT, UNPROBED
from labkit.model import Foothold, read_model
from labkit.techniques import Technique
from labkit.verification import Report, verify

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.model import Model

__all__ = ["Places", "Trial", "try_configuration"]

#: What to try: techniques and footholds, and channels and properties; None for everything.
Places = Collection[tuple[str, str]] | None
#: So many restarts by systemd during a trial mean that a unit does not stay up; a client may end
#: once when its connection is redirected. And the seconds between two looks.
RESTARTS, PAUSE_S = 3, 3.0
#: The most seconds for the claims and techniques of one configuration. What is left then is said.
MOST_S = 300.0
NOT_TRIED = "not tried"
#: What the apiserver answers to an object that it does not take.
REFUSAL = re.compile(
    r"Error from server \((Forbidden|Invalid|BadRequest)\)|is invalid:|strict decod"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a lab showed of one configuration.

    Attributes
    ----------
    stopped : str
        "does not start", "refused", or "" if the configuration was tried.
    reason : str
        Why it stopped.
    cells, claims : dict of str to int
        Their number by how they compare.
    differences, unprobed : tuple of Difference
    """

    stopped: str = ""
    reason: str = ""
    cells: dict[str, int] | None = None
    claims: dict[str, int] | None = None
    differences: tuple[Difference, ...] = ()
    unprobed: tuple[Difference, ...] = ()


def try_configuration(
    lab: Lab,
    edits: Sequence[Edit],
    only: Places = None,
    known: Iterable[Technique] | None = None,
    applied: bool = False,
) -> Trial:
    """Apply edits to a lab, verify its claims, and try the techniques from all their footholds.

    Parameters
    ----------
    lab : Lab
        A running lab that this process has locked. The edits stay; :meth:`Lab.apply` removes them.
    edits : sequence of Edit
        All edits of the configuration.
    only : collection of (str, str), optional
        The techniques and footholds, and the channels and properties, to try; by default all.
    known : iterable of Technique, optional
        The techniques; by default all.
    applied : bool
        The lab has these edits already.

    Returns
    -------
    Trial

    Raises
    ------
    LabkitError
        The lab is not up, or took no commands.
    """
    checkpoint()
    try:
        read_model(read_environment(lab.environment.folder, edits))
    except ConfigError as error:
        return Trial(REFUSED, f"labkit: {error.message}")
    if not applied:
        try:
            lab.apply(edits)
            lab.wait()
        except LabkitError as error:
            return _stopped(error)
    end = time.monotonic() + MOST_S
    before = _restarts(lab)
    model = read_model(lab.environment)
    report = _verified(lab, model, only)
    if failing := _failing(lab, before):
        return Trial(NO_START, failing)
    cells = _cells(lab, model, only, known, end)
    if failing := _failing(lab, before):
        return Trial(NO_START, failing)
    found = [*_of_claims(report), *cells]
    wanted = [it for it in found if only is None or it[1].place in only]
    return Trial(
        cells=_counts(word for word, it in cells if it.reason != OVER or word == NOT_TRIED),
        claims=_counts(row.verdict for row in report.rows),
        differences=tuple(it for word, it in wanted if word == "disagree"),
        unprobed=tuple(it for word, it in wanted if word == UNPROBED),
    )


def _stopped(error: LabkitError) -> Trial:
    """Return why a configuration could not be applied: it was refused, or something did not run."""
    text = " ".join((error.message, *error.evidence)).replace("\n", " ")
    if REFUSAL.search(text):
        return Trial(REFUSED, f"kube-apiserver: {text[-600:]}")
    return Trial(NO_START, ": ".join([error.message, *_last_words(error.evidence)]))


def _last_words(lines: Iterable[str]) -> list[str]:
    """Return the last complaint of a component, which systemd only says has ended."""
    return telling([line.strip() for line in lines if " systemd[" not in line], most=1)[:1]


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _verified(lab: Lab, model: Model, only: Places) -> Report:
    ids = None
    if only is not None:
        ids = [it.id for it in model.channels if any(it.id == what for what, _ in only)]
        if not ids:
            return Report([])
    return verify(lab, model, only=ids)


def _of_claims(report: Report) -> Iterator[tuple[str, Difference]]:
    for row in report.rows:
        found = Difference(row.channel, row.property, row.claimed, row.observed, row.reason)
        yield row.verdict, found


def _cells(
    lab: Lab, model: Model, only: Places, known: Iterable[Technique] | None, end: float
) -> list[tuple[str, Difference]]:
    places = [
        (technique, foothold)
        for technique in (techniques.values() if known is None else known)
        if not technique.why_not(lab.environment)
        for foothold in technique.footholds
        if only is None or (technique.name, str(foothold)) in only
    ]
    found = []
    for place in places:
        if time.monotonic() > end:
            break
        found.append(_cell(lab, model, *place))
    _repeat(lab, model, places, found, end)
    if left := len(places) - len(found):
        late = Difference("techniques", f"{left} cells", "", "", OVER)
        found += [(UNPROBED, late), *[(NOT_TRIED, late)] * left]
    return found


def _repeat(
    lab: Lab,
    model: Model,
    places: Sequence[tuple[Technique, Foothold]],
    found: list[tuple[str, Difference]],
    end: float,
) -> None:
    """Try cells without a result once more; of many with one cause, the others only if one has."""
    lasting = set()
    for at, (word, it) in enumerate(found):
        if word != UNPROBED or it.reason in lasting or time.monotonic() > end:
            continue
        found[at] = _cell(lab, model, *places[at])
        if found[at][0] == UNPROBED:
            lasting.add(it.reason)


def _cell(
    lab: Lab, model: Model, technique: Technique, foothold: Foothold
) -> tuple[str, Difference]:
    try:
        cell = try_cell(lab, model, Variant(lab.mode), technique, foothold, attempts=1)
    except Exception as error:
        # a fault of labkit itself is a finding of the campaign, and must not end it
        reason = f"{type(error).__name__}: {error}"
        return "disagree", Difference(technique.name, str(foothold), "", "a fault", reason)
    found = Difference(technique.name, str(foothold), cell.predicted, cell.observed, cell.reason)
    if cell.observed == UNPROBED:
        return UNPROBED, found
    if cell.predicted == "unknown":
        return FOUND_OUT, found
    return ("agree" if cell.agree else "disagree"), found


def _restarts(lab: Lab) -> dict[tuple[str, str], int | None]:
    """Return how often systemd restarted each unit by itself; None for one that is not active."""
    found: dict[tuple[str, str], int | None] = {}
    for node in lab.environment.nodes:
        if not (names := units(node)):
            continue
        ask = ["systemctl", "show", "--property=Id,ActiveState,NRestarts", *names]
        for block in lab.exec(node.name, ask).text.split("\n\n"):
            said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if "Id" in said:
                active = said["ActiveState"] == "active"
                found[node.name, said["Id"]] = int(said.get("NRestarts", 0)) if active else None
    return found


def _failing(lab: Lab, before: dict[tuple[str, str], int | None]) -> str:
    """Return a unit that does not stay up, and its last words; "" if all do."""
    now = _restarts(lab)
    if None in now.values():
        time.sleep(PAUSE_S)
        later = _restarts(lab)
        now = {unit: later[unit] if was is None else was for unit, was in now.items()}
    for (node, unit), number in now.items():
        if number is None or number - (before.get((node, unit)) or 0) >= RESTARTS:
            lines = journal(lab.container(node), unit, 400).splitlines()
            return ": ".join([f"{unit} on {node} does not stay up", *_last_words(lines)])
    return ""
