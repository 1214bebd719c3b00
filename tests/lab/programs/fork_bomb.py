"""Start processes until the kernel refuses one, end them all, and print how many there were."""

from __future__ import annotations

import os
import signal

MOST = 20_000


def main() -> None:
    """Fork, and end every child."""
    children: list[int] = []
    try:
        while len(children) < MOST:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except BlockingIOError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    print(len(children))


# pytest imports every module to look for doctests: nothing may happen then
if __name__ == "__main__":
    main()
