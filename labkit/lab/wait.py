"""Wait for a component by polling it; after the deadline, fail with the reason."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence

from docker.models.containers import Container

from labkit import agents
from labkit.agents._patience import MOST
from labkit.errors import CommandFailed, LabkitError, StartTimeout
from labkit.lab.engine import LABEL, MODE, NODE
from labkit.lab.machine import call, execute

__all__ = ["journal", "stretch_of", "telling", "wait_until"]

#: Seconds for the answer of a machine about its load.
ANSWER_S = 5.0
COMPLAINT = re.compile(r"\b(error|fatal|fail|unknown|invalid|not defined|denied|refused)", re.I)


def wait_until(
    container: Container, question: Sequence[str], *, unit: str = "", what: str, deadline: float
) -> None:
    """Wait until a command on a machine succeeds.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    question : sequence of str
        The command; it is repeated until it succeeds.
    unit : str
        The systemd unit to wait for; its journal is the evidence of a failure. "" for none.
    what : str
        The name of the component for the error.
    deadline : float
        Seconds on an idle machine; a busy one gets up to fifteen times as many.

    Raises
    ------
    StartTimeout
        The deadline passed, or the unit cannot start.
    """
    try:
        _wait(container, agents.argv("wait_until", unit, *question), deadline)
    except CommandFailed as error:
        evidence = list(error.evidence)
        if unit:
            evidence += telling(journal(container, unit, 400).splitlines())
        else:
            last = execute(container, question, check=False, timeout=10)
            evidence += (last.error + last.text).strip().splitlines()[-10:]
        raise StartTimeout(
            f"not ready within {deadline:g} s: {what}",
            evidence=evidence,
            hint=_logs(container.labels, unit),
        ) from error


def _logs(labels: Mapping[str, str], unit: str) -> str:
    """Return the command that shows the journal of a machine, or of one unit there."""
    named = f"labkit logs {labels.get(NODE)} --name {labels.get(LABEL)} --mode {labels.get(MODE)}"
    return f"{named} {shlex.quote(unit)}" if unit else named


def _wait(container: Container, argv: Sequence[str], deadline: float) -> None:
    """Run a command that waits; if it is late on a busy machine, run it again for longer."""
    began = time.monotonic()
    try:
        execute(container, argv, timeout=deadline)
    except CommandFailed:
        if time.monotonic() - began < deadline:  # it failed before its time was up
            raise
        more = deadline * (stretch_of(container) - 1)
        if more < 1:
            raise
        execute(container, argv, timeout=more)


def stretch_of(container: Container) -> float:
    """Return how many times longer than on an idle machine something takes on a machine now.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine. It shares the processors of its host, and so the host's load.

    Returns
    -------
    float
        From 1 to :data:`labkit.agents._patience.MOST`, which also stands for a running machine
        that does not answer in time.

    Raises
    ------
    LabError
        The machine does not run.
    """
    try:
        return float(call(container, "busy", timeout=ANSWER_S))
    except LabkitError:
        container.reload()
        if container.status != "running":
            raise
        return MOST


def telling(lines: Sequence[str], most: int = 10) -> list[str]:
    """Return the lines of a log that show what went wrong: errors, and the last lines.

    Parameters
    ----------
    lines : sequence of str
        The lines of the log.
    most : int
        The highest number of lines of each of the two sorts.

    Returns
    -------
    list of str
        In the order of the log.

    Examples
    --------
    >>> telling(["flag provided but not defined: -x", "usage:", "  a", "bye"], most=1)
    ['flag provided but not defined: -x', 'bye']
    """
    complaints = [number for number, line in enumerate(lines) if COMPLAINT.search(line)]
    last = range(max(0, len(lines) - most), len(lines))
    return [lines[number] for number in sorted({*complaints[-most:], *last})]


def journal(container: Container, unit: str | None, lines: int) -> str:
    """Return the last lines of a machine's journal.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    unit : str or None
        A systemd unit; None for all units.
    lines : int
        The number of lines.

    Returns
    -------
    str
        The lines; ``systemctl status`` if the journal has none of the unit.
    """
    argv = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={lines}"]
    if unit:
        argv.append(f"--unit={unit}")
    output = execute(container, argv, check=False)
    if unit and not output.text.strip().replace("-- No entries --", ""):
        output = execute(container, ["systemctl", "status", "--no-pager", unit], check=False)
    return output.text + output.error
