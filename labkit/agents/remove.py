"""Remove files and folders; end the program that runs in such a folder first. Arguments: the paths.

A program gets some seconds to undo what it did (see ``labkit.agents._program``). Then its process
group is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from labkit.agents._program import PROCESS, STOP, identity

#: Seconds for a program to undo what it did.
GRACE = 8.0


def end_program(folder: Path, grace: float = GRACE) -> None:
    """End the program that runs in a folder, if there is one."""
    try:
        known = (folder / PROCESS).read_text()
    except OSError:
        return
    if not known:
        return
    process = int(known.split()[0])
    with suppress(OSError):
        (folder / STOP).touch()
    deadline = time.monotonic() + grace
    while identity(process) == known:
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.killpg(os.getpgid(process), signal.SIGKILL)
            return
        time.sleep(0.05)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; do nothing if it does not exist."""
    if path.is_dir() and not path.is_symlink():
        end_program(path)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        remove(Path(name))
