"""The sockets of the guard: one for each participant, with HTTP read by h11.

A connection carries one request. So there is no second request whose beginning the guard and the
engine could see in different places.
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
from labkit.workshop.guard import MOST_WRITTEN, Answer, Guard, Refused, Request, Terminal

__all__ = ["SOCKET", "guarding"]

#: The name of the socket in a participant's folder.
SOCKET = "docker.sock"
#: Seconds in which a request must be complete, and in which a client must take an answer.
REQUEST_S, ANSWER_S = 30.0, 60.0
#: Seconds for which the rest of a request is dropped after it was answered.
DROPPED_S = 2.0
#: The most bytes of a request: labkit's largest is an archive of files.
MOST_BODY = MOST_WRITTEN + (64 << 10)
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
    path = folder / SOCKET
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        server = _Server(path, guard, report)
        path.chmod(0o666)  # a user of the participant's container has another number
    except OSError as error:
        raise ConfigError(
            f"the socket {path} cannot be made: {error.strerror or error}",
            hint="use a folder of your own with a short path",
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)
        thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, guard: Guard, report: Report) -> None:
        self.guard = guard
        self.report = report
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(str(path), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        if not self.free.acquire(blocking=False):
            self.report(f"{self.guard.name}: more than {MOST_CONNECTIONS} connections at once")
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
        connection = h11.Connection(h11.SERVER)
        request: Request | None = None
        terminal: Terminal | None = None
        try:
            request = _receive(self.request, connection)
            answer = self.server.guard.answer(request)
            if isinstance(answer, Terminal):
                terminal = answer
        except Refused as error:
            asked = f"{request.method} {request.target[:120]}" if request else "a request"
            self.server.report(f"{self.server.guard.name}: refused {asked}: {error}")
            answer = Answer(_message(str(error)), error.status)
        except TimeoutError:
            return
        self.request.settimeout(ANSWER_S)
        if terminal is None:
            assert isinstance(answer, Answer)
            _send(self.request, connection, answer)
            return
        try:
            self.request.sendall(_switched(connection))
            early, _ = connection.trailing_data
            _join(self.request, terminal, early)
        finally:
            terminal.close()


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


def _send(stream: socket.socket, connection: h11.Connection, answer: Answer) -> None:
    headers = [("Content-Type", answer.kind), ("Connection", "close")]
    if answer.status != 204:
        headers.append(("Content-Length", str(len(answer.body))))
    # after a request that is not valid, h11 lets a server answer as well
    head = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    stream.sendall(head + (connection.send(h11.Data(data=answer.body)) or b""))
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


def _join(stream: socket.socket, terminal: Terminal, early: bytes) -> None:
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
