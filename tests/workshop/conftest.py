"""An engine that notes what it is asked, on a socket in a folder. It refuses nothing."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

VERSION = "1.43"


def identifier(number: int) -> str:
    return f"{number:x}".ljust(64, "0")


class FakeEngine:
    """Containers by their identifiers, and every request that came: its method, path and body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], bytes]] = []
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.processes = 0
        #: what the engine answers when a process is started; 101 connects it
        self.connects = 101

    def add(self, title: str, **labels: str) -> str:
        number = identifier(len(self.containers) + 0xABC000)
        named = {f"labkit.{key}": value for key, value in labels.items()}
        config = {"Labels": named, "Tty": False}
        about = {"Id": number, "Name": f"/{title}", "Config": config}
        self.containers[number] = about
        return number

    def add_network(self, title: str, **labels: str) -> str:
        number = identifier(len(self.networks) + 0xDEF000)
        named = {f"labkit.{key}": value for key, value in labels.items()}
        self.networks[number] = {"Id": number, "Name": title, "Labels": named}
        return number

    @property
    def changes(self) -> list[str]:
        """Everything but questions, as METHOD PATH."""
        return [f"{method} {path}" for method, path, _, _ in self.asked if method != "GET"]

    def find(self, reference: str) -> dict[str, Any] | None:
        for number, one in self.containers.items():
            if number.startswith(reference) or one["Name"] == f"/{reference}":
                return one
        return None


@pytest.fixture
def fake_engine(tmp_path: Path) -> Iterator[tuple[FakeEngine, str]]:
    """Return an engine without anything, and its address."""
    engine = FakeEngine()
    with served(engine, tmp_path / "engine.sock") as address:
        yield engine, address


@contextmanager
def served(engine: FakeEngine, path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self) -> str:
            return "test"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            plain = parts.path.removeprefix(f"/v{VERSION}")
            engine.asked.append((self.command, plain, parse_qs(parts.query), body))
            steps = plain.strip("/").split("/")
            if plain == "/_ping":
                self.reply(200, b"OK")
            elif plain == "/version":
                self.reply(200, {"ApiVersion": VERSION, "Version": "fake"})
            elif plain == "/containers/json":
                # the filter is ignored: the guard must not rely on it alone
                listed = [
                    {"Id": number, "Labels": one["Config"]["Labels"], "Names": [one["Name"]]}
                    for number, one in engine.containers.items()
                ]
                self.reply(200, listed)
            elif plain == "/networks":
                self.reply(200, list(engine.networks.values()))
            elif plain == "/volumes":
                self.reply(200, {"Volumes": list(engine.networks.values()), "Warnings": None})
            elif steps[0] == "networks" and steps[1] in engine.networks:
                self.reply(200, engine.networks[steps[1]])
            elif steps[0] == "exec" and steps[2] == "start":
                self.connect()
            elif steps[0] == "containers" and (found := engine.find(steps[1])):
                self.about_container(found, steps[2])
            else:
                self.reply(404, {"message": "no such thing"})

        def about_container(self, found: dict[str, Any], what: str) -> None:
            if what == "json":
                self.reply(200, found)
            elif what == "exec":
                engine.processes += 1
                self.reply(201, {"Id": identifier(engine.processes)})
            elif what == "archive" and self.command == "GET":
                self.reply(200, b"a tar")
            elif what == "logs":
                self.reply(200, struct.pack(">BxxxL", 1, 5) + b"words")
            else:
                self.reply(204, b"")

        def connect(self) -> None:
            if engine.connects != 101:
                self.reply(engine.connects, {"message": "it cannot be started"})
                return
            self.close_connection = True
            self.wfile.write(
                b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello "
            )
            while data := self.connection.recv(1024):
                self.wfile.write(data)

        def reply(self, status: int, body: object) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
        setattr(Handler, f"do_{method}", Handler.answer)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False

    server = Server(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
