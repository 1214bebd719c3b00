"""The sockets of a participant's Jupyter: the guarded engine, with HTTP read by h11, and the Hub.

A connection to the engine carries one request. So there is no second request whose beginning the
guard and the engine could see in different places.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h11

from labkit.errors import ConfigError
from labkit.workshop.guard import Answer, Guard, Refused, Request, Terminal

__all__ = ["ENGINE", "HUB", "guarding", "joining_hub"]

#: The names of the sockets in a participant's folder.
ENGINE, HUB = "docker.sock", "hub.sock"
#: Seconds in which a request must be complete, and in which a client must take an answer.
REQUEST_S, ANSWER_S = 30.0, 60.0
#: Seconds for which the rest of a request is dropped after it was answered.
DROPPED_S = 2.0
#: The most bytes of a request: labkit's largest is a command with its arguments.
MOST_BODY = 1 << 20
#: The most connections of one participant at once. labkit holds one for each machine and kernel.
MOST_CONNECTIONS = 256

Report = Callable[[str], None]


@contextlib.contextmanager
def guarding(guard: Guard, folder: Path, report: Report) -> Iterator[Path]:
    """Serve the socket of one participant during the block.

    Parameters
    ----------
    guard : Guard
        The participant's.
    folder : pathlib.Path
        The folder of the socket, which is made if necessary. Everybody who may enter
        it may use the socket, so nobody but the trainer may enter the folder above.
    report : callable
        Takes one line about each request that is refused.

    Yields
    ------
    pathlib.Path
        The socket.

    Raises
    ------
    ConfigError
        The socket cannot be made.
    """
    with _serving(folder / ENGINE, guard.name, report, lambda one: _guard(one, guard, report)):
        yield folder / ENGINE


@contextlib.contextmanager
def joining_hub(name: str, port: int, folder: Path, report: Report) -> Iterator[Path]:
    """Serve a socket that leads to the Hub on this machine during the block.

    So a participant's Jupyter reaches the Hub, which listens on the loopback address only.

    Parameters
    ----------
    name : str
        The participant's name, for the reports.
    port : int
        The port of the Hub on 127.0.0.1.
    folder : pathlib.Path
        The participant's folder, as for :func:`guarding`.
    report : callable
        Takes one line about too many connections.

    Yields
    ------
    pathlib.Path
        The socket.

    Raises
    ------
    ConfigError
        The socket cannot be made.
    """
    with _serving(folder / HUB, name, report, lambda one: _join_hub(one, port)):
        yield folder / HUB


@contextlib.contextmanager
def _serving(
    path: Path, name: str, report: Report, handle: Callable[[socket.socket], None]
) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        server = _Server(path, name, report, handle)
        path.chmod(0o666)  # the user of the participant's container has another number
    except OSError as error:
        raise ConfigError(
            f"the socket {path} cannot be made: {error.strerror or error}",
            hint="use a folder of your own with a short path",
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)
        thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self, path: Path, name: str, report: Report, handle: Callable[[socket.socket], None]
    ) -> None:
        self.name = name
        self.report = report
        self.handle = handle
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(str(path), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        if not self.free.acquire(blocking=False):
            self.report(f"{self.name}: more than {MOST_CONNECTIONS} connections at once")
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self.free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a client that goes away is no error of the trainer's."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        self.server.handle(self.request)


def _guard(stream: socket.socket, guard: Guard, report: Report) -> None:
    """Answer the one request of a connection."""
    connection = h11.Connection(h11.SERVER)
    request: Request | None = None
    try:
        request = _receive(stream, connection)
        answer = guard.answer(request)
    except Refused as error:
        asked = f"{request.method} {request.target[:120]}" if request else "a request"
        report(f"{guard.name}: refused {asked}: {error}")
        answer = Answer(_message(str(error)), error.status)
    except TimeoutError:
        return
    stream.settimeout(ANSWER_S)
    if isinstance(answer, Answer):
        _send(stream, connection, answer, with_body=not request or request.method != "HEAD")
        return
    try:
        stream.sendall(_switched(connection))
        _join(stream, answer, early=connection.trailing_data[0])
    finally:
        answer.close()


def _join_hub(stream: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        hub = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        hub.settimeout(None)
        with hub, hub.makefile("rb") as reader:
            terminal = Terminal(
                lambda: reader.read1(1 << 16),
                hub.sendall,
                lambda: hub.shutdown(socket.SHUT_WR),
                lambda: hub.shutdown(socket.SHUT_RDWR),
            )
            _join(stream, terminal)


def _message(text: str) -> bytes:
    return json.dumps({"message": f"labkit guard: {text}"}).encode()


def _receive(stream: socket.socket, connection: h11.Connection) -> Request:
    """Read one request, in bounded time and memory."""
    deadline = time.monotonic() + REQUEST_S
    head: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Refused(f"the request is not valid HTTP: {error}", 400) from error
        if event is h11.NEED_DATA:
            stream.settimeout(max(0.01, deadline - time.monotonic()))
            connection.receive_data(stream.recv(1 << 16))
        elif isinstance(event, h11.Request):
            head = event
            if head.http_version != b"1.1":
                raise Refused("the request is not of HTTP 1.1", 400)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MOST_BODY:
                raise Refused(f"the request is larger than {MOST_BODY} bytes", 413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            wanted = [value for name, value in head.headers if name == b"upgrade"]
            return Request(
                head.method.decode("ascii"),
                head.target.decode("ascii", errors="replace"),
                bytes(body),
                wanted == [b"tcp"],
            )
        else:  # the client has gone
            raise TimeoutError


def _send(
    stream: socket.socket, connection: h11.Connection, answer: Answer, *, with_body: bool
) -> None:
    headers = [("Content-Type", answer.kind), ("Connection", "close")]
    if answer.status != 204:
        headers.append(("Content-Length", str(len(answer.body))))
    # after a request that is not valid, h11 lets a server answer as well
    head = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    body = connection.send(h11.Data(data=answer.body)) if with_body else b""
    stream.sendall(head + (body or b""))
    connection.send(h11.EndOfMessage())
    _part(stream)


def _part(stream: socket.socket) -> None:
    """End the answer, and drop what the client still sends, so that it can read the answer."""
    deadline = time.monotonic() + DROPPED_S
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            stream.settimeout(left)
            if not stream.recv(1 << 16):
                break


def _switched(connection: h11.Connection) -> bytes:
    answer = h11.InformationalResponse(
        status_code=101, headers=[("Connection", "Upgrade"), ("Upgrade", "tcp")]
    )
    return connection.send(answer) or b""


def _join(stream: socket.socket, terminal: Terminal, early: bytes = b"") -> None:
    """Carry bytes between a client and a process until either ends."""
    stream.settimeout(None)

    def to_process() -> None:
        try:
            data = early or stream.recv(1 << 16)
            while data:
                terminal.write(data)
                data = stream.recv(1 << 16)
            terminal.end_input()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                terminal.close()

    carrier = threading.Thread(target=to_process, daemon=True)
    carrier.start()
    try:
        while data := terminal.read():
            stream.sendall(data)
    except (OSError, ValueError):
        pass
    finally:
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        carrier.join()
