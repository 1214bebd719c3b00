"""Save a copy of a machine's files, or restore them and restart the units that changed since.

``answer`` writes the copy; the program puts it back, with units as arguments: /etc, what people may
leave in /root, /home, /tmp and such, what some units keep, and what is set of the network. Units
and programs that came since are ended. Files that came since are deleted, also in /usr, /opt and
/srv, which are too large for a copy. A unit that did not change since the copy keeps running,
unless a file in /etc did, or people can change what it has in memory. A file whose content was
changed and changed back counts as unchanged. The units that it restarted are printed, one a line.

A restore that is killed leaves no machine without its files: it ends what it began with them, and
the next one waits for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from grp import getgrnam
from pathlib import Path
from pwd import getpwnam

from labkit.agents._clean_files import (
    CLOUD,
    OF_IMAGE,
    OF_PEOPLE,
    PRIVATE,
    PROVIDER,
    further_rights,
    names,
)
from labkit.agents._docker import in_engine
from labkit.agents._network import keep_network, put_back_network
from labkit.agents._running import active_units, end_strangers

CONFIGURATION = "etc"
#: What units keep: a unit must not run while these files are put back.
STATE = {"canaille.service": PROVIDER, "cloud.service": CLOUD}
#: Units that keep in memory what people write to them: policies and data, by its API.
MEMORY = ("opa.service",)
#: Folders below /etc that are emptied before the copy is put back: a folder may be a file now.
OURS = ("systemd/system", "kubernetes", "etcd", "flannel", "containerd", "docker")
SOCKETS = ("run/docker.sock", "run/containerd/containerd.sock")
DOCKER = "run/docker.sock"
#: Units and drop-ins for one boot only; a clean lab has none.
RUNTIME_UNITS = "run/systemd/system"
#: What was set of the machine's network, and the units that were active.
NETWORK, UNITS = Path("/var/lib/labkit/network.json"), Path("/var/lib/labkit/units")


def output(*argv: str | Path, check: bool = True) -> str:
    """Run a command, and return its standard output and standard error.

    Only root can read the files that it makes.
    """
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
        umask=0o077,
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
        self.archive, self.modes, self.since = kept / "etc.tar", kept / "modes", kept / "since"
        self.copied, self.programs = kept / "names", kept / "programs"
        self.folders = kept / "folders"

    def save(self) -> None:
        """Save the files, the owners and modes of sockets and private folders, and the time."""
        self.archive.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = (CONFIGURATION, *OF_PEOPLE, *STATE.values())
        self.copied.write_bytes(listed(names(self.root, folders)))
        # the times first: what comes after them makes a folder one that changed
        times = changes_of_folders(self.root, OF_IMAGE)
        self.folders.write_bytes(listed(f"{when} {name}" for name, when in times))
        self.programs.write_bytes(listed(names(self.root, OF_IMAGE)))
        how = ("--no-recursion", "--null", "--verbatim-files-from", f"--files-from={self.copied}")
        output("tar", "-C", self.root, "-cf", self.archive, *how)
        modes = [self.root / name for name in (*SOCKETS, *PRIVATE)]
        lines = [
            f"{path.stat().st_mode & 0o7777:o} {path.owner()}:{path.group()} {path}\n"
            for path in modes
            if path.exists()
        ]
        self.modes.write_text("".join(lines))
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

    def restore(self, units: Sequence[str], more: Sequence[str] = ()) -> list[str]:
        """Put the copy back; restart the units that were started since, and more; return them."""
        with self.archive.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._restore(units, more)

    def _restore(self, units: Sequence[str], more: Sequence[str]) -> list[str]:
        since = self.marked()
        if self.differs(*OF_PEOPLE, *OF_IMAGE):
            with whole():
                self.put_back(*OF_PEOPLE, *OF_IMAGE)
        if self.differs(CONFIGURATION) or any((self.root / RUNTIME_UNITS).iterdir()):
            # written down, so that the next restore restarts the units if this one is killed
            since = 0
            self.mark(since)
            with whole():
                self.put_back_configuration()
        for unit, folder in STATE.items():
            if unit in units and self.differs(folder):
                output("systemctl", "stop", unit)
                with whole():
                    self.put_back(folder)
        output("systemctl", "reset-failed")
        stale = started_after(since, units) if units else []
        stale += [it for it in (*MEMORY, *more) if it in units and it not in stale]
        if stale:
            # A unit may fail until another machine is restored. systemd starts it again.
            output("systemctl", "restart", *stale, check=False)
        for line in self.modes.read_text().splitlines():
            mode, owner, path = line.split(" ", 2)
            user, _, group = owner.partition(":")
            # a new socket gets its owner and mode from its unit
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, getpwnam(user).pw_uid, getgrnam(group).gr_gid)
                Path(path).chmod(int(mode, 8))
        if (self.root / DOCKER).is_socket():
            self.empty_engine()
        self.mark(time.monotonic())
        return stale

    def came(self, *folders: str) -> list[str]:
        """Return the paths of the files and folders that were not saved, the deepest first.

        They have no leading slash. One of the image's own folders stands for all of them.
        """
        others = [it for it in folders if it not in OF_IMAGE]
        found = set(names(self.root, others)) - paths_in(self.copied)
        if len(others) < len(folders):
            found |= self.came_to_image()
        return sorted(found, reverse=True)

    def came_to_image(self) -> set[str]:
        """Return what came to the image's own folders: only to those whose content has changed.

        The time of a change (ctime) is set by nobody, and any other than the saved one counts.
        """
        times = paths_in(self.folders) if self.folders.exists() else ()
        saved = dict(it.split(" ", 1)[::-1] for it in times)
        changed = [it for it in saved if changed_at(self.root / it) != saved[it]]
        new = [it for it in OF_IMAGE if it not in saved]
        if not changed and not any((self.root / it).is_dir() for it in new):
            return set()
        found = set(names(self.root, new))
        for folder in changed:
            place = self.root / folder
            # it is gone, or leads somewhere else now: what is there did not come to the image
            if not place.is_dir() or place.resolve() != self.root.resolve() / folder:
                continue
            for entry in os.scandir(place):
                path = f"{folder}/{entry.name}"
                found.add(path)
                if entry.is_dir(follow_symlinks=False) and path not in saved:
                    found |= {*names(self.root, [path])}
        return found - paths_in(self.programs)

    def differs(self, *folders: str) -> bool:
        """Say whether files of the folders differ from the copy: in content, rights or number."""
        if self.came(*folders) or any(self.widened(folders)):
            return True
        members = self.in_copy(folders)
        if not members:
            return False
        argv = ("--compare", f"--file={self.archive}", *members)
        compared = output("tar", "-C", self.root, *argv, check=False).splitlines()
        return any(not line.endswith("Mod time differs") for line in compared)

    def in_copy(self, folders: Sequence[str]) -> list[str]:
        """Return the folders that the copy has."""
        copied = paths_in(self.copied)
        return [name for name in folders if name in copied]

    def widened(self, folders: Sequence[str]) -> Iterator[tuple[Path, str]]:
        """Yield the files of the copy that have further rights now, which tar does not compare."""
        for name in names(self.root, self.in_copy(folders)):
            for it in further_rights(path := self.root / name):
                yield path, it

    def put_back(self, *folders: str) -> None:
        """Delete what came to the folders, and replace what they have by the copy."""
        for path, right in self.widened(folders):
            os.removexattr(path, right, follow_symlinks=False)
        for path in (self.root / name for name in self.came(*folders)):
            # what is not compared may lie in a folder, or a file system
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if members := self.in_copy(folders):
            output("tar", "-C", self.root, "-xpf", self.archive, *members)

    def put_back_configuration(self) -> None:
        """Replace the present configuration by the copy, and have systemd read it."""
        import shutil  # only here: it takes longer to load than all the others

        for folder in (self.root / CONFIGURATION / name for name in OURS):
            if folder.exists():
                shutil.rmtree(folder)
        output("find", self.root / RUNTIME_UNITS, "-mindepth", "1", "-delete")
        self.put_back(CONFIGURATION)
        output("systemctl", "daemon-reload")
        rules = sorted((self.root / "etc/tmpfiles.d").glob("*.conf"))
        output("systemd-tmpfiles", "--create", *rules)

    def empty_engine(self) -> None:
        """Remove what the machine's Docker Engine has: it has nothing in a new lab."""
        if not in_engine(str(self.root / DOCKER)):
            return
        docker = ("docker", f"--host=unix://{self.root / DOCKER}")
        if identifiers := output(*docker, "ps", "--all", "--quiet").split():
            output(*docker, "rm", "--force", *identifiers)
        # images, networks and the cache; then volumes, with those that have a name
        output(*docker, "system", "prune", "--all", "--force")
        output(*docker, "volume", "prune", "--all", "--force")


