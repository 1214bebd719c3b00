"""The board of a workshop: who has solved what, as it was proved on the trainer's machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docker.errors import APIError

from labkit.errors import LabBusy, LabkitError, NoSuchLab
from labkit.lab.light import full_form
from labkit.lab.parallel import in_parallel
from labkit.lab.progress import QuietReporter
from labkit.workshop import exercises
from labkit.workshop.definition import Exercise, Outcome
from labkit.workshop.edited import EditedLab
from labkit.workshop.engines import Place, WorkshopEngine, places
from labkit.workshop.flags import derive_flag
from labkit.workshop.ledger import Ledger, LedgerContent, Notice, Seat
from labkit.workshop.proofs import prove, read_claims
from labkit.workshop.records import Record

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "MARKS",
    "MEANINGS",
    "Board",
    "Cell",
    "Watch",
    "as_csv",
    "as_ctfd",
    "as_table",
    "no_workshop",
]

SOLVED, CLAIMED, REFUTED, TRIED, NOTHING, UNKNOWN = (
    "solved",
    "claimed",
    "not proved",
    "tried",
    "",
    "unknown",
)
MARKS: Mapping[str, str] = {
    SOLVED: "✓",
    CLAIMED: "c",
    REFUTED: "x",
    TRIED: "·",
    NOTHING: "",
    UNKNOWN: "?",
}
STYLES: Mapping[str, str] = {
    SOLVED: "bold green",
    CLAIMED: "yellow",
    REFUTED: "red",
    TRIED: "dim",
    NOTHING: "",
    UNKNOWN: "magenta",
}
MEANINGS: Mapping[str, str] = {
    SOLVED: "this board has proved it",
    CLAIMED: "the lab's record says so, and it is not proved yet",
    REFUTED: "the record says so, and the lab or the answer does not pass the check: check again",
    TRIED: "checked, and not solved",
    UNKNOWN: "the lab does not answer, or does not exist",
}
#: States of a check that say nothing about the lab, and how often they are tried again.
NO_RESULT, MOST_TRIES = ("unclear", "no-key"), 3


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one exercise of one participant.

    Parameters
    ----------
    state : str
        A key of :data:`MARKS`.
    detail : str
        The time of the proof, or the state that the proof found.
    """

    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """The state of a workshop at one time.

    Parameters
    ----------
    workshop : str
        The prefix of the names of its labs.
    participants : tuple of str
        The names of the labs.
    exercises : tuple of Exercise
        Those of the modes of its labs, by notebook.
    cells : mapping of (str, str) to Cell
        By the participant and the exercise's name.
    time : str
        When the labs were read (UTC).
    notice : Notice
        What the trainer told everybody last.
    """

    workshop: str
    participants: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    cells: Mapping[tuple[str, str], Cell]
    time: str = ""
    notice: Notice = field(default_factory=Notice)

    def cell(self, participant: str, exercise: str) -> Cell:
        """Return what is known of one exercise of one participant.

        Parameters
        ----------
        participant : str
        exercise : str
            The exercise's name.

        Returns
        -------
        Cell
        """
        return self.cells.get((participant, exercise), Cell(UNKNOWN))

    def solved(self, participant: str) -> int:
        """Return how many exercises of a participant are proved.

        Parameters
        ----------
        participant : str

        Returns
        -------
        int
        """
        states = [self.cell(participant, it.name).state for it in self.exercises]
        return states.count(SOLVED)

    @property
    def summary(self) -> str:
        """The counts in one line.

        Examples
        --------
        >>> Board("p", ("p01",), (), {}).summary
        '1 participant, 0 exercises: 0 solved, 0 claimed'
        """
        states = [cell.state for cell in self.cells.values()]
        people, tasks = len(self.participants), len(self.exercises)
        return (
            f"{people} participant{'s' * (people != 1)}, {tasks} exercise{'s' * (tasks != 1)}: "
            f"{states.count(SOLVED)} solved, {states.count(CLAIMED)} claimed"
        )


@dataclass(frozen=True, slots=True)
class _Claim:
    """An exercise that a lab claims to be solved, and that is not proved."""

    seat: Seat
    exercise: Exercise
    record: Record


