"""The processes of a machine, as /proc shows them.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def states(proc: Path) -> Iterator[tuple[int, str, int]]:
    """Yield each process that has not ended, with its state (proc_pid_stat(5)) and its parent."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                if state != "Z":
                    yield int(entry.name), state, int(parent)
