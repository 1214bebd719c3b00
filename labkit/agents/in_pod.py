"""Find a container of a pod on this machine; print its process id, or run a command in the pod.

Arguments: the container's name, and optionally a user id and a command. The command runs in the
pod's network namespace, as that user and without capabilities, but with the machine's tools.
containerd's label of the kubelet names the container; its processes are visible on the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence

from labkit.agents._patience import stretch

CTR = ("ctr", "--namespace", "k8s.io")
LABEL = 'labels."io.kubernetes.container.name"'
ATTEMPTS, PAUSE = 40, 0.2
#: The exit status if the pod does not run.
NOT_THERE = 125


def ctr(*arguments: str) -> str:
    """Run ctr, containerd's client, and return its output."""
    argv = [*CTR, *arguments]
    done = subprocess.run(
        argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def running(tasks: str, containers: Collection[str]) -> list[int]:
    r"""Return the process ids of those of the containers that run.

    Examples
    --------
    >>> running("TASK PID STATUS\nabc 4711 RUNNING\nabd 1 STOPPED\n", ["abc", "abd"])
    [4711]
    """
    lines = [line.split() for line in tasks.splitlines()]
    return [int(task[1]) for task in lines if task[0] in containers and task[2] == "RUNNING"]


def find(name: str) -> int | None:
    """Return the process id of the container of this name, if exactly one runs."""
    containers = ctr("containers", "list", "--quiet", f"{LABEL}=={name}").split()
    found = running(ctr("tasks", "list"), containers)
    return found[0] if len(found) == 1 else None


def wait(name: str, attempts: int = ATTEMPTS) -> int:
    """Return the process id of the container; try repeatedly, then exit."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE * stretch())
        if process := find(name):
            return process
    print(f"the pod {name} does not run", file=sys.stderr)
    sys.exit(NOT_THERE)


def entering(process: int, user: str, command: Sequence[str]) -> list[str]:
    """Return the command that runs another command with no more rights than the pod's."""
    setpriv = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
    setpriv += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    return ["nsenter", f"--net=/proc/{process}/ns/net", *setpriv, *command]


def main() -> None:
    """Print the process id, or replace this process by the command."""
    name, *rest = sys.argv[1:]
    process = wait(name)
    if not rest:
        print(process)
        return
    user, *command = rest
    argv = entering(process, user, command)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is needed


if __name__ == "__main__":
    main()