@dataclass
class Watch:
    """Reads the labs of a workshop again and again, and proves what they claim.

    Parameters
    ----------
    workshop : str
        The prefix of the names of its labs.
    engines : sequence of WorkshopEngine
        Where its labs are.
    ledger : Ledger
        Keeps what was proved.
    at_once : int
        The most labs that are probed at the same time.
    """

    workshop: str
    engines: Sequence[WorkshopEngine]
    ledger: Ledger
    at_once: int = 1
    #: For each claim that was looked at, the record's count of checks then, how often it was
    #: looked at since, and the state that was found. The one that waits longest is the first.
    _looks: dict[tuple[Seat, str], tuple[int, int, str]] = field(default_factory=dict, init=False)
    #: The lab of each seat, with the identifier of its network.
    _labs: dict[Seat, tuple[str, EditedLab]] = field(default_factory=dict, init=False)

    def round(self, show: Callable[[Board], None]) -> Board:
        """Read every lab once, and prove what is claimed.

        All predictions and flags are judged, and the hardened labs that wait longest are probed,
        one each for as many labs as may be probed at once.

        Parameters
        ----------
        show : callable
            Gets the board whenever it has changed.

        Returns
        -------
        Board

        Raises
        ------
        NoSuchLab
            The workshop has no labs and no ledger.
        EngineError
            Docker Engine does not answer.
        """
        labs = places(self.engines, self.workshop)
        content = self.ledger.read()
        seats = sorted({*labs, *content.seats})
        if not seats:
            raise no_workshop(self.workshop)
        if not self._labs:  # the first time: show what was proved before, at once
            show(self._board(seats, {}, content))
        present = [seat for seat in seats if seat in labs]
        found = in_parallel(present, lambda seat: self._read(seat, labs[seat]))
        records = {seat: it for seat, it in zip(present, found, strict=True) if it is not None}
        show(self._board(seats, records, self.ledger.read()))
        for batch in self._batches(records, content):
            in_parallel(batch, lambda claim: self._prove(claim, labs, content))
            show(self._board(seats, records, self.ledger.read()))
        return self._board(seats, records, self.ledger.read())

    def settle(self, show: Callable[[Board], None]) -> Board:
        """Read the labs until no claim is left, or no claim can be judged now.

        Parameters
        ----------
        show : callable
            Gets the board whenever it has changed.

        Returns
        -------
        Board
        """
        board = self.round(show)
        while any(cell.state == CLAIMED for cell in board.cells.values()):
            before, board = board, self.round(show)
            if before.cells == board.cells:
                break
        return board

    def _read(self, seat: Seat, place: Place) -> dict[str, Record] | None:
        """Return the claims of a lab; None if it does not answer."""
        known, lab = self._labs.get(seat, ("", None))
        try:
            if lab is None or known != place.network:  # it was made again
                client = place.engine.client
                lab = EditedLab(seat.mode, name=seat.name, client=client, reporter=QuietReporter())
            claims = read_claims(lab)
        except (LabkitError, APIError):
            self._labs.pop(seat, None)
            return None
        self._labs[seat] = place.network, lab
        return claims

    def _batches(
        self, records: Mapping[Seat, Mapping[str, Record]], content: LedgerContent
    ) -> list[list[_Claim]]:
        """Return the claims to prove now; those of one batch are proved at once."""
        claims = [
            _Claim(seat, exercises[name], record)
            for seat, kept in records.items()
            for name, record in kept.items()
            if record.solved
            and name in exercises
            and exercises[name].mode == full_form(seat.mode)
            and name not in content.proved.get(seat, {})
            and self._may_look(seat, name, record)
        ]
        quick = [[it] for it in claims if it.exercise.kind != "harden"]
        order = list(self._looks)
        live = [it for it in claims if it.exercise.kind == "harden"]
        live.sort(key=lambda it: _place(order, (it.seat, it.exercise.name)))
        of_each = {it.seat: it for it in reversed(live)}  # a lab is probed once at a time
        chosen = [it for it in live if of_each[it.seat] is it][: self.at_once]
        return [*quick, *([chosen] if chosen else [])]

    def _may_look(self, seat: Seat, name: str, record: Record) -> bool:
        """Say whether a claim is new, was checked again, or had no result yet."""
        tries, looks, _ = self._looks.get((seat, name), (-1, 0, ""))
        return tries != record.tries or looks < MOST_TRIES

    def _prove(self, claim: _Claim, labs: Mapping[Seat, Place], content: LedgerContent) -> None:
        place, lab = (claim.seat, claim.exercise.name), labs[claim.seat]
        before = self._looks.pop(place, (-1, 0, ""))
        looks = before[1] if before[0] == claim.record.tries else 0
        key = content.keys.get((claim.seat, lab.network))
        try:
            outcome = prove(claim.exercise, claim.record, claim.seat, lab.engine.client, key)
        except LabBusy:  # the participant works in the lab: look again later
            self._looks[place] = claim.record.tries, looks, "busy"
            return
        except LabkitError:
            outcome = Outcome("unclear")
        if outcome.solved:
            self.ledger.add_proof(claim.seat, claim.exercise.name, _now())
            return
        looks = looks + 1 if outcome.state in NO_RESULT else MOST_TRIES
        self._looks[place] = claim.record.tries, looks, outcome.state

    def _board(
        self,
        seats: Sequence[Seat],
        records: Mapping[Seat, Mapping[str, Record]],
        content: LedgerContent,
    ) -> Board:
        modes = {full_form(seat.mode) for seat in seats}
        shown = sorted(
            (it for it in exercises.values() if it.mode in modes),
            key=lambda it: (it.notebook, it.name),
        )
        cells = {
            (seat.name, it.name): self._cell(seat, it.name, records.get(seat), content)
            for seat in seats
            for it in shown
            if it.mode == full_form(seat.mode)
        }
        people = tuple(dict.fromkeys(seat.name for seat in seats))
        return Board(self.workshop, people, tuple(shown), cells, _now(), content.notice)

    def _cell(
        self,
        seat: Seat,
        name: str,
        records: Mapping[str, Record] | None,
        content: LedgerContent,
    ) -> Cell:
        if time := content.proved.get(seat, {}).get(name):
            return Cell(SOLVED, time)
        if records is None:
            return Cell(UNKNOWN)
        record = records.get(name, Record())
        if not record.solved:
            return Cell(TRIED if record.tries > 0 else NOTHING)
        tries, looks, state = self._looks.get((seat, name), (-1, 0, ""))
        if tries == record.tries and looks >= MOST_TRIES:
            return Cell(REFUTED, state)
        return Cell(CLAIMED, state)


