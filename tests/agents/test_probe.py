"""What a probe returns: an answer, or the exact reason why there was none."""

from __future__ import annotations

import base64
import io
import json
import os
import pwd
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import probe
from labkit.agents._connections import failure
from labkit.agents.connect_socket import connect
from labkit.lab.pki import Authority, Leaf

#: The probe offers old versions on purpose.
old_versions = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
Serve = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def say(data: bytes) -> Serve:
    """Read one request, and answer with these bytes."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return serve


def read_request(connection: socket.socket) -> bytes:
    asked = b""
    while b"\r\n\r\n" not in asked:
        piece = connection.recv(65536)
        if not piece:
            break
        asked += piece
    return asked


def reset(connection: socket.socket) -> None:
    """Close without reading, which resets the connection at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- over HTTP --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, "hi"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\nno", 401, "no"),
        (b"HTTP/1.1 403\r\nContent-Length: 0\r\n\r\n", 403, ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, "hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, "hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi", 200, "hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", 200, "hi"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff", 200, "�"),
    ],
)
def test_answer_has_its_status_and_its_body(
    peer: Any, answer: bytes, status: int, body: str
) -> None:
    assert probe.http_over(peer(say(answer)), {}) == {"status": status, "body": body}


def test_only_the_start_of_a_large_body_is_returned(peer: Any) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"0123456789" * 500
    found = probe.http_over(peer(say(large)), {})
    assert found == {"status": 200, "body": "0123456789" * 200}


def test_body_may_come_in_pieces(peer: Any) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        for piece in (b"HTTP/1.1 200 O", b"K\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"):
            connection.sendall(piece)

    assert probe.http_over(peer(serve), {}) == {"status": 200, "body": "abcd"}


def test_close_without_an_answer_is_distinguished(peer: Any) -> None:
    found = probe.http_over(peer(say(b"")), {})
    assert found == {"error": "closed", "text": "closed without an answer"}


@pytest.mark.parametrize("data", [b"\x15\x03\x01\x00\x02\x02\x46", b"SSH-2.0-x\r\n", b"x" * 70000])
def test_answer_of_another_protocol_is_distinguished(peer: Any, data: bytes) -> None:
    found = probe.http_over(peer(say(data)), {})
    assert found["error"] == "not-http"
    assert len(found["text"]) < 300


def test_reset_is_distinguished_from_a_close(listening: Any) -> None:
    job = {"host": "127.0.0.1", "port": listening(reset)}
    assert probe.attempt(probe.do_http, job)["error"] == "reset"


def test_reset_after_the_start_of_a_body_is_an_answer(listening: Any) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 999\r\n\r\nno")
        reset(connection)

    job = {"host": "127.0.0.1", "port": listening(serve)}
    assert probe.do_http(job)["status"] == 403


def test_silence_is_a_timeout(listening: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0.1)
    port = listening(lambda connection: read_request(connection) and connection.recv(1))
    job = {"host": "127.0.0.1", "port": port}
    assert probe.attempt(probe.do_http, job)["error"] == "timeout"


def test_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert probe.attempt(probe.do_http, {"host": "127.0.0.1", "port": port})["error"] == "refused"
    assert probe.do_look({"host": "127.0.0.1", "port": port})["error"] == "refused"


def test_request_has_the_content_of_its_job() -> None:
    job = {
        "host": "etcd1",
        "method": "POST",
        "path": "/v3/kv/range",
        "headers": {"Content-Type": "application/json"},
        "body": "{}",
    }
    head, _, body = probe.request(job).partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert (first, body) == ("POST /v3/kv/range HTTP/1.1", b"{}")
    assert set(headers) == {
        "Host: etcd1",
        "Connection: close",
        "Content-Type: application/json",
        "Content-Length: 2",
    }


def test_request_is_sent_in_one_piece() -> None:
    sent = []

    class Once:
        def sendall(self, data: bytes) -> None:
            sent.append(data)

        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(OK)

    once: Any = Once()
    probe.http_over(once, {"method": "POST", "body": "{}"})
    assert len(sent) == 1


