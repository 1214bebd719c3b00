"""Throwaway certificates, and servers and clients that talk over a socket pair or loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.agents._connections import load_pair
from labkit.lab.pki import Authority, Leaf

Serve = Callable[[socket.socket], None]
Shake = Callable[[socket.socket, ssl.SSLContext], ssl.SSLSocket]


@pytest.fixture(scope="session")
def leaf() -> Leaf:
    """A server's certificate, by an unknown authority."""
    return Authority.create("throwaway").issue("localhost", hosts=["localhost"], usages=["server"])


@pytest.fixture
def server_context(leaf: Leaf) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_pair(context, leaf.certificate.decode(), leaf.key.decode())
    return context


@pytest.fixture
def client_context() -> ssl.SSLContext:
    """Return a context that verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def shake() -> Shake:
    """Shake hands as a client; after a refusal read on, because a reset may overtake the alert."""

    def handshake(connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        with connection.dup() as kept:
            kept.settimeout(5)
            try:
                return context.wrap_socket(connection, server_hostname="localhost")
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    kept.shutdown(socket.SHUT_WR)
                    while kept.recv(65536):
                        pass
                raise

    return handshake


@pytest.fixture
def peer() -> Iterator[Callable[[Serve], socket.socket]]:
    """Return one end of a socket pair; a function plays the other in a thread."""
    threads, sockets = [], []

    def start(serve: Serve) -> socket.socket:
        here, there = socket.socketpair()
        here.settimeout(5)
        there.settimeout(5)

        def run() -> None:
            with contextlib.suppress(OSError), there:
                serve(there)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)
        sockets.append(here)
        return here

    yield start
    for each in sockets:
        each.close()
    for thread in threads:
        thread.join(60)


@pytest.fixture
def listening() -> Iterator[Callable[[Serve], int]]:
    """Return the loopback port of a server; a function serves each connection in a thread."""
    listeners, threads = [], []

    def start(serve: Serve) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def each(connection: socket.socket) -> None:
            connection.settimeout(5)
            with contextlib.suppress(OSError), connection:
                serve(connection)

        def accept() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                thread = threading.Thread(target=each, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        listeners.append(listener)
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(60)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a shell script in the place of a command; its calls are lines of the file returned."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str = "") -> Path:
        calls = tmp_path / f"calls-of-{name}"
        calls.touch()
        file = folder / name
        said = """printf '%s\\n' "$*" """
        file.write_text(f'#!/bin/sh\n{said}>>"{calls}"\n{script}\n')
        file.chmod(0o755)
        return calls

    return make
