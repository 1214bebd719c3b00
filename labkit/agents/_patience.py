"""How much longer a program waits on a busy machine.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import os
from pathlib import Path

#: How many times longer than on an idle machine a program waits at most.
MOST = 15.0


def stretch_by(load: str, processors: int) -> float:
    """Return how many times longer than on an idle machine a program waits.

    It is the number of processes that want to run, for each processor: the mean of the last minute
    or, if that is more, the number at this moment. Both are in /proc/loadavg.

    Examples
    --------
    >>> stretch_by("7.00 3.00 1.00 9/700 4711", 2), stretch_by("0.20 3.00 1.00 1/700 4711", 2)
    (4.5, 1.0)
    """
    words = load.split()
    wanting = max(float(words[0]), float(words[3].partition("/")[0]))
    return min(MOST, max(1.0, wanting / processors))


def stretch() -> float:
    """Return how many times longer than on an idle machine a program on this one waits now."""
    return stretch_by(Path("/proc/loadavg").read_text(), len(os.sched_getaffinity(0)))