def test_request_is_sent_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as connection:
                say(OK)(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        assert probe.do_http({"unix": path}) == {"status": 200, "body": "hi"}
        thread.join(60)


# -- over TLS ---------------------------------------------------------------------------------


def over_tls(context: ssl.SSLContext, serve: Serve) -> Serve:
    """Serve over TLS; after a refusal read on, because a reset may overtake the alert."""

    def wrapped(connection: socket.socket) -> None:
        with connection.dup() as kept:
            kept.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as inner:
                    serve(inner)
            except OSError:
                kept.shutdown(socket.SHUT_WR)
                while kept.recv(65536):
                    pass

    return wrapped


def target(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "localhost", "port": port, "tls": True, **more}


def test_answer_over_tls_names_the_version(listening: Any, server_context: Any) -> None:
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    found = probe.do_http(target(listening(over_tls(server_context, say(OK)))))
    assert found == {"status": 200, "body": "hi", "tls": "TLSv1.3"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_missing_certificate_is_an_alert(
    listening: Any, server_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    # in TLS 1.3 the alert comes after the request was sent, in TLS 1.2 in the handshake
    server_context.minimum_version = server_context.maximum_version = version
    server_context.verify_mode = ssl.CERT_REQUIRED
    found = probe.attempt(probe.do_http, target(listening(over_tls(server_context, say(OK)))))
    words = {ssl.TLSVersion.TLSv1_2: "handshake failure"}.get(version, "certificate required")
    assert found == {"error": "alert", "text": words}


def test_client_certificate_of_an_unknown_ca_is_an_alert(
    listening: Any, server_context: ssl.SSLContext
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(
        cadata=Authority.create("the true one").certificate.decode()
    )
    mine = Authority.create("mine").issue("client", usages=["client"])
    job = target(listening(over_tls(server_context, say(OK))))
    job |= {"certificate_pem": mine.certificate.decode(), "key_pem": mine.key.decode()}
    assert probe.attempt(probe.do_http, job) == {"error": "alert", "text": "unknown ca"}


def test_certificate_in_files_is_shown(
    listening: Any, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    authority = Authority.create("the true one")
    mine = authority.issue("someone", usages=["client"])
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(cadata=authority.certificate.decode())
    (tmp_path / "crt").write_bytes(mine.certificate)
    (tmp_path / "key").write_bytes(mine.key)
    job = target(listening(over_tls(server_context, say(OK))))
    job |= {"certificate": str(tmp_path / "crt"), "key": str(tmp_path / "key")}
    assert probe.do_http(job)["status"] == 200


@pytest.mark.parametrize("name", ["TLSv1_2", "TLSv1_3"])
def test_handshake_succeeds_only_with_the_version_of_the_server(
    listening: Any, server_context: ssl.SSLContext, leaf: Leaf, name: str
) -> None:
    version = ssl.TLSVersion[name]
    server_context.minimum_version = server_context.maximum_version = version
    port = listening(over_tls(server_context, lambda connection: None))
    found = probe.handshake(target(port), version, version)
    assert found["version"] == name.replace("_", ".")
    assert found["cipher"]
    pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(found["der"]))
    assert pem.strip() == leaf.certificate.decode().strip()
    other = ssl.TLSVersion.TLSv1_2 if name == "TLSv1_3" else ssl.TLSVersion.TLSv1_3
    with pytest.raises(ssl.SSLError) as caught:
        probe.handshake(target(port), other, other)
    assert failure(caught.value) == {"error": "alert", "text": "protocol version"}


@old_versions
def test_look_distinguishes_versions_and_plaintext(
    listening: Any, server_context: ssl.SSLContext
) -> None:
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    port = listening(over_tls(server_context, lambda connection: None))
    found = probe.do_look({"host": "localhost", "port": port})
    assert found["TLSv1_3"]["version"] == "TLSv1.3"
    old = {"error": "alert", "text": "protocol version"}
    assert found["TLSv1_1"] == found["TLSv1_2"] == old
    assert "status" not in found["plaintext"]


@old_versions
def test_look_at_a_plaintext_listener_finds_no_version(listening: Any) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK)

    found = probe.do_look({"host": "localhost", "port": listening(serve)})
    assert found["plaintext"] == {"status": 200, "body": "hi"}
    for name in ("TLSv1_1", "TLSv1_2", "TLSv1_3"):
        assert found[name]["error"] == "tls"


# -- sockets and commands ---------------------------------------------------------------------


def test_socket_job_returns_who_may_connect(tmp_path: Path, commands: Any) -> None:
    path = tmp_path / "s"
    commands("ss", """echo 'u_str LISTEN 0 5 s 1 * 0 users:(("dockerd",pid=7,fd=3))'""")
    commands("runuser", 'shift 3; exec "$@"')
    me = pwd.getpwuid(os.getuid()).pw_name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen()
        argv = [sys.executable, *agents.argv("connect_socket", str(path))[1:]]
        found = probe.do_unix({"unix": str(path), "users": ["alice"], "connect": argv})
    assert (found["socket"], found["mode"], found["owner"]) == (True, "0660", me)
    assert found["server"] == "dockerd"
    assert found["alice"] == {"connected": True}


def test_socket_that_is_not_there_is_missing(tmp_path: Path) -> None:
    job = {"unix": str(tmp_path / "s"), "users": [], "connect": []}
    assert probe.attempt(probe.do_unix, job)["error"] == "missing"


def test_unknown_user_is_not_a_refusal(commands: Any) -> None:
    commands("runuser", "echo 'runuser: user nobody does not exist' >&2; exit 1")
    found = probe.connect_as("nobody", ["true"])
    assert found == {"error": "failed", "text": "runuser: user nobody does not exist"}


def test_failed_connection_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    assert connect(str(path)) == {"error": "failed", "text": "FileNotFoundError"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert connect(str(path)) == {"error": "refused", "text": "ConnectionRefusedError"}

    def denied(self: socket.socket, address: Any) -> None:
        raise PermissionError(13, "Permission denied")

    class Denied(socket.socket):
        connect = denied

    monkeypatch.setattr(socket, "socket", Denied)
    assert connect(str(path)) == {"error": "permission", "text": "PermissionError"}


def test_command_returns_its_code_and_the_end_of_its_output() -> None:
    argv = ["sh", "-c", "head -c 5000 /dev/zero | tr '\\0' x; echo no >&2; exit 3"]
    found = probe.do_run({"argv": argv})
    assert found == {"code": 3, "stdout": "x" * 4000, "stderr": "no\n"}


def test_failed_job_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = {
        "good": {"op": "run", "argv": ["true"]},
        "bad": {"op": "run", "argv": ["/no/such/command"]},
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(jobs)))
    probe.main()
    found = json.loads(capsys.readouterr().out)
    assert found["good"]["code"] == 0
    assert found["bad"]["error"] == "missing"


def test_alert_before_the_request_could_be_sent_is_an_alert() -> None:
    class Refusing:
        """A connection whose server closed it after an alert, before the client sent."""

        def sendall(self, data: bytes) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

        def recv(self, count: int) -> bytes:
            raise ssl.SSLError(5, "[SSL: ALERT] tlsv13 alert certificate required (_ssl.c:1)")

    refusing: Any = Refusing()
    found = probe.attempt(lambda job: probe.http_over(refusing, job), {"host": "monitor"})
    assert found == {"error": "alert", "text": "certificate required"}
