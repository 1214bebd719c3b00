"""Keep what a machine's /etc holds, or put it back and restart what was changed since.

``save`` keeps; ``restore UNIT...`` puts back. What the environment has no file for is taken
away, drop-ins above all. A unit that is as it was when the files were kept is left running. A
file that was changed and changed back is no other file: only when it was written differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

#: Docker mounts these from outside, and flanneld's unit writes what is in the folder.
MOUNTED = ("etc/hosts", "etc/hostname", "etc/resolv.conf")
WRITTEN_BY_FLANNELD = "etc/cni"
#: What is emptied before the files are put back: nothing else takes away what was added.
OURS = ("systemd/system", "kubernetes", "etcd", "flannel", "containerd", "docker")
SOCKETS = ("run/docker.sock", "run/containerd/containerd.sock")
DOCKER = "run/docker.sock"
#: What is added to units for one boot: nothing, in a clean lab.
RUNTIME_UNITS = "run/systemd/system"


def output(*argv: str | Path, check: bool = True) -> str:
    """Run a command, and return what it prints, its complaints too."""
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )
    if check and done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: {done.stdout.strip()}")
    return done.stdout


class Machine:
    """The files of a machine, and what was kept of them.

    Parameters
    ----------
    root : Path
        Where its files begin.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = root / "var/lib/labkit"
        self.archive, self.sockets, self.since = kept / "etc.tar", kept / "sockets", kept / "since"

    def save(self) -> None:
        """Keep /etc, the sockets' owners and modes, and the time."""
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        excluded = [f"--exclude={path}" for path in (*MOUNTED, WRITTEN_BY_FLANNELD)]
        output("tar", "-C", self.root, "-cf", self.archive, *excluded, "etc")
        sockets = [self.root / name for name in SOCKETS]
        lines = [
            f"{path.stat().st_mode & 0o7777:o} {path.owner()}:{path.group()} {path}\n"
            for path in sockets
            if path.is_socket()
        ]
        self.sockets.write_text("".join(lines))
        self.since.write_text(f"{time.monotonic():.6f}\n")

    def restore(self, units: Sequence[str]) -> None:
        """Put back what was kept, and restart those units that were started since."""
        since = float(self.since.read_text())
        if self.touched() and self.differs():
            self.put_back()
            since = 0
        os.utime(self.archive)
        output("systemctl", "reset-failed")
        if stale := [unit for unit in units if started_after(since, unit)]:
            output("systemctl", "restart", *stale)
        for line in self.sockets.read_text().splitlines():
            mode, owner, path = line.split(" ", 2)
            user, _, group = owner.partition(":")
            shutil.chown(path, user, group)
            Path(path).chmod(int(mode, 8))
        self.since.write_text(f"{time.monotonic():.6f}\n")
        if (self.root / DOCKER).is_socket():
            self.remove_containers()

    def touched(self) -> bool:
        """Say whether a file was written, or its owner or mode changed, since the last time."""
        folders = [self.root / "etc", self.root / RUNTIME_UNITS]
        pattern = f"{self.root / WRITTEN_BY_FLANNELD}*"
        tests: list[str | Path] = ["-xdev", "-cnewer", self.archive, "-not", "-path", pattern]
        for folder in folders:
            tests += ["-not", "-path", folder]
        return bool(output("find", *folders, *tests, "-print", "-quit", check=False))

    def differs(self) -> bool:
        """Say whether files are other than those that were kept, or more, or fewer."""
        if any((self.root / RUNTIME_UNITS).iterdir()):
            return True
        compared = output("tar", "-C", self.root, "--compare", "-f", self.archive, check=False)
        if any(not line.endswith("Mod time differs") for line in compared.splitlines()):
            return True
        with tarfile.open(self.archive) as archive:
            kept = set(archive.getnames())
        return bool(set(self.names()) - kept - set(MOUNTED))

    def names(self) -> list[str]:
        """Return the paths of all files and folders below /etc, without the leading slash."""
        argv = ["find", "etc", "-xdev", "-path", WRITTEN_BY_FLANNELD, "-prune", "-o", "-print0"]
        found = subprocess.run(argv, cwd=self.root, check=True, stdout=subprocess.PIPE)
        return [os.fsdecode(name) for name in found.stdout.split(b"\0") if name]

    def put_back(self) -> None:
        """Put the kept files in the place of those that are there."""
        for folder in (self.root / "etc" / name for name in OURS):
            if folder.exists():
                shutil.rmtree(folder)
        output("find", self.root / RUNTIME_UNITS, "-mindepth", "1", "-delete")
        output("tar", "-C", self.root, "-xpf", self.archive)
        output("systemctl", "daemon-reload")
        rules = sorted((self.root / "etc/tmpfiles.d").glob("*.conf"))
        output("systemd-tmpfiles", "--create", *rules)

    def remove_containers(self) -> None:
        """Remove every container of the machine's Docker Engine."""
        docker = ("docker", f"--host=unix://{self.root / DOCKER}")
        if identifiers := output(*docker, "ps", "--all", "--quiet").split():
            output(*docker, "rm", "--force", *identifiers)


def started_after(since: float, unit: str) -> bool:
    """Say whether a unit does not run, or was started after a time of the monotonic clock."""
    argv = ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", unit]
    shown = dict(line.partition("=")[::2] for line in output(*argv).splitlines())
    if shown["ActiveState"] not in ("active", "reloading"):
        return True
    return int(shown["ActiveEnterTimestampMonotonic"]) > since * 1_000_000


def main() -> None:
    """Save, or restore."""
    machine = Machine(Path("/"))
    action, *units = sys.argv[1:]
    if action == "save":
        os.umask(0o077)
        machine.save()
    else:
        machine.restore(units)


if __name__ == "__main__":
    main()
