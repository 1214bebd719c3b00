"""One lock for each lab, at its engine: one process changes a lab at a time.

A small container without a network (the *keeper*) belongs to each lab. Who holds the lock runs a
process in it (``labkit/agents/hold_lock.sh``), which holds a file's lock and ends with its client's
connection. So processes, kernels and people on different machines exclude each other, and a
process that is killed releases the lock.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.utils.socket import frames_iter

from labkit import agents
from labkit.errors import EngineError, LabBusy, LabError, NameTaken
from labkit.lab.engine import LOCK, ROLE, is_of, lab_filter, labels
from labkit.lab.nodes import find_nodes
from labkit.lab.origin import origin_of
from labkit.lab.progress import ProgressStep, QuietReporter, Reporter, make_reporter

__all__ = ["DOWN_WAIT_S", "WAIT_S", "exclusive", "is_held", "remove_keeper"]

#: Seconds to wait for another process, by default; and for the keeper to take a command.
WAIT_S, KEEPER_S = 600.0, 20.0
#: The most seconds that the removal of a lab waits for another process.
DOWN_WAIT_S = 30.0
FOLDER = "/run"
#: The keeper needs no rights at all. Its processes are killed with it, so it needs no signals.
KEEPER = {
    "NetworkMode": "none",
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "ReadonlyRootfs": True,
    "Tmpfs": {FOLDER: ""},
    "Init": True,
    "PidsLimit": 256,
}

Key = tuple[int, str, str, str]


@dataclass
class _Entry:
    """The lock of one lab in this process: the connection that holds it, and its number of users.

    The guard lets one thread at a time take or release the lock.
    """

    guard: threading.Lock = field(default_factory=threading.Lock)
    held: _Held | None = None
    users: int = 0


_ENTRIES: dict[Key, _Entry] = {}
_LOCK = threading.Lock()


class _Held:
    """A connection to the keeper of a lab, whose process there takes and holds the lock.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    execution : str
        The id of the process at the engine.
    """

    def __init__(self, client: docker.DockerClient, execution: str) -> None:
        self._stream: Any = client.api.exec_start(execution, socket=True)
        self._raw: Any = getattr(self._stream, "_sock", self._stream)
        self._raw.settimeout(None)
        #: The lines that the process prints, then None.
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.ended = False
        #: The token of the holder before.
        self.last = ""
        threading.Thread(target=self._read, daemon=True).start()
        # another process may remove the keeper in this moment: then there are no more lines
        with contextlib.suppress(OSError):
            self._raw.sendall(b"\n")

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            for _, data in frames_iter(self._stream, tty=False):  # type: ignore[no-untyped-call]
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.lines.put(line.decode(errors="replace"))
        self.ended = True
        self.lines.put(None)
        self._stream._response.close()  # the response owns the connection, not the stream
        self._raw.close()

    def release(self) -> None:
        """Release the lock, and wait until it is free."""
        with contextlib.suppress(OSError, queue.Empty):
            self._raw.sendall(b"\n")
            deadline = time.monotonic() + 2
            while self.lines.get(timeout=max(0, deadline - time.monotonic())):
                pass
        self.close()

    def close(self) -> None:
        """Close the connection, which ends the process in the keeper."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(2)


def keeper_name(name: str, mode: str) -> str:
    """Return the name of the container that holds a lab's lock.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    str

    Examples
    --------
    >>> keeper_name("default", "insecure")
    'labkit-default-insecure_lock'
    """
    return f"labkit-{name}-{mode}_lock"


