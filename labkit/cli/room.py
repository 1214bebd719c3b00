"""``labkit workshop up | down | board | say | doctor``: the labs of a room full of people."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._files import not_written
from labkit.cli._messages import reporter, say
from labkit.cli._options import BOTH, Modes, NoWait, Quiet, Retain, patience

if TYPE_CHECKING:
    from labkit.workshop.board import Board
    from labkit.workshop.engines import WorkshopEngine
    from labkit.workshop.ledger import Ledger

__all__ = ["board", "doctor", "down", "tell", "up"]

#: Seconds between two looks at the labs.
PAUSE_S = 3.0

Participants = Annotated[
    int,
    typer.Option("--participants", "-n", metavar="N", help="The number of participants: 1 to 99."),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--prefix",
        metavar="NAME",
        help="The workshop: its labs have this name and two digits. Default: p, for p01, p02 ...",
    ),
]
Contexts = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="CONTEXT",
        help="A Docker context (docker context ls) over whose engine the labs are spread; can be "
        "repeated. Default: the engine that DOCKER_HOST or the current context names.",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="PORT",
        min=0,
        max=65535,
        help="The port of the page on 127.0.0.1; 0 for any free port. Default: 8377.",
    ),
]


def up(
    participants: Participants,
    mode: Modes = None,
    context: Contexts = None,
    prefix: Prefix = "p",
    retain: Retain = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Bring up a lab in each mode for each participant, a few at a time.

    First it checks that all labs fit into the memory of the engines. A lab that is up stays
    unchanged. The other commands of the workshop remember the contexts.
    """
    from labkit.workshop.room import open_room

    try:
        started = open_room(
            prefix,
            participants,
            mode or BOTH,
            context or (),
            reporter=reporter(quiet),
            retain=retain,
            wait_s=patience(no_wait),
        )
    except KeyboardInterrupt:
        say(
            "labs that are up stay up; next: labkit workshop up again, which brings up the others, "
            f"or labkit workshop down --prefix {prefix}"
        )
        raise
    for lab, timings, at in started:
        detail = f"up in {timings.seconds:.1f} s" if timings.steps else "is already up"
        where = f", on {at}" if at else ""
        say(f"lab {lab.name} ({lab.mode}) {detail}{where}", quiet=quiet)
    first, _, at = started[0]
    where = f" and DOCKER_CONTEXT={at}" if at else ""
    say(
        f"a participant chooses their lab with LABKIT_NAME={first.name}{where}; "
        f"next: labkit workshop board --prefix {prefix}",
        quiet=quiet,
    )