def _place(order: Sequence[tuple[Seat, str]], claim: tuple[Seat, str]) -> int:
    """Return where a claim stands in the queue: first those that were never looked at."""
    return order.index(claim) if claim in order else -1


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def no_workshop(workshop: str) -> NoSuchLab:
    """Return the error of a command for a workshop that has no labs.

    Parameters
    ----------
    workshop : str
        The prefix of the names of its labs.

    Returns
    -------
    NoSuchLab

    Examples
    --------
    >>> no_workshop("p").message
    "there is no workshop 'p' on this engine"
    """
    return NoSuchLab(
        f"there is no workshop {workshop!r} on this engine",
        hint=f"labkit workshop up --participants 12 --prefix {workshop}",
    )


def as_table(board: Board, *, begun: bool = False) -> Table:
    """Return a board as a table for a terminal.

    Parameters
    ----------
    board : Board
    begun : bool
        Leave out the exercises that nobody has checked, so that the table fits a screen.

    Returns
    -------
    rich.table.Table
        One row for each exercise, and one column for each participant.
    """
    from rich.table import Table
    from rich.text import Text

    legend = "   ".join(f"{MARKS[state]} {state}" for state in MEANINGS)
    notice = [Text(f"{board.notice}\n", "bold")] if board.notice.text else []
    table = Table(
        title=Text.assemble(*notice, f"{board.summary}   {board.time}"),
        caption=Text(legend),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("exercise", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for name in board.participants:
        table.add_column(Text(name), justify="center", no_wrap=True)
    for it in board.exercises:
        cells = [board.cell(name, it.name) for name in board.participants]
        if begun and all(cell.state in (NOTHING, UNKNOWN) for cell in cells):
            continue
        marks = [Text(MARKS[cell.state], STYLES[cell.state]) for cell in cells]
        table.add_row(Text(it.name), Text(it.kind), *marks)
    table.add_section()
    table.add_row("solved", "", *(str(board.solved(name)) for name in board.participants))
    return table


def as_csv(board: Board) -> str:
    r"""Return a board as CSV, with one row for each exercise of each participant.

    Parameters
    ----------
    board : Board

    Returns
    -------
    str

    Examples
    --------
    >>> as_csv(Board("p", (), (), {}))
    'participant,notebook,exercise,kind,result,proved\n'
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("participant", "notebook", "exercise", "kind", "result", "proved"))
    for name in board.participants:
        for it in board.exercises:
            cell = board.cell(name, it.name)
            proved = cell.detail if cell.state == SOLVED else ""
            writer.writerow((name, it.notebook, it.name, it.kind, cell.state, proved))
    return stream.getvalue()


def as_ctfd(content: LedgerContent, labs: Mapping[Seat, Place]) -> str:
    """Return the attack exercises of a workshop as CSV that CTFd imports as challenges.

    Each lab has a flag of its own, and CTFd takes any flag of a challenge from any participant.

    Parameters
    ----------
    content : LedgerContent
        The keys of the labs.
    labs : mapping of Seat to Place
        The labs that are up.

    Returns
    -------
    str
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("name", "category", "description", "value", "type", "state", "flags"))
    for it in exercises.values():
        keys = [
            key
            for (seat, network), key in sorted(content.keys.items())
            if full_form(seat.mode) == it.mode and seat in labs and labs[seat].network == network
        ]
        if it.kind == "attack" and keys:
            flags = ",".join(derive_flag(bytes.fromhex(key), it.name) for key in keys)
            about = (f"{it.name}: {it.title}", it.notebook, it.task.strip())
            writer.writerow((*about, 100, "standard", "visible", flags))
    return stream.getvalue()
