"""Save a copy of a machine's /etc, or restore it and restart the units that changed since.

``save`` writes the copy; ``restore UNIT...`` puts it back. Files that are not in the copy are
deleted, drop-ins above all. A unit that did not change since the copy keeps running. A file whose
content was changed and changed back counts as unchanged.

A restore that is killed leaves no machine without its files: it ends what it began with them, and
the next one waits for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Docker mounts these files, and flanneld's unit writes the folder below.
MOUNTED = ("etc/hosts", "etc/hostname", "etc/resolv.conf")
WRITTEN_BY_FLANNELD = "etc/cni"
#: Folders below /etc that are emptied before the copy is put back, which deletes added files.
OURS = ("systemd/system", "kubernetes", "etcd", "flannel", "containerd", "docker")
SOCKETS = ("run/docker.sock", "run/containerd/containerd.sock")
DOCKER = "run/docker.sock"
#: Units and drop-ins for one boot only; a clean lab has none.
RUNTIME_UNITS = "run/systemd/system"


def output(*argv: str | Path, check: bool = True) -> str:
    """Run a command, and return its standard output and standard error."""
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


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Ignore SIGTERM and SIGHUP during the block, as every command in it does."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Machine:
    """The files of a machine, and the copy of them.

    Parameters
    ----------
    root : Path
        The root of its file system.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = root / "var/lib/labkit"
        self.archive, self.sockets, self.since = kept / "etc.tar", kept / "sockets", kept / "since"

    def save(self) -> None:
        """Save /etc, the owners and modes of the sockets, and the time."""
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
        self.mark(time.monotonic())

    def mark(self, moment: float) -> None:
        """Write down the time from which a start of a unit counts; 0 for all starts."""
        new = self.since.with_name(f"{self.since.name}.new")
        new.write_text(f"{moment:.6f}\n")
        new.replace(self.since)

    def marked(self) -> float:
        """Return the time that was written down; 0 if it cannot be read."""
        try:
            return float(self.since.read_text())
        except (OSError, ValueError):
            return 0.0

    def restore(self, units: Sequence[str]) -> None:
        """Put the copy back, and restart those units that were started since."""
        with self.archive.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._restore(units)

    def _restore(self, units: Sequence[str]) -> None:
        since = self.marked()
        if self.touched() and self.differs():
            # written down, so that the next restore restarts the units if this one is killed
            since = 0
            self.mark(since)
            with whole():
                self.put_back()
        output("systemctl", "reset-failed")
        if stale := started_after(since, units) if units else []:
            # A unit may fail until another machine is restored. systemd starts it again.
            output("systemctl", "restart", *stale, check=False)
        for line in self.sockets.read_text().splitlines():
            mode, owner, path = line.split(" ", 2)
            user, _, group = owner.partition(":")
            # a new socket gets its owner and mode from its unit
            with contextlib.suppress(FileNotFoundError):
                shutil.chown(path, user, group)
                Path(path).chmod(int(mode, 8))
        if (self.root / DOCKER).is_socket():
            self.remove_containers()
        # last: if this program is killed before, the next restore compares again
        os.utime(self.archive)
        self.mark(time.monotonic())

    def touched(self) -> bool:
        """Say whether a file's content, owner or mode was set since the last save or restore."""
        folders = [self.root / "etc", self.root / RUNTIME_UNITS]
        pattern = f"{self.root / WRITTEN_BY_FLANNELD}*"
        tests: list[str | Path] = ["-xdev", "-cnewer", self.archive, "-not", "-path", pattern]
        for folder in folders:
            tests += ["-not", "-path", folder]
        return bool(output("find", *folders, *tests, "-print", "-quit", check=False))

    def differs(self) -> bool:
        """Say whether the files differ from the copy, in content or in number."""
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
        """Replace the present files by the copy."""
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


def started_after(since: float, units: Sequence[str]) -> list[str]:
    """Return the units that do not run, or were started after a time of the monotonic clock."""
    argv = ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", *units]
    found = []
    for unit, block in zip(units, output(*argv).strip().split("\n\n"), strict=True):
        shown = dict(line.partition("=")[::2] for line in block.splitlines())
        entered = int(shown["ActiveEnterTimestampMonotonic"])
        if shown["ActiveState"] not in ("active", "reloading") or entered > since * 1_000_000:
            found.append(unit)
    return found


def main() -> None:
    """Save or restore, as the first argument says."""
    machine = Machine(Path("/"))
    action, *units = sys.argv[1:]
    if action == "save":
        os.umask(0o077)
        machine.save()
    else:
        machine.restore(units)


if __name__ == "__main__":
    main()
