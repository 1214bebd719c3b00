"""What a participant may ask the engine for, if they are not trusted with the whole machine.

Who can use the engine's socket is root on its machine. The guard stands in front of that socket and
shows one lab: the machines that have its labels. No request is passed on. Each one is compared with
the few requests that labkit itself makes of a lab that is up (:data:`OPERATIONS`); the guard then
asks the engine with a request of its own, by the Docker SDK, and in it the identifier that the
engine itself gave for the machine. Everything else is refused.

It does not create machines, because a request for one can ask for the host. The trainer does that.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import docker
from docker.errors import APIError, DockerException, NotFound

from labkit.lab.engine import LABEL, MODE
from labkit.lab.origin import WORKSHOP

__all__ = ["OPERATIONS", "Answer", "Guard", "Operation", "Refused", "Request", "Terminal"]

#: The most bytes of a file that is read from a machine, and of the files that are written to one.
MOST_READ = 32 << 20
#: The most lines of a machine's log.
MOST_LINES = 1000
#: The most processes that are made and not started yet.
MOST_MADE = 256

#: What the engine takes as a name or an identifier. It has no percent sign and no slash.
REFERENCE = r"(?P<reference>[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127})"
VERSION = re.compile(r"/v(?P<version>[0-9]{1,2}\.[0-9]{1,3})(?P<path>/.*)")
#: A path in a machine's file system, as labkit writes it.
FILE = re.compile(r"/|(/[A-Za-z0-9@_+:=.,-]+)+")

#: A process in a machine, as labkit asks for one. "Privileged" would give it the kernel's modules,
#: and another folder has led to the host's files before (CVE-2024-21626).
PROCESS: Mapping[str, Any] = {
    "User": "",
    "Privileged": False,
    "Tty": False,
    "AttachStdin": True,
    "AttachStdout": True,
    "AttachStderr": True,
    "Env": None,
    "WorkingDir": "/",
}


class Refused(Exception):
    """A request that is not one of those that labkit makes of this lab.

    Parameters
    ----------
    message : str
        What happened, for the person who sent the request.
    status : int
        The status of HTTP.
    """

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request, complete and not checked yet.

    Parameters
    ----------
    method, target : str
        As in the first line of the request.
    body : bytes
    upgrade : bool
        Whether it asks to speak with a process on the same connection.
    """

    method: str
    target: str
    body: bytes = b""
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Parameters
    ----------
    body : bytes
    status : int
        The status of HTTP.
    kind : str
        The type of the body.
    """

    body: bytes
    status: int = 200
    kind: str = "application/json"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A process of a machine that has been started, with the engine's connection to it.

    Parameters
    ----------
    read : callable
        Returns the next bytes of its output; none at the end.
    write : callable
        Sends bytes to its input.
    end_input : callable
        Ends its input.
    close : callable
        Closes the connection, which ends the process.
    """

    read: Callable[[], bytes]
    write: Callable[[bytes], None]
    end_input: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of request that labkit makes.

    Parameters
    ----------
    method : str
    path : str
        A regular expression for the whole path.
    ask : callable
        Takes the guard, the reference in the path, the query and the request; asks the engine.
    fixed : mapping of str to str
        Parameters of the query that labkit sends, each with the one value that it has.
    free : frozenset of str
        Parameters of the query that `ask` checks.
    """

    method: str
    path: str
    ask: Callable[[Guard, str, Mapping[str, str], Request], Answer | Terminal]
    fixed: Mapping[str, str]
    free: frozenset[str]


class Guard:
    """The engine, as the participant of one lab may see it.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name : str
        The name of the participant's labs: all modes of it.
    workshop : str
        The workshop for which they were made. A lab of the name without it belongs to others.
    """

    def __init__(self, client: docker.DockerClient, name: str, workshop: str) -> None:
        if not name or not workshop:
            raise ValueError("a guard without a name would show every lab")
        self.client = client
        self.name = name
        self.workshop = workshop
        self._made: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer | Terminal:
        """Ask the engine for what a request wants, if it is one that labkit makes of this lab.

        Parameters
        ----------
        request : Request

        Returns
        -------
        Answer or Terminal
            What the engine says, also if it cannot do it.

        Raises
        ------
        Refused
            It is another request.
        """
        operation, reference, query = self._recognised(request)
        try:
            return operation.ask(self, reference, query, request)
        except APIError as error:
            return _message(str(error.explanation or error), error.status_code or 502)
        except (DockerException, OSError) as error:
            return _message(f"the engine does not answer: {error}", 502)

    def is_own(self, labels: Mapping[str, str] | None) -> bool:
        """Say whether labels are those of a part of this participant's labs.

        Parameters
        ----------
        labels : mapping of str to str, or None

        Returns
        -------
        bool
        """
        return bool(
            labels
            and labels.get(LABEL) == self.name
            and labels.get(WORKSHOP) == self.workshop
            and labels.get(MODE)
        )

    def container(self, reference: str) -> dict[str, Any]:
        """Return what the engine says of a machine of this participant's labs.

        Parameters
        ----------
        reference : str
            A name, an identifier or the beginning of one; the engine decides which.

        Returns
        -------
        dict
            With the whole identifier as "Id".

        Raises
        ------
        Refused
            There is no such machine, or it is not the participant's. The message is the same.
        """
        try:
            found: dict[str, Any] = self.client.api.inspect_container(reference)
        except NotFound:
            found = {}
        if not found or not self.is_own(found["Config"].get("Labels")):
            raise self._no("container", reference)
        return found

    def network(self, reference: str) -> dict[str, Any]:
        """Return what the engine says of a network of this participant's labs.

        Parameters
        ----------
        reference : str
            A name or an identifier.

        Returns
        -------
        dict

        Raises
        ------
        Refused
            There is no such network, or it is not the participant's.
        """
        try:
            found: dict[str, Any] = self.client.api.inspect_network(reference)
        except NotFound:
            found = {}
        if not self.is_own(found.get("Labels")):
            raise self._no("network", reference)
        return found

    def note_process(self, identifier: str) -> None:
        """Note a process that the guard has made, so that it may be started.

        Parameters
        ----------
        identifier : str
        """
        with self._lock:
            self._made[identifier] = None
            while len(self._made) > MOST_MADE:
                self._made.popitem(last=False)

    def take_process(self, identifier: str) -> str:
        """Return the identifier of a process that the guard has made; it is started only once.

        Parameters
        ----------
        identifier : str

        Returns
        -------
        str

        Raises
        ------
        Refused
            The guard did not make it, or it was started already.
        """
        with self._lock:
            if identifier not in self._made:
                raise self._no("process", identifier)
            del self._made[identifier]
        return identifier

    def _no(self, kind: str, reference: str) -> Refused:
        return Refused(
            f"there is no {kind} {reference!r} in the labs of {self.name}, "
            "and this socket leads to nothing else",
            404,
        )

    def _recognised(self, request: Request) -> tuple[Operation, str, dict[str, str]]:
        """Return the operation, the reference in its path and its query."""
        path, mark, text = request.target.partition("?")
        if versioned := VERSION.fullmatch(path):
            # an older version means another thing by the same request
            if versioned["version"] != self.client.api.api_version:
                raise Refused(
                    f"this socket speaks version {self.client.api.api_version} of the engine's API"
                )
            path = versioned["path"]
        for operation in OPERATIONS:
            found = re.fullmatch(operation.path, path, re.ASCII)
            if found and request.method == operation.method:
                query = _query(text) if mark else {}
                break
        else:
            raise Refused(
                f"{request.method} {path[:100]} is not among the requests that labkit makes of a "
                f"lab that is up, so this socket does not pass it on"
            )
        for key, value in query.items():
            if key not in operation.free and operation.fixed.get(key) != value:
                raise Refused(f"the parameter {key[:40]}={value[:40]} is not one that labkit sends")
        if request.body and operation.method == "GET":
            raise Refused("a GET has no body here")
        return operation, found.groupdict().get("reference", ""), query


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, max_num_fields=10, errors="strict"
        )
    except ValueError as error:
        raise Refused("the query of the request cannot be read") from error
    query = dict(pairs)
    if len(query) != len(pairs):
        raise Refused("a parameter of the request is given twice")
    return query


def _json(found: object) -> Answer:
    return Answer(json.dumps(found).encode())


def _message(text: str, status: int) -> Answer:
    return Answer(json.dumps({"message": text[:1000]}).encode(), status)


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, in which no key is given twice."""

    def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    try:
        found = json.loads(body, object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as error:
        raise Refused("the body of the request is not plain JSON") from error
    if not isinstance(found, dict):
        raise Refused("the body of the request is not an object")
    return found


def _labels(query: Mapping[str, str], guard: Guard) -> dict[str, Any]:
    """Return the filter of a list: the labels that were asked for, and those of the lab."""
    wanted = _object(query["filters"].encode()) if "filters" in query else {}
    labels = wanted.get("label", [])
    if set(wanted) - {"label"} or not _are_texts(labels):
        raise Refused("labkit filters by labels only")
    return {"label": [*labels, f"{LABEL}={guard.name}", f"{WORKSHOP}={guard.workshop}"]}


def _are_texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _own(found: Iterable[Mapping[str, Any]], guard: Guard) -> list[Mapping[str, Any]]:
    return [one for one in found if guard.is_own(one.get("Labels"))]


def _ping(guard: Guard, _: str, __: Mapping[str, str], ___: Request) -> Answer:
    guard.client.api.ping()
    return Answer(b"OK", kind="text/plain")


def _version(guard: Guard, _: str, __: Mapping[str, str], ___: Request) -> Answer:
    return _json(guard.client.api.version())


def _containers(guard: Guard, _: str, query: Mapping[str, str], __: Request) -> Answer:
    every = query.get("all", "0")
    if every not in ("0", "1"):
        raise Refused("the parameter all is 0 or 1")
    listed = guard.client.api.containers(all=every == "1", filters=_labels(query, guard))
    return _json(_own(listed, guard))


def _networks(guard: Guard, _: str, query: Mapping[str, str], __: Request) -> Answer:
    return _json(_own(guard.client.api.networks(filters=_labels(query, guard)), guard))


def _volumes(guard: Guard, _: str, query: Mapping[str, str], __: Request) -> Answer:
    listed = guard.client.api.volumes(filters=_labels(query, guard))
    return _json({"Volumes": _own(listed["Volumes"] or [], guard), "Warnings": None})


def _container(guard: Guard, reference: str, _: Mapping[str, str], __: Request) -> Answer:
    return _json(guard.container(reference))


def _network(guard: Guard, reference: str, _: Mapping[str, str], __: Request) -> Answer:
    return _json(guard.network(reference))


def _logs(guard: Guard, reference: str, query: Mapping[str, str], _: Request) -> Answer:
    lines = query.get("tail", "")
    if not re.fullmatch("[0-9]{1,4}", lines) or int(lines) > MOST_LINES:
        raise Refused(f"labkit asks for the last lines of a log, and {MOST_LINES} at most")
    found = guard.container(reference)
    text: bytes = guard.client.api.logs(found["Id"], tail=int(lines))[:MOST_READ]
    # as the engine marks the output of a process without a terminal
    return Answer(struct.pack(">BxxxL", 1, len(text)) + text, kind="application/octet-stream")


def _start(guard: Guard, reference: str, _: Mapping[str, str], request: Request) -> Answer:
    _require_empty(request)
    guard.client.api.start(guard.container(reference)["Id"])
    return Answer(b"", 204)


def _unpause(guard: Guard, reference: str, _: Mapping[str, str], request: Request) -> Answer:
    _require_empty(request)
    guard.client.api.unpause(guard.container(reference)["Id"])
    return Answer(b"", 204)


def _require_empty(request: Request) -> None:
    # an old engine takes the settings of a machine, also the host's folders, when it starts
    if request.body:
        raise Refused("labkit starts a machine as it was made, without settings in the request")


def _read(guard: Guard, reference: str, query: Mapping[str, str], _: Request) -> Answer:
    path = _file(query)
    chunks, _stat = guard.client.api.get_archive(guard.container(reference)["Id"], path)
    data = bytearray()
    try:
        for chunk in chunks:
            data += chunk
            if len(data) > MOST_READ:
                raise Refused(f"{path} is larger than {MOST_READ >> 20} MiB")
    finally:
        chunks.close()
    return Answer(bytes(data), kind="application/x-tar")


def _file(query: Mapping[str, str]) -> str:
    path = query.get("path", "")
    if not FILE.fullmatch(path) or ".." in path.split("/"):
        raise Refused("the path of the file is not one that labkit uses")
    return path


def _make(guard: Guard, reference: str, _: Mapping[str, str], request: Request) -> Answer:
    asked = _object(request.body)
    command, _container = asked.pop("Cmd", None), asked.pop("Container", None)
    if not command or not _are_texts(command):
        raise Refused("a process needs a command")
    for key in sorted({*asked, *PROCESS}):
        # 1 == True in Python, so the types are compared as well
        if key not in PROCESS or json.dumps(asked.get(key)) != json.dumps(PROCESS[key]):
            raise Refused(
                f"labkit starts processes as root, without more rights; {key[:40]!r} differs"
            )
    found = guard.container(reference)
    made = guard.client.api.exec_create(found["Id"], command, stdin=True, workdir="/")
    guard.note_process(made["Id"])
    return Answer(json.dumps({"Id": made["Id"]}).encode(), 201)


def _run(guard: Guard, reference: str, _: Mapping[str, str], request: Request) -> Answer | Terminal:
    if json.dumps(_object(request.body), sort_keys=True) != '{"Detach": false, "Tty": false}':
        raise Refused("labkit stays connected to a process, without a terminal")
    if not request.upgrade:
        raise Refused("labkit asks to speak with the process on the same connection")
    stream: Any = guard.client.api.exec_start(guard.take_process(reference), socket=True)
    response = stream._response
    raw: Any = getattr(stream, "_sock", stream)
    if response.status_code not in (101, 200):
        response.close()
        return _message("the engine did not connect the process", 502)
    raw.settimeout(None)
    reader = response.raw._fp.fp  # holds what came with the head of the answer

    def end_input() -> None:
        raw.shutdown(1)

    def close() -> None:
        with contextlib.suppress(OSError):
            raw.shutdown(2)
        response.close()
        raw.close()

    return Terminal(lambda: reader.read1(1 << 16), raw.sendall, end_input, close)


def _operations() -> Iterable[Operation]:
    listed = {"limit": "-1", "size": "0", "trunc_cmd": "0"}
    lines = {"stdout": "1", "stderr": "1", "timestamps": "0", "follow": "0"}
    container, free = f"/containers/{REFERENCE}", frozenset[str]

    yield Operation("GET", "/_ping", _ping, {}, free())
    yield Operation("GET", "/version", _version, {}, free())
    yield Operation("GET", "/containers/json", _containers, listed, free({"all", "filters"}))
    yield Operation("GET", "/networks", _networks, {}, free({"filters"}))
    yield Operation("GET", "/volumes", _volumes, {}, free({"filters"}))
    yield Operation("GET", f"/networks/{REFERENCE}", _network, {}, free())
    yield Operation("GET", f"{container}/json", _container, {}, free())
    yield Operation("GET", f"{container}/logs", _logs, lines, free({"tail"}))
    yield Operation("GET", f"{container}/archive", _read, {}, free({"path"}))
    yield Operation("POST", f"{container}/start", _start, {}, free())
    yield Operation("POST", f"{container}/unpause", _unpause, {}, free())
    yield Operation("POST", f"{container}/exec", _make, {}, free())
    yield Operation("POST", f"/exec/{REFERENCE}/start", _run, {}, free())


#: Everything that a participant may ask for.
OPERATIONS = tuple(_operations())