@contextlib.contextmanager
def exclusive(
    client: docker.DockerClient,
    name: str,
    mode: str,
    what: str,
    *,
    reporter: Reporter,
    wait: float = WAIT_S,
    image: str = "",
    made_from: Mapping[str, str] = MappingProxyType({}),
    token: str = "",
) -> Iterator[bool]:
    """Hold the lock of a lab during the block.

    A process that holds the lock already enters at once, in any of its threads.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.
    what : str
        What this process does, for the message of a process that waits.
    reporter : Reporter
        Shows for whom this process waits.
    wait : float
        Seconds to wait for another process.
    image : str
        The image of the keeper if the lab has no machines yet. Without one, a lab that does not
        exist is not locked.
    made_from : mapping of str to str
        The labels of the keeper if the lab has no machines yet (:func:`labkit.lab.origin.origin`).
    token : str
        Names the holder among all holders.

    Yields
    ------
    bool
        Whether another holder may have changed the lab since this one held the lock.

    Raises
    ------
    LabBusy
        Another process holds the lock.
    LabError
        The lock was lost during the block: another process removed the lab.
    EngineError
        The engine cannot run the keeper.
    """
    entry = _entry(client, name, mode)
    with entry.guard:
        first = not entry.users
        if first:
            entry.held = _acquire(client, name, mode, what, reporter, wait, image, made_from, token)
        entry.users += 1
    held = entry.held
    try:
        yield first and (held is None or held.last != token)
        if held and held.ended and held is entry.held:
            raise LabError(
                f"lab {name!r} ({mode}) was removed by another process during {what!r}",
                hint=f"labkit status --name {name} --mode {mode}",
            )
    finally:
        with entry.guard:
            entry.users -= 1
            if not entry.users and entry.held:
                entry.held.release()
                entry.held = None


def is_held(client: docker.DockerClient, name: str, mode: str) -> bool:
    """Say whether this process holds the lock of a lab.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    bool
    """
    return _entry(client, name, mode).held is not None


def remove_keeper(client: docker.DockerClient, name: str, mode: str) -> int:
    """Remove the container of a lab's lock, which ends every process that holds or awaits it.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    int
        The number of removed containers: 0 or 1.
    """
    entry = _entry(client, name, mode)
    held, entry.held = entry.held, None  # this process knows that the lock ends here
    try:
        if not (keeper := _keeper(client, name, mode)):
            return 0
        client.api.remove_container(keeper, force=True, v=True)
    except NotFound:
        return 0
    except APIError as error:
        if error.status_code != 409:  # another process is removing it already
            raise
    finally:
        if held:
            held.close()
    return 1


def _entry(client: docker.DockerClient, name: str, mode: str) -> _Entry:
    # a forked process does not hold the locks of its parent
    key = (os.getpid(), str(client.api.base_url), name, mode)
    with _LOCK:
        return _ENTRIES.setdefault(key, _Entry())


def _acquire(
    client: docker.DockerClient,
    name: str,
    mode: str,
    what: str,
    reporter: Reporter,
    wait: float,
    image: str,
    made_from: Mapping[str, str],
    token: str,
) -> _Held | None:
    """Take the lock; return None if there is no lab to lock."""
    about = json.dumps({"what": what, "who": _who(), "token": token})
    argv = agents.argv("hold_lock", FOLDER, about)
    deadline = time.monotonic() + wait
    while True:
        held = _start(client, name, mode, argv, image, made_from)
        if held is None:
            return None
        try:
            if _wait_for(held, name, mode, reporter, wait, deadline):
                return held
        except BaseException:
            held.close()
            raise
        # the keeper is gone: the lab was removed while this process waited


