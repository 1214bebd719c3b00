"""Say what state this machine is in, as JSON, without what changes by itself.

The result is ``{section: {item: value}}``. These rules leave out what a machine changes by itself:

- processes: identifiers, arguments, the program's own family, and the servers of commands of other
  clients of the lab, which end with their clients. Only programs are named; of a pod only those
  that the container runtime started.
- listeners: the number of a port that the kernel chose on the loopback address.
- firewall: counters, the ports of Docker's DNS, and what kube-proxy and the plugins of networks
  write for each service and each pod.
- network: the addresses and settings of pods' devices.
- neighbours: everything but hardware addresses that are claimed for two machines at once.
- files: times; the content of files of more than a megabyte, which are programs; of /run and
  /var/log everything but what labkit makes there; of the image's own folders the files that have
  not changed since the machine's were saved, and those that are gone.
- units: those that systemd makes for pods, sessions and devices, and its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path

from labkit.agents._clean_files import (
    CHANGING,
    FOLDERS,
    OF_IMAGE,
    PRIVATE,
    PROVIDER,
    further_rights,
    names,
)
from labkit.agents._docker import in_engine
from labkit.agents._network import can_be_set, firewall_rules, network_settings
from labkit.agents._running import OWN_UNITS, POD, parents, place

Section = dict[str, str]
#: The files elsewhere that are compared.
PATTERNS = ("run/labkit*", "run/systemd/system/*", "var/log/labkit*", "dev/shm/*")
#: The file that is as old as the machine's state; the time of a change (ctime) is set by nobody.
SAVED = "var/lib/labkit/etc.tar"
#: The socket of the machine's own Docker Engine.
ENGINE = "/run/docker.sock"
#: The accounts of the machine's OpenID provider. Each login changes the file, but not these tables.
ACCOUNTS = Path(f"/{PROVIDER}/canaille.sqlite")
PEOPLE = "SELECT user_name, password, lock_date FROM user"
GROUPS = """
    SELECT "group".display_name, owner.user_name, group_concat(member.user_name, ' ')
    FROM "group"
    LEFT JOIN user AS owner ON owner.id = owner_id
    LEFT JOIN membership_association_table ON group_id = "group".id
    LEFT JOIN user AS member ON member.id = user_id
    GROUP BY "group".id
"""
CLIENTS = """
    SELECT client_id, client_secret, redirect_uris, scope, (
        SELECT group_concat(audience_id, ' ') FROM (
            SELECT audience_id FROM client_audience_association_table AS named
            WHERE named.client_id = client.id ORDER BY audience_id
        )
    )
    FROM client
"""
#: Bytes from which only the size of a file counts.
LARGE = 1_000_000
#: Seconds that a process must have run: programs that others start for a moment are not counted.
#: A unit's own program counts at once, for a new lab may be quicker than that.
OLD = 3.0
#: Every pod has one, so it counts at once too.
SHIM = "containerd-shim of containerd.service"
#: Of several processes with one name, one that is frozen counts (proc_pid_stat(5), state T).
FROZEN = "stopped by a signal"
#: The start of the text of labkit.agents.run_commands, which is its command line.
SERVER = b"Run the commands that arrive on standard input"
EPHEMERAL = re.compile(r"^127\.[\d.]+:(3[2-9]|[4-6]\d)\d{3}$")
#: The states that count; a unit is in the others for a moment.
WORDS = ("active", "failed")


def output(*argv: str) -> list[str]:
    """Run a command, and return the lines of its output; none if there is no such command."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines()


def processes(active: Container[str], proc: Path = Path("/proc")) -> Section:
    """Return the programs that run, on a machine with these active units."""
    own = family(proc)
    ticks = os.sysconf("SC_CLK_TCK")
    uptime = float((proc / "uptime").read_text().split()[0])
    in_pods = {it.name: is_in_pod(it) for it in proc.iterdir() if it.name.isdigit()}
    found: Section = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        try:
            shown = (entry / "stat").read_text().rpartition(")")[2].split()
            name = (entry / "comm").read_text().strip()
            where = place((entry / "cgroup").read_text())
            if SERVER in (entry / "cmdline").read_bytes()[:300]:
                continue
        except OSError:
            continue
        if where == POD:
            # what a pod's own program starts is not counted, however long it runs
            stays = in_pods.get(shown[1]) is not True and not is_beginning(entry)
        else:
            # systemd starts it, in a session of its own; before and after it, the unit's commands
            is_units_own = where in active and shown[1] == "1" and shown[3] == entry.name
            old = uptime - int(shown[19]) / ticks >= OLD
            stays = old or is_units_own or f"{name} of {where}" == SHIM
        if shown[0] != "Z" and stays:
            is_frozen = shown[0] == "T" or found.get(f"{name} of {where}") == FROZEN
            found[f"{name} of {where}"] = FROZEN if is_frozen else "runs"
    return found


def is_beginning(process: Path) -> bool:
    """Say whether a process of /proc is still the runtime's, which will run a pod's program."""
    try:
        return "runc" in str((process / "exe").readlink())
    except OSError:
        return True


def is_in_pod(process: Path) -> bool:
    """Say whether a process of /proc runs in a pod; a process that has ended does not."""
    try:
        return place((process / "cgroup").read_text()) == POD
    except OSError:
        return False