def changes_of_folders(root: Path, folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of some folders, and each folder below them, with its :func:`changed_at`."""
    start = len(str(root).rstrip("/")) + 1
    for folder in folders:
        for place, _, _ in os.walk(root / folder):
            yield place[start:], changed_at(place)


def changed_at(folder: str | Path) -> str:
    """Return when the entries or the rights of a folder last changed; empty if it is gone."""
    try:
        return str(os.stat(folder, follow_symlinks=False).st_ctime_ns)  # noqa: PTH116
    except OSError:
        return ""


def listed(paths: Iterable[str]) -> bytes:
    """Return paths as tar reads them from a file."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def paths_in(file: Path) -> set[str]:
    """Return the paths in a file that :func:`listed` made."""
    return {os.fsdecode(path) for path in file.read_bytes().split(b"\0") if path}


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


def answer() -> str:
    """Save the files of this machine, its units, and what is set of its network."""
    Machine(Path("/")).save()
    UNITS.write_text("\n".join(sorted(active_units())))
    keep_network(NETWORK)
    return ""


if __name__ == "__main__":
    # first, for units may wait for others behind a firewall, or for a port
    if UNITS.exists():
        end_strangers(UNITS.read_text().split())
    stale = put_back_network(NETWORK) if NETWORK.exists() else []
    print(*Machine(Path("/")).restore(sys.argv[1:], stale), sep="\n")
