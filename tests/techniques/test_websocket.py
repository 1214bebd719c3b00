"""The client half of a WebSocket, frame by frame: without Docker."""

from __future__ import annotations

import io

from labkit.techniques import _websocket


def frame(channel: int, payload: bytes, kind: int = 2) -> bytes:
    data = bytes([channel]) + payload
    size = len(data)
    if size > 65535:
        return bytes([0x80 | kind, 127]) + size.to_bytes(8, "big") + data
    if size > 125:
        return bytes([0x80 | kind, 126]) + size.to_bytes(2, "big") + data
    return bytes([0x80 | kind, size]) + data


def test_websocket_frames_of_every_length_are_read_by_channel() -> None:
    stream = frame(1, b"a" * 3) + frame(2, b"!") + frame(1, b"b" * 300) + frame(1, b"c" * 70000)
    found = _websocket.frames(io.BytesIO(stream + frame(3, b'{"status":"Success"}')))
    assert found[1] == b"a" * 3 + b"b" * 300 + b"c" * 70000
    assert (found[2], found[3]) == (b"!", b'{"status":"Success"}')


def test_websocket_frames_after_close_are_ignored() -> None:
    closing = frame(3, b"\xe8", kind=8)
    assert _websocket.frames(io.BytesIO(frame(1, b"a") + closing + frame(1, b"b"))) == {1: b"a"}


def test_websocket_handshake_has_the_token_only_if_given() -> None:
    bare = _websocket.request("worker1:10250", "/exec/a/b/c?command=id", "a2V5", "")
    assert b"Authorization" not in bare
    assert bare.endswith(b"\r\n\r\n")
    given = _websocket.request("worker1:10250", "/", "a2V5", "t0ken")
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in given
