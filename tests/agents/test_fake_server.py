"""The fake server: what it relays, what it records, and which clients it answers over TLS."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import fake_server
from labkit.agents.fake_server import FakeServer
from labkit.lab.pki import Authority, Leaf

WANTED = "Bearer reporter"
JOB = {"client": "10.0.0.5", "servers": ["10.0.0.1", "10.0.0.2"], "port": 2379}


@pytest.fixture
def fake(server_context: ssl.SSLContext) -> Iterator[FakeServer]:
    made = FakeServer(server_context, WANTED, "not what you asked for")
    yield made
    made.stop.set()


@pytest.fixture
def relayed(fake: FakeServer) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a client's and a server's socket, with the relay between them."""
    client, passed = socket.socketpair()
    taken, server = socket.socketpair()
    for each in (client, server):
        each.settimeout(5)
    thread = threading.Thread(target=fake.relay, args=(passed, taken))
    thread.start()
    with client, server, passed, taken:
        yield client, server
        fake.stop.set()
        thread.join(60)


def test_both_directions_are_passed_on(relayed: Any) -> None:
    client, server = relayed
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert server.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
    server.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.recv(100) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_wanted_text_is_recorded_even_in_two_pieces(fake: FakeServer, relayed: Any) -> None:
    client, server = relayed
    client.sendall(b"Authorization: Bearer rep")
    server.recv(100)
    assert not fake.seen
    client.sendall(b"orter\r\n")
    server.recv(100)
    assert fake.enough.wait(60)
    kept = base64.b64decode(fake.seen[0]["plaintext"])
    assert kept == b"Authorization: Bearer reporter\r\n"


def test_only_the_end_of_the_traffic_is_kept(fake: FakeServer, relayed: Any) -> None:
    client, _ = relayed
    client.sendall(b"x" * 5000 + WANTED.encode())
    assert fake.enough.wait(60)
    kept = base64.b64decode(fake.seen[0]["plaintext"])
    assert len(kept) == 2000
    assert kept.endswith(WANTED.encode())


def test_answer_of_the_server_is_not_recorded_as_the_clients(
    fake: FakeServer, relayed: Any
) -> None:
    client, server = relayed
    server.sendall(WANTED.encode())
    assert client.recv(100) == WANTED.encode()
    assert not fake.seen


def test_relay_ends_when_either_side_closes(fake: FakeServer) -> None:
    client, passed = socket.socketpair()
    taken, server = socket.socketpair()
    with passed, taken, server:
        client.close()
        fake.relay(passed, taken)


def test_plaintext_is_relayed_to_its_original_server(
    fake: FakeServer, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100).upper())

    port = listening(echo)
    monkeypatch.setattr(fake_server, "original", lambda connection: ("127.0.0.1", port))
    client, passed = socket.socketpair()
    with client, passed:
        client.settimeout(5)
        thread = threading.Thread(target=fake.serve, args=(passed,))
        thread.start()
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
        thread.join(60)


def call(shake: Any, fake: FakeServer, context: ssl.SSLContext, asked: bytes) -> bytes:
    """Call the fake server over TLS, and return what it answers."""
    client, passed = socket.socketpair()
    thread = threading.Thread(target=fake.quietly, args=(passed,))
    thread.start()
    client.settimeout(5)
    got = b""
    with client, shake(client, context) as wrapped:
        if asked:
            wrapped.sendall(asked)
            while piece := wrapped.recv(4096):
                got += piece
    thread.join(60)
    return got


