"""What a trainer tells a whole room: it is on the board, and in every participant's notebook."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from docker.errors import APIError

from labkit import agents
from labkit.errors import ConfigError, LabkitError
from labkit.lab.parallel import in_parallel
from labkit.lab.running import RunningLab
from labkit.workshop.engines import Place
from labkit.workshop.ledger import Ledger, Notice, Seat

__all__ = ["MOST", "checked", "read_notice", "tell"]

#: Where a lab's master keeps it; a participant who is root there can change only their own.
FILE = "/var/lib/labkit/workshop/notice.json"
#: The most characters of a notice: it is one line on the projector.
MOST = 200
CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")


def checked(text: str, until: str = "") -> Notice:
    """Return a notice; refuse what does not fit one line.

    Parameters
    ----------
    text : str
        Up to 200 printable characters.
    until : str
        A time such as "12:30", or "".

    Returns
    -------
    Notice

    Raises
    ------
    ConfigError
        The text or the time is not valid.

    Examples
    --------
    >>> checked("Lunch", "12:30")
    Notice(text='Lunch', until='12:30')
    """
    if len(text) > MOST or not text.isprintable():
        raise ConfigError(
            f"a notice is one line of up to {MOST} characters",
            hint='labkit workshop say "Lunch" --until 12:30',
        )
    if until and not CLOCK.fullmatch(until):
        raise ConfigError(f"{until!r} is not a time", hint="give hours and minutes: --until 12:30")
    return Notice(text, until)


def tell(labs: Mapping[Seat, Place], notice: Notice, ledger: Ledger) -> dict[Seat, str]:
    """Tell a notice to participants of a workshop, and to its board.

    Parameters
    ----------
    labs : mapping of Seat to Place
        The labs.
    notice : Notice
    ledger : Ledger
        The board reads it there.

    Returns
    -------
    dict of Seat to str
        Why it did not reach a lab; "" for a lab that has it.

    Raises
    ------
    ConfigError
        The ledger cannot be written.
    """
    ledger.add_notice(notice)
    text = json.dumps(asdict(notice)).encode()

    def send(seat: Seat) -> str:
        try:
            lab = RunningLab(seat.mode, name=seat.name, client=labs[seat].engine.client)
            lab.exec(lab.master, agents.argv("replace_file", FILE), stdin=text)
        except LabkitError as error:
            return error.message
        except APIError as error:
            return str(error.explanation or error)
        return ""

    seats = sorted(labs)
    return dict(zip(seats, in_parallel(seats, send), strict=True))


def read_notice(lab: RunningLab) -> Notice:
    """Return the notice that a lab has; an empty one if it has none, or none that labkit wrote.

    Parameters
    ----------
    lab : RunningLab

    Returns
    -------
    Notice

    Raises
    ------
    LabError
        The lab is not up, or its master does not answer.
    """
    said = lab.exec(lab.master, ["cat", FILE], check=False)
    try:
        return checked(**json.loads(said.stdout))
    except (ValueError, TypeError, AttributeError, ConfigError):
        return Notice()  # no notice is worth a broken check