def family(proc: Path) -> set[int]:
    """Return the ids of labkit's server of commands and of all its descendants, and our own."""
    known = parents(proc)
    own, process = {os.getpid()}, os.getpid()
    while process := known.get(process, 0):
        if process == 1:
            break
        own.add(process)
    return own


def listeners() -> Section:
    """Return the TCP and UDP sockets that wait for callers, with their programs."""
    found = {}
    for line in output("ss", "-H", "-lntup"):
        kind, _, _, _, address, *rest = line.split()
        name = re.search(r'\("([^"]+)"', " ".join(rest))
        program = name[1] if name else "the kernel"
        if EPHEMERAL.match(address):  # Docker's DNS has such a port as well as containerd
            found[f"{kind} 127.0.0.1:any of {program}"] = "listens"
        else:
            found[f"{kind} {address}"] = program
    return found


def firewall() -> Section:
    """Return the rules of the firewall, where somebody can set one."""
    return firewall_rules() if can_be_set() else {}


def network() -> Section:
    """Return addresses, static neighbours and the kernel's settings, where they can be set."""
    return network_settings() if can_be_set() else {}


def routes() -> Section:
    """Return the routes."""
    return {" ".join(line.split()): "set" for line in output("ip", "route", "show")}


def neighbours() -> Section:
    """Return the hardware addresses that are claimed for more than one address on the network."""
    at: dict[str, set[str]] = {}
    for line in output("ip", "neigh", "show", "dev", "eth0"):
        words = line.split()
        if "lladdr" in words:
            at.setdefault(words[words.index("lladdr") + 1], set()).add(words[0])
    return {" ".join(sorted(them)): "one address" for them in at.values() if len(them) > 1}


def files(root: Path = Path("/")) -> Section:
    """Return the mode, owner and hash of each file, and the target of each link."""
    elsewhere = (str(it.relative_to(root)) for each in PATTERNS for it in root.glob(each))
    others = (it for it in elsewhere if not CHANGING.match(it))
    every = (*names(root, FOLDERS), *PRIVATE, *others, *changed_programs(root))
    found = {}
    for name in every:
        with contextlib.suppress(FileNotFoundError):
            found[f"/{name}"] = described(root / name)
    return found


def changed_programs(root: Path) -> Iterator[str]:
    """Yield the files in the image's own folders that changed since the machine's were saved."""
    try:
        saved = (root / SAVED).stat().st_mtime
    except OSError:  # the attacker's machine
        return
    start = len(str(root).rstrip("/")) + 1
    for folder in OF_IMAGE:
        for where, inner, files in os.walk(root / folder):
            # of programs in /usr/local everything counts, and Python writes its caches by itself
            skipped = ("__pycache__", *({"local"} if where[start:] == "usr" else ()))
            inner[:] = [it for it in inner if it not in skipped]
            for name in files:
                with contextlib.suppress(OSError):
                    if os.lstat(f"{where}/{name}").st_ctime > saved:
                        yield f"{where}/{name}"[start:]


def described(path: Path) -> str:
    """Return the mode and owner of a file, the start of its content's hash, and further rights."""
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"-> {path.readlink()}"
    said = _content(path, info)
    if not (given := further_rights(path)):
        return said
    values = [(it, os.getxattr(path, it, follow_symlinks=False)) for it in given]
    return f"{said} rights {hashlib.sha256(repr(values).encode()).hexdigest()[:16]}"


def _content(path: Path, info: os.stat_result) -> str:
    said = f"{stat.S_IMODE(info.st_mode):04o} {info.st_uid}:{info.st_gid}"
    if info.st_size > LARGE:
        return f"{said} {info.st_size} bytes"
    if stat.S_ISREG(info.st_mode):
        return f"{said} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return f"{said} {'folder' if stat.S_ISDIR(info.st_mode) else 'special'}"


def units() -> Section:
    """Return the services and sockets that are active or failed."""
    argv = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full")
    found = {}
    for line in output(*argv, "--type=service,socket"):
        name, _, active, *_ = line.split()
        if active in WORDS and not OWN_UNITS.match(name):
            found[name] = active
    return found


def docker() -> Section:
    """Return what the machine's own Docker Engine has."""
    if not Path(ENGINE).is_socket():
        return {}
    return dict.fromkeys(in_engine(ENGINE), "there")


def accounts(database: Path = ACCOUNTS) -> Section:
    """Return the people, groups and clients of the machine's OpenID provider."""
    if not database.is_file():
        return {}
    import sqlite3  # slow, and few machines have a provider

    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as found:
        said = {
            f"group {name}": f"of {owner}: {' '.join(sorted((members or '').split()))}"
            for name, owner, members in found.execute(GROUPS)
        }
        for kind, query in (("person", PEOPLE), ("client", CLIENTS)):
            for name, *rest in found.execute(query):
                said[f"{kind} {name}"] = hashlib.sha256(repr(rest).encode()).hexdigest()[:16]
    return said


SECTIONS: Mapping[str, Callable[[], Section]] = {
    "listeners": listeners,
    "firewall": firewall,
    "network": network,
    "routes": routes,
    "neighbours": neighbours,
    "files": files,
    "docker": docker,
    "accounts": accounts,
}


def answer() -> str:
    """Return all sections."""
    found = {"units": units()}  # first, for a unit that has ended since shows no program
    active = {name for name, state in found["units"].items() if state == "active"}
    found["processes"] = processes(active)
    return json.dumps(found | {name: read() for name, read in SECTIONS.items()})