def test_client_that_does_not_verify_is_answered(
    shake: Any, fake: FakeServer, client_context: ssl.SSLContext
) -> None:
    answer = call(shake, fake, client_context, b"GET /version HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"Content-Length: 22\r\n\r\nnot what you asked for")
    assert base64.b64decode(fake.seen[0]["tls"]) == b"GET /version HTTP/1.1\r\n\r\n"
    assert fake.enough.is_set()


def test_verifying_client_is_recorded_with_its_alert(shake: Any, fake: FakeServer) -> None:
    trusting = ssl.create_default_context(cadata=Authority.create("its own").certificate.decode())
    with pytest.raises(ssl.SSLCertVerificationError):
        call(shake, fake, trusting, b"GET / HTTP/1.1\r\n\r\n")
    assert fake.enough.wait(60)
    assert fake.seen == [{"alert": "unknown ca"}]


def test_silent_client_is_not_recorded(
    shake: Any, fake: FakeServer, client_context: ssl.SSLContext
) -> None:
    call(shake, fake, client_context, b"")
    assert not fake.seen
    assert not fake.enough.is_set()


def test_broken_connection_does_not_end_the_server(fake: FakeServer) -> None:
    client, passed = socket.socketpair()
    client.close()
    fake.quietly(passed)
    assert not fake.seen


def test_connections_are_redirected_or_reset() -> None:
    rules = fake_server.rules_of(JOB, 40000)
    assert [(table, chain) for table, chain, _ in rules] == [
        ("nat", "PREROUTING"),
        ("filter", "FORWARD"),
    ] * 2
    words = [" ".join(rule) for _, _, rule in rules]
    head = "-p tcp -s 10.0.0.5 -d 10.0.0.{} --dport 2379 -m comment --comment labkit-middle -j "
    turn, reset = "REDIRECT --to-ports 40000", "REJECT --reject-with tcp-reset"
    assert words == [head.format(n) + what for n in (1, 2) for what in (turn, reset)]


def test_rules_and_processes_are_removed(commands: Any, leaf: Leaf, tmp_path: Path) -> None:
    iptables = commands("iptables")
    lead = tmp_path / "lead"
    job = {
        **JOB,
        "folder": str(tmp_path / "folder"),
        "certificate_pem": leaf.certificate.decode(),
        "key_pem": leaf.key.decode(),
        "wanted": WANTED,
        "answer": "",
        "relays": True,
        "lead": ["sh", "-c", f"echo $$ >{lead}; exec sleep 60"],
        "seconds": 0.5,
    }
    argv = [sys.executable, *agents.argv("fake_server")[1:]]
    run = subprocess.run(argv, input=json.dumps(job).encode(), capture_output=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, b"[]"), run.stderr.decode()
    calls = iptables.read_text().splitlines()
    assert [call.split()[4] for call in calls] == ["-I"] * 4 + ["-D"] * 4
    assert [call.replace(" -I ", " -D ") for call in calls[:4]] == calls[4:]
    assert subprocess.run(["kill", "-0", lead.read_text().strip()], capture_output=True).returncode


def test_rules_are_removed_on_sigterm(commands: Any, leaf: Leaf, tmp_path: Path) -> None:
    iptables = commands("iptables")
    job = {
        **JOB,
        "folder": str(tmp_path / "folder"),
        "certificate_pem": leaf.certificate.decode(),
        "key_pem": leaf.key.decode(),
        "wanted": WANTED,
        "answer": "",
        "relays": True,
        "lead": ["sleep", "60"],
        "seconds": 60,
    }
    argv = [sys.executable, *agents.argv("fake_server")[1:]]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        waiting = threading.Event()
        for _ in range(1200):
            if len(iptables.read_text().splitlines()) == 4:
                break
            waiting.wait(0.05)
        waiting.wait(0.2)
        process.terminate()
        process.wait(60)
    assert [call.split()[4] for call in iptables.read_text().splitlines()] == ["-I"] * 4 + [
        "-D"
    ] * 4


@pytest.mark.parametrize("answer", ["made up", ""])
def test_plaintext_is_answered_or_left_without_an_answer(
    server_context: ssl.SSLContext, answer: str
) -> None:
    fake = FakeServer(server_context, WANTED, answer, relays=False)
    client, passed = socket.socketpair()
    thread = threading.Thread(target=fake.quietly, args=(passed,))
    thread.start()
    with client:
        client.settimeout(5)
        client.sendall(b"POST /review HTTP/1.1\r\nContent-Length: 6\r\n\r\nto")
        assert not fake.enough.wait(0.2), "the body is not complete"
        client.sendall(b"kens")
        got = b""
        while piece := client.recv(4096):
            got += piece
    thread.join(60)
    assert got.endswith(b"\r\n\r\nmade up") if answer else got == b""
    asked = base64.b64decode(fake.seen[0]["plaintext"])
    assert asked.endswith(b"\r\n\r\ntokens")
    assert fake.enough.is_set()