def down(
    prefix: Prefix = "p",
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not wait for a process that changes a lab."),
    ] = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Remove the labs that labkit workshop up made with this prefix, and no other lab.

    The results stay: labkit workshop board shows them until the next workshop with this prefix.
    """
    from labkit.workshop.room import remove_room

    removed = remove_room(prefix, reporter=reporter(quiet), force=force, wait_s=patience(no_wait))
    if not removed:
        say(f"there are no labs of the workshop {prefix!r}", quiet=quiet)
    for seat, count in removed.items():
        say(f"lab {seat.name} ({seat.mode}): {count} parts removed", quiet=quiet)


def board(
    prefix: Prefix = "p",
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Prove what is claimed, print the board and exit; so does a pipe."
        ),
    ] = False,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve the board as a page on 127.0.0.1 as well."),
    ] = False,
    port: Port = 8377,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write the results as CSV, again and again."),
    ] = None,
    ctfd: Annotated[
        Path | None,
        typer.Option(
            "--ctfd",
            metavar="FILE",
            help="Write the attack exercises with their flags as CSV for CTFd, and exit.",
        ),
    ] = None,
) -> None:
    """Show who has solved what, proved on this machine, until Ctrl-C.

    A record in a participant's lab is a claim: the board checks it itself before it shows it as
    solved. A check takes the lab for some seconds.
    """
    from labkit.workshop import board as boards
    from labkit.workshop.engines import places
    from labkit.workshop.ledger import ledger_of
    from labkit.workshop.room import names_of

    names_of(prefix, 1)
    ledger = ledger_of(prefix)
    engines = _engines(ledger)
    if ctfd is not None:
        text = boards.as_ctfd(ledger.read(), places(engines, prefix))
        _write(ctfd, text)
        say(f"written: {ctfd}")
        return
    at_once = max(1, sum(engine.processors for engine in engines) // 2)
    watch = boards.Watch(prefix, engines, ledger, at_once)
    live = sys.stdout.isatty() and not once
    with contextlib.ExitStack() as stack:
        shows: list[Callable[[Board], None]] = []
        if csv is not None:
            shows.append(lambda board: _write(csv, boards.as_csv(board)))
        if serve:
            shows.append(stack.enter_context(_page(port)))
        if live:
            shows.append(stack.enter_context(_screen()))

        def show(board: Board) -> None:
            for each in shows:
                each(board)

        while live or (serve and not once):  # until a signal ends it
            watch.round(show)
            time.sleep(PAUSE_S)
        found = watch.settle(show)
        from rich.console import Console

        # A pipe has no width; this one is wide enough for 99 participants.
        Console(width=None if sys.stdout.isatty() else 500).print(boards.as_table(found))


def _engines(ledger: Ledger) -> list[WorkshopEngine]:
    """Return the engines of a workshop that answer, and name the others."""
    from labkit.workshop.engines import reachable

    found, silent = reachable(ledger.read().contexts)
    for error in silent:
        say(f"{error.message}: its labs are unknown")
    return found


@contextlib.contextmanager
def _page(port: int) -> Iterator[Callable[[Board], None]]:
    from labkit.workshop.board_page import serving

    with serving(port) as (url, show):
        say(f"the board: {url}")
        yield show


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Board], None]]:
    """Show the board on the terminal, and replace it in place."""
    from rich.live import Live

    from labkit.workshop.board import as_table

    with Live(auto_refresh=False) as screen:
        yield lambda board: screen.update(as_table(board, begun=True), refresh=True)


def _write(file: Path, text: str) -> None:
    """Replace a file that only this user can read: flags are in it, or people's results."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise not_written(file, error) from error


def tell(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='One line; "" takes it back.')],
    until: Annotated[
        str,
        typer.Option(metavar="HH:MM", help="When something ends, by the clock on your wall."),
    ] = "",
    prefix: Prefix = "p",
    quiet: Quiet = False,
) -> None:
    """Tell all participants something: on the board, and below their next %check or %progress.

    Exit status: 0 if it reached every lab, 1 if it did not.
    """
    from labkit.workshop import notices
    from labkit.workshop.board import no_workshop
    from labkit.workshop.engines import places, reachable
    from labkit.workshop.ledger import ledger_of
    from labkit.workshop.room import names_of

    names_of(prefix, 1)
    notice, ledger = notices.checked(text, until), ledger_of(prefix)
    engines, silent = reachable(ledger.read().contexts)
    labs = places(engines, prefix)
    if not labs:
        raise no_workshop(prefix)
    reached = notices.tell(labs, notice, ledger)
    missed = {seat: why for seat, why in reached.items() if why}
    for seat, why in missed.items():
        say(f"not told: lab {seat.name} ({seat.mode}): {why}")
    for error in silent:
        say(f"not told: {error.message}")
    say(f"told {len(reached) - len(missed)} of {len(reached)} labs", quiet=quiet)
    raise typer.Exit(1 if missed or silent else 0)


def doctor(
    participants: Participants = 12,
    mode: Modes = None,
    context: Contexts = None,
    prefix: Prefix = "p",
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The archive for the participants, to be checked too."),
    ] = None,
    port: Port = 8377,
) -> None:
    """Check everything that a workshop needs on this machine, the evening before.

    Exit status: 0 if nothing is wrong, 1 if something is; unknown is not wrong.
    """
    from labkit.workshop.readiness import readiness

    modes = list(dict.fromkeys(mode or BOTH))
    found = readiness(participants, modes, prefix, bundle, port, context or ())
    for it in found:
        typer.echo(f"{it.verdict:<7}  {it.name}: {it.detail}")
        if it.fix:
            typer.echo(f"         next: {it.fix}")
    raise typer.Exit(1 if any(it.verdict == "not ok" for it in found) else 0)
