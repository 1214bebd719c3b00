"""Print what does not run on this machine, one line for each fault; ``repair`` restarts it first.

Looks at the enabled units of the environment, at processes that a signal has stopped, and at the
free space of the file systems. The other arguments are a command that must succeed: a request to
the component that answers for all others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.agents._connections import stretch

UNITS = "etc/systemd/system"
FOLDERS = ("/", "/var/lib/etcd", "/var/lib/containerd", "/var/lib/docker")
#: Bytes without which a file system counts as full.
ROOM = 32 << 20
#: Seconds for an answer of systemd, and of the command, on an idle machine.
PATIENCE = 2.0


def enabled(root: Path) -> list[str]:
    """Return the names of the enabled units whose files are in /etc, as an environment's are."""
    links = (link for link in (root / UNITS).glob("*.wants/*") if link.is_symlink())
    return sorted({link.name for link in links if str(link.readlink()).startswith(f"/{UNITS}/")})


def shown(units: Sequence[str]) -> str:
    """Return what systemd says about the units."""
    argv = ["systemctl", "show", "--property=Id,ActiveState,MainPID", *units]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENCE * stretch(), check=False
    ).stdout


def faults(shown: str, stopped: Sequence[int]) -> dict[str, str]:
    r"""Return what is wrong with each unit that does not run.

    Examples
    --------
    >>> faults("MainPID=7\nId=a.service\nActiveState=active\n\nId=b\nActiveState=failed", [7])
    {'a.service': 'is stopped by a signal', 'b': 'is failed'}
    """
    found = {}
    for block in shown.strip().split("\n\n"):
        told = dict(line.partition("=")[::2] for line in block.splitlines())
        if told.get("ActiveState") not in ("active", "reloading"):
            found[told.get("Id", "systemd")] = f"is {told.get('ActiveState', 'silent')}"
        elif int(told.get("MainPID", 0)) in stopped:
            found[told["Id"]] = "is stopped by a signal"
    return found


def stopped(proc: Path) -> list[int]:
    """Return the processes that a signal has stopped."""
    found = []
    for process in proc.iterdir():
        if process.name.isdigit():
            try:
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:  # it has ended
                continue
            if state in "Tt":
                found.append(int(process.name))
    return found


def full(folders: Sequence[str]) -> Iterator[str]:
    """Yield the folders whose file system has no room."""
    for folder in folders:
        if Path(folder).exists():
            space = os.statvfs(folder)
            if space.f_bavail * space.f_frsize < ROOM:
                yield folder


def look(root: Path, ask: Sequence[str]) -> dict[str, str]:
    """Return what is wrong, by unit, process or folder."""
    asked = (
        subprocess.Popen(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if ask else None
    )
    frozen, found = stopped(root / "proc"), {}
    if 1 in frozen:
        found["systemd"] = "is stopped by a signal"
    elif units := enabled(root):
        try:
            found |= faults(shown(units), frozen)
        except subprocess.TimeoutExpired:
            found["systemd"] = "does not answer"
    found |= dict.fromkeys(full(FOLDERS), "has no space left")
    if asked and not found:
        try:
            if asked.wait(PATIENCE * stretch()):
                found["the apiserver"] = "is not ready"
        except subprocess.TimeoutExpired:
            found["the apiserver"] = "does not answer"
    if asked:
        asked.kill()
    return found


def repair(root: Path) -> None:
    """Continue systemd if it is stopped, restart the units that do not run, and print them."""
    if 1 in stopped(root / "proc"):
        os.kill(1, signal.SIGCONT)
        print("systemd")
    units = enabled(root)
    if bad := faults(shown(units), stopped(root / "proc")) if units else {}:
        subprocess.run(["systemctl", "reset-failed", *bad], capture_output=True, check=False)
        # systemd continues a stopped process, so that it can end
        subprocess.run(["systemctl", "restart", "--no-block", *bad], check=False)
        print(*bad)


def main() -> None:
    """Repair if the first argument says so; print what is wrong."""
    action, *ask = sys.argv[1:]
    if action == "repair":
        repair(Path("/"))
    else:
        for what, how in look(Path("/"), ask).items():
            print(what, how)


if __name__ == "__main__":
    main()
