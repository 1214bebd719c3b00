"""One connection to each machine, which carries all commands for that machine.

To start a command in a container through the engine costs a tenth of a second of CPU time, most
of it to enter the container. A small server in the machine (``labkit.agents.run_commands``)
starts commands far more cheaply. The engine starts that server, which ends with the connection.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import itertools
import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from docker.models.containers import Container
from docker.utils.socket import frames_iter

from labkit import agents
from labkit.errors import LabError

__all__ = [
    "Connection",
    "NotStarted",
    "callers",
    "close_all",
    "connection_to",
    "readmit",
    "refuse",
]

_CONNECTIONS: dict[str, Connection] = {}
_OPENING: dict[str, threading.Lock] = {}
#: The threads whose commands are not started any more.
_REFUSED: set[int] = set()
_LOCK = threading.Lock()


class NotStarted(LabError):
    """A machine answered that it cannot start a command."""


class Connection:
    """The connection to one machine.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine; it must be running.
    """

    def __init__(self, container: Container) -> None:
        api = container.client.api  # type: ignore[union-attr]
        argv = agents.argv("run_commands")
        created = api.exec_create(container.id, argv, stdin=True, workdir="/")
        self._stream: Any = api.exec_start(created["Id"], socket=True)
        self._raw: Any = getattr(self._stream, "_sock", self._stream)
        self._raw.settimeout(None)
        self._name = str(container.id)
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._callers: dict[int, int] = {}
        self._lock = threading.Lock()
        self._broken = False
        threading.Thread(target=self._read, daemon=True).start()

    def run(
        self, argv: Sequence[str], stdin: bytes | None, user: str, timeout: float
    ) -> tuple[int, bytes, bytes]:
        """Run a command; return its exit status and its output.

        Parameters
        ----------
        argv : sequence of str
            The command and its arguments.
        stdin : bytes or None
            The command's standard input; None for no input.
        user : str
            The user that runs it; "" for root.
        timeout : float
            Seconds to wait for the answer.

        Returns
        -------
        exit_code : int
        stdout, stderr : bytes

        Raises
        ------
        NotStarted
            The machine says why it cannot start the command.
        LabError
            The connection broke.
        """
        given = None if stdin is None else base64.b64encode(stdin).decode()
        left = self._ask({"argv": list(argv), "stdin": given, "user": user}, timeout)
        if "error" in left:
            raise NotStarted(left["error"])
        return left["code"], base64.b64decode(left["out"]), base64.b64decode(left["err"])

    def call(self, program: str, arguments: Sequence[str], timeout: float) -> str:
        """Let the server itself call a program, which is faster than another Python.

        Parameters
        ----------
        program : str
            The text of a Python module with a function ``answer``.
        arguments : sequence of str
            The arguments of the function.
        timeout : float
            Seconds to wait for the answer.

        Returns
        -------
        str
            What the function returns.

        Raises
        ------
        LabError
            The connection broke, or the program failed.
        """
        left = self._ask({"program": program, "arguments": list(arguments)}, timeout)
        if "error" in left:
            raise LabError(left["error"])
        return base64.b64decode(left["out"]).decode()

    def _ask(self, question: dict[str, Any], timeout: float) -> dict[str, Any]:
        number, future = next(self._numbers), Future[dict[str, Any]]()
        with self._lock:
            if self._broken:
                raise LabError("the connection to the machine is closed")
            if threading.get_ident() in _REFUSED:
                raise LabError("not started because of an interrupt")
            self._waiting[number], self._callers[number] = future, threading.get_ident()
            try:
                self._raw.sendall(json.dumps({"id": number, **question}).encode() + b"\n")
            except OSError as error:
                raise LabError(f"the connection to the machine broke: {error}") from error
        try:
            left = future.result(timeout)
        except TimeoutError:
            raise LabError(
                f"the machine did not report the end of the command within {timeout:g} s"
            ) from None
        finally:
            self._waiting.pop(number, None)
            self._callers.pop(number, None)
        return left

    def close(self) -> None:
        """Close the connection, which ends the server in the machine."""
        with self._lock:
            self._broken = True
        with contextlib.suppress(OSError):
            self._raw.shutdown(2)

    def callers(self) -> set[int]:
        """Return the threads that wait for a command here."""
        with self._lock:
            return set(self._callers.values())

    def _read(self) -> None:
        parts: list[bytes] = []
        with contextlib.suppress(OSError, ValueError):
            for number, data in frames_iter(self._stream, tty=False):  # type: ignore[no-untyped-call]
                if number != 1:
                    continue
                *ends, rest = data.split(b"\n")
                for end in ends:
                    left = json.loads(b"".join([*parts, end]))
                    parts = []
                    if future := self._waiting.pop(left["id"], None):
                        future.set_result(left)
                parts.append(rest)
        with self._lock:
            self._broken = True
            waiting, self._waiting = self._waiting, {}
        with _LOCK:
            if _CONNECTIONS.get(self._name) is self:
                del _CONNECTIONS[self._name]
        for future in waiting.values():
            future.set_exception(LabError("the connection to the machine broke"))
        self._stream._response.close()  # the response owns the connection, not the stream
        self._raw.close()


def connection_to(container: Container) -> Connection:
    """Return the connection to a machine; open it first if necessary.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine; it must be running.

    Returns
    -------
    Connection
    """
    name = str(container.id)
    with _LOCK:
        opening = _OPENING.setdefault(name, threading.Lock())
    with opening:  # one thread opens it, and the others use it
        with _LOCK:
            found = _CONNECTIONS.get(name)
        if found is None or found._broken:
            found = Connection(container)
            with _LOCK:
                _CONNECTIONS[name] = found
    return found


def refuse(thread: int) -> None:
    """End the command that a thread waits for, and start no other for it.

    A command runs on its machine until its connection ends, so that connection is closed.

    Parameters
    ----------
    thread : int
        The identifier of the thread.
    """
    with _LOCK:
        _REFUSED.add(thread)
        connections = list(_CONNECTIONS.values())
    for connection in connections:
        if thread in connection.callers():
            connection.close()


def readmit(thread: int) -> None:
    """Start commands again for a thread, or for the next one with the same identifier."""
    with _LOCK:
        _REFUSED.discard(thread)


def callers() -> set[int]:
    """Return the threads that wait for a command of any machine."""
    with _LOCK:
        connections = list(_CONNECTIONS.values())
    return {thread for connection in connections for thread in connection.callers()}


def close_all() -> None:
    """Close the connections to all machines."""
    with _LOCK:
        connections = list(_CONNECTIONS.values())
    for connection in connections:
        connection.close()


atexit.register(close_all)
