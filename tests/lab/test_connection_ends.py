"""The end of a connection reaches every command that waits, and closes the response."""

from __future__ import annotations

import json
import socket
import struct
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.lab import connection
from labkit.lab.connection import Connection


class Stream:
    """The stream of Docker's client to a machine; the other end is the machine's."""

    def __init__(self) -> None:
        self._sock, self.machine = socket.socketpair()
        self.closed = False
        self._response = SimpleNamespace(close=self.close)

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return self._sock.fileno()

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)


@pytest.fixture
def stream() -> Stream:
    return Stream()


def opened(stream: Stream) -> Connection:
    api = SimpleNamespace(
        exec_create=lambda *_, **__: {"Id": "1"}, exec_start=lambda *_, **__: stream
    )
    container: Any = SimpleNamespace(id="machine", client=SimpleNamespace(api=api))
    return Connection(container)


def answer(stream: Stream, number: int) -> None:
    """Wait for a command, and answer it."""
    stream.machine.recv(1000)
    said = json.dumps({"id": number, "code": 0, "out": "YQ==", "err": ""}).encode() + b"\n"
    stream.machine.sendall(struct.pack(">BxxxI", 1, len(said)) + said)


def end(stream: Stream) -> None:
    """End the connection, and wait until it is closed on this side as well."""
    stream.machine.close()
    deadline = time.monotonic() + 20
    while not stream.closed:
        assert time.monotonic() < deadline, "the response was not closed"
        time.sleep(0.01)


def test_answer_just_before_the_end_counts(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            found = super().result(timeout)
            end(stream)  # before the command is no longer among those that wait
            return found

    monkeypatch.setattr(connection, "Future", Slow)
    opening = opened(stream)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(answer, stream, 0)
        assert opening.run(["true"], None, "", 20) == (0, b"a", b"")


def test_command_without_an_answer_fails_at_the_end(stream: Stream) -> None:
    opening = opened(stream)
    stream.machine.shutdown(socket.SHUT_WR)
    with pytest.raises(LabError, match="the connection to the machine"):
        opening.run(["true"], None, "", 20)
    end(stream)


def test_threads_open_one_connection_together(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_by: list[str] = []

    class Slow:
        _broken = False

        def __init__(self, container: Any) -> None:
            opened_by.append(container.id)
            time.sleep(0.1)

    monkeypatch.setattr(connection, "Connection", Slow)
    monkeypatch.setattr(connection, "_CONNECTIONS", {})
    machine: Any = SimpleNamespace(id="machine")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(connection.connection_to, [machine] * 8))
    assert (opened_by, len(found)) == (["machine"], 1)
