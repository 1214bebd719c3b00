"""Functions of programs that run until another one ends them, and then undo what they did.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

#: The files in a program's folder: one tells it to end, the other names its process.
STOP, PROCESS = "stop", "process"


def identity(process: int) -> str:
    """Return the id of a process and the time of its start; "" if there is no such process."""
    try:
        shown = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if shown[0] == "Z" else f"{process} {shown[19]}"


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Own a new folder during the block; SIGTERM and SIGHUP have the same effect as its file STOP.

    The folder names the process. So another program can end it (``labkit.agents.remove``).
    """
    folder.mkdir(mode=0o700, parents=True)
    (folder / PROCESS).write_text(identity(os.getpid()))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (folder / STOP).touch())
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        from shutil import rmtree  # only here: most programs of this module end without it

        rmtree(folder, ignore_errors=True)


def stopped(folder: Path) -> bool:
    """Say whether the program has to end: the file STOP exists, or the folder is gone."""
    return (folder / STOP).exists() or not folder.exists()
