"""Find the pod of a container on this machine; print its process, or run a command in there.

Arguments: the container's name, and the number of the pod's user and a command where one is to
be run: in the pod's network, as that user, without capabilities, but with the machine's tools.
The pod's processes are the machine's, and its container's name is the kubelet's label.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence

CTR = ("ctr", "--namespace", "k8s.io")
LABEL = 'labels."io.kubernetes.container.name"'
ATTEMPTS, PAUSE = 40, 0.2
#: What this program exits with where the pod does not run.
NOT_THERE = 125


def ctr(*arguments: str) -> str:
    """Ask containerd."""
    argv = [*CTR, *arguments]
    done = subprocess.run(
        argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def running(tasks: str, containers: Collection[str]) -> list[int]:
    r"""Return the processes of those containers that run; one that ended may be listed as well.

    Examples
    --------
    >>> running("TASK PID STATUS\nabc 4711 RUNNING\nabd 1 STOPPED\n", ["abc", "abd"])
    [4711]
    """
    lines = [line.split() for line in tasks.splitlines()]
    return [int(task[1]) for task in lines if task[0] in containers and task[2] == "RUNNING"]


def find(name: str) -> int | None:
    """Return the process of the container of this name, if it is the only one that runs."""
    containers = ctr("containers", "list", "--quiet", f"{LABEL}=={name}").split()
    found = running(ctr("tasks", "list"), containers)
    return found[0] if len(found) == 1 else None


def wait(name: str, attempts: int = ATTEMPTS) -> int:
    """Find the process, however often that takes; exit where it does not come."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE)
        if process := find(name):
            return process
    print(f"the pod {name} does not run", file=sys.stderr)
    sys.exit(NOT_THERE)


def entering(process: int, user: str, command: Sequence[str]) -> list[str]:
    """Return the command that runs another with no more rights than the pod's."""
    setpriv = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
    setpriv += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    return ["nsenter", f"--net=/proc/{process}/ns/net", *setpriv, *command]


def main() -> None:
    """Print the process, or become the command."""
    name, *rest = sys.argv[1:]
    process = wait(name)
    if not rest:
        print(process)
        return
    user, *command = rest
    argv = entering(process, user, command)
    os.execvp(argv[0], argv)  # noqa: S606 - there is no shell on purpose


if __name__ == "__main__":
    main()
