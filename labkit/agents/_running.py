"""What runs on a machine besides its own components: units and programs that somebody started.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from labkit.agents._processes import states

#: The place of the processes of all pods.
POD = "a pod"
#: The place of a process that no unit has: of a command in the container, or of PID 1.
NO_UNIT, OF_INIT = "no unit", "init.scope"
OWN_UNITS = re.compile(r"^(systemd-|dbus|user@|user-runtime|session|getty|console-|modprobe@|init)")
#: The kinds of units that run something, or wait to. Of scopes, those of ``systemd-run --scope``:
#: the others are those of pods and containers.
KINDS = "service,socket,timer,path,scope"
OTHER_SCOPES = re.compile(r"(?!run-).*\.scope")
#: Seconds for a program to end before it is killed.
GRACE_S = 2.0


def place(cgroup: str) -> str:
    """Return the unit or the pod of a process.

    Examples
    --------
    >>> place("0::/system.slice/etcd.service")
    'etcd.service'
    """
    if "kubepods" in cgroup:
        return POD
    found = re.findall(r"([\w@.-]+\.(?:service|scope))", cgroup)
    return found[0] if found else NO_UNIT


def active_units() -> set[str]:
    """Return the units that run something, or wait to; not those of pods and of systemd itself."""
    argv = ("systemctl", "list-units", "--plain", "--no-legend", "--full", "--state=active")
    done = subprocess.run((*argv, f"--type={KINDS}"), capture_output=True, text=True, check=True)
    names = (line.split()[0] for line in done.stdout.splitlines() if line.strip())
    return {it for it in names if not OWN_UNITS.match(it) and not OTHER_SCOPES.fullmatch(it)}


def parents(proc: Path) -> dict[int, int]:
    """Return the parent of each process that has not ended."""
    return {process: parent for process, _, parent in states(proc)}


def strangers(proc: Path = Path("/proc")) -> set[int]:
    """Return the processes of no unit that have left the command by which somebody started them.

    A command in the container has no parent; what it leaves behind becomes a child of PID 1.
    """
    known = parents(proc)

    def is_left(process: int) -> bool:
        while (parent := known.get(process, 0)) > 1:
            process = parent
        return parent == 1

    # what PID 1 starts itself is in its own session and ends in a moment, or moves to its unit
    return {it for it in known if is_left(it) and has_no_unit(proc / str(it))}


def has_no_unit(process: Path) -> bool:
    """Say whether a process of /proc is of no unit, and no program of systemd."""
    try:
        return place((process / "cgroup").read_text()) in (NO_UNIT, OF_INIT) and (
            "/systemd" not in str((process / "exe").readlink())
        )
    except OSError:  # it has ended
        return False


def frozen(proc: Path = Path("/proc")) -> set[int]:
    """Return the processes that a signal has stopped, in pods too."""
    return {process for process, state, _ in states(proc) if state == "T"}


def end_strangers(kept: Collection[str]) -> None:
    """Stop the units that are not among those kept, and end the processes of no unit.

    What a signal has stopped goes on.
    """
    send(frozen(), signal.SIGCONT)
    if came := sorted(active_units() - set(kept)):
        subprocess.run(("systemctl", "stop", *came), check=False, capture_output=True, timeout=60)
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(strangers(), number)
        deadline = time.monotonic() + GRACE_S
        while (left := strangers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not left:
            return


def send(processes: Iterable[int], number: int) -> None:
    """Send a signal to processes that may have ended."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
