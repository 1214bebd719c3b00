"""The WebSocket client: frame by frame, and against a server."""

from __future__ import annotations

import base64
import io
import re
import socket
from typing import Any

import pytest

from labkit.agents import websocket_exec


def frame(channel: int, payload: bytes, kind: int = 2) -> bytes:
    data = bytes([channel]) + payload
    size = len(data)
    if size > 65535:
        return bytes([0x80 | kind, 127]) + size.to_bytes(8, "big") + data
    if size > 125:
        return bytes([0x80 | kind, 126]) + size.to_bytes(2, "big") + data
    return bytes([0x80 | kind, size]) + data


def test_frames_of_every_length_are_read_by_channel() -> None:
    stream = frame(1, b"a" * 3) + frame(2, b"!") + frame(1, b"b" * 300) + frame(1, b"c" * 70000)
    found = websocket_exec.frames(io.BytesIO(stream + frame(3, b'{"status":"Success"}')))
    assert found[1] == b"a" * 3 + b"b" * 300 + b"c" * 70000
    assert (found[2], found[3]) == (b"!", b'{"status":"Success"}')


def test_nothing_is_read_after_the_end() -> None:
    closing = frame(3, b"\xe8", kind=8)
    assert websocket_exec.frames(io.BytesIO(frame(1, b"a") + closing + frame(1, b"b"))) == {1: b"a"}


def test_handshake_has_a_token_only_if_one_is_given() -> None:
    bare = websocket_exec.request("worker1:10250", "/exec/a/b/c?command=id", "a2V5", "")
    assert b"Authorization" not in bare
    assert bare.endswith(b"\r\n\r\n")
    given = websocket_exec.request("worker1:10250", "/", "a2V5", "t0ken")
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in given


def serve(status: str, headers: str, rest: bytes) -> Any:
    """Answer a handshake; ACCEPTED is replaced by the hash of the request's key."""

    def answer(connection: socket.socket) -> None:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += connection.recv(4096)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", asked)
        assert key
        accepted = websocket_exec.accepted(key[1].decode())
        head = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".replace("ACCEPTED", accepted)
        connection.sendall(head.encode() + rest)

    return answer


def test_command_returns_its_output_and_its_status(peer: Any) -> None:
    closing = frame(3, b"\xe8", kind=8)
    server = serve(
        "101 Switching Protocols",
        "Sec-WebSocket-Accept: ACCEPTED\r\nSec-WebSocket-Protocol: v5.channel.k8s.io",
        frame(1, b"A=1\n") + frame(3, b'{"status":"Success"}') + closing,
    )
    assert websocket_exec.speak(peer(server), "worker1:10250", "/exec", "") == {
        "status": 101,
        "protocol": "v5.channel.k8s.io",
        "output": base64.b64encode(b"A=1\n").decode(),
        "end": '{"status":"Success"}',
    }


def test_refusal_has_its_status_and_the_start_of_its_body(peer: Any) -> None:
    server = serve("403 Forbidden", "Content-Length: 1000", b"x" * 1000)
    said = websocket_exec.speak(peer(server), "worker1:10250", "/exec", "")
    assert said == {"status": 403, "body": "x" * 300}


def test_answer_to_another_key_is_refused(peer: Any) -> None:
    server = serve("101 Switching Protocols", "Sec-WebSocket-Accept: AAAA", frame(1, b"A=1"))
    said = websocket_exec.speak(peer(server), "worker1:10250", "/exec", "")
    assert "output" not in said


def test_silent_server_is_an_error(peer: Any) -> None:
    with pytest.raises(ConnectionResetError):
        websocket_exec.speak(
            peer(lambda connection: connection.recv(4096)), "worker1:10250", "/exec", ""
        )