def _wait_for(
    held: _Held, name: str, mode: str, reporter: Reporter, wait: float, deadline: float
) -> bool:
    """Wait until the lock is held; return False if the connection ends before."""
    try:
        line = held.lines.get(timeout=KEEPER_S)
    except queue.Empty:
        raise EngineError(
            f"the lock of lab {name!r} ({mode}) does not answer", hint="labkit doctor"
        ) from None
    busy = ""
    step: ProgressStep | None = None
    with contextlib.ExitStack() as stack:
        while line is not None and not line.startswith("held"):
            if line.startswith("busy "):
                busy = _described(line)
                shown = make_reporter() if isinstance(reporter, QuietReporter) else reporter
                if wait > 0:
                    stack.close()
                    step = stack.enter_context(shown.step(f"{mode}: wait for {busy}"))
            if step:
                step.line("")  # ends this wait if a person interrupted the start of the lab
            if time.monotonic() >= deadline:
                raise _busy(name, mode, busy)
            try:
                line = held.lines.get(timeout=min(1.0, max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                line = ""
    if line is None:
        return False
    with contextlib.suppress(ValueError, KeyError):  # nobody held it before
        held.last = json.loads(line.removeprefix("held"))["token"]
    return True


def _described(line: str) -> str:
    _, seconds, about = line.split(" ", 2)
    try:
        holder = json.loads(about)
        return f"{holder['what']!r} of {holder['who']}, since {max(0, int(seconds))} s"
    except (ValueError, KeyError):
        return "another process"


def _busy(name: str, mode: str, busy: str) -> LabBusy:
    return LabBusy(
        f"lab {name!r} ({mode}) is in use: {busy}",
        hint=f"try again later; or remove the lab under it: "
        f"labkit down --force --name {name} --mode {mode}",
    )


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        user = f"user {os.getuid()}"
    return f"{user} (pid {os.getpid()} on {socket.gethostname()})"


def _start(
    client: docker.DockerClient,
    name: str,
    mode: str,
    argv: list[str],
    image: str,
    made_from: Mapping[str, str],
) -> _Held | None:
    """Start the process of the lock in the keeper; create, start or unpause the keeper first."""
    title, deadline = keeper_name(name, mode), time.monotonic() + KEEPER_S
    keeper = ""
    while True:
        try:
            if keeper := _keeper(client, name, mode):
                created = client.api.exec_create(keeper, argv, stdin=True, workdir="/")
                return _Held(client, created["Id"])
            if not image:
                image, made_from = _of_machines(client, name, mode)
            if not image:
                return None
            _create(client, labels(name, mode, role=LOCK, **made_from), title, image)
            if time.monotonic() > deadline:
                raise NameTaken(
                    f"the name {title} is taken by a container that does not belong to this lab",
                    hint="choose another name with --name",
                )
        except NotFound:
            pass  # it was removed at this moment
        except APIError as error:
            # 409: it does not run; 500: another process stopped or removed it just now
            if error.status_code != 409 and "is not running" not in str(error.explanation):
                raise
            _revive(client, keeper)
            if time.monotonic() > deadline:
                raise EngineError(
                    f"the container of the lock of lab {name!r} ({mode}) does not run",
                    evidence=[str(error.explanation)],
                    hint=f"docker rm --force {title}",
                ) from error


def _keeper(client: docker.DockerClient, name: str, mode: str) -> str:
    """Return the id of the container of a lab's lock, found by its labels, or ""."""
    wanted = lab_filter(name, mode)
    wanted["label"].append(f"{ROLE}={LOCK}")
    listed = client.api.containers(all=True, filters=wanted)
    found = (one["Id"] for one in listed if is_of(one["Labels"], name, mode))
    return next(found, "")


def _of_machines(client: docker.DockerClient, name: str, mode: str) -> tuple[str, dict[str, str]]:
    """Return the image of a lab's machines, and what they were made from."""
    machines = find_nodes(client, name, mode)
    if not machines:
        return "", {}
    return str(machines[0].attrs["Image"]), origin_of(it.labels for it in machines)


def _create(client: docker.DockerClient, own: Mapping[str, str], title: str, image: str) -> None:
    api: Any = client.api
    try:
        api.create_container(
            image,
            name=title,
            labels=own,
            entrypoint=[],
            command=["sleep", "infinity"],
            network_disabled=True,
            host_config={**api.create_host_config(), **KEEPER},
        )
        api.start(title)
    except APIError as error:
        # 409: another process creates it at this moment; 404: one removes it
        if error.status_code not in (404, 409):
            raise EngineError(
                f"the engine could not run {title}, which holds the lab's lock",
                evidence=[str(error.explanation or error)],
                hint="labkit doctor",
            ) from error
        time.sleep(0.1)


def _revive(client: docker.DockerClient, keeper: str) -> None:
    """Start or unpause the keeper; it has no state, so a stopped one holds no lock."""
    with contextlib.suppress(APIError):
        state = client.api.inspect_container(keeper)["State"]
        if state.get("Paused"):
            client.api.unpause(keeper)
        elif not state.get("Running"):
            client.api.start(keeper)
    time.sleep(0.1)
