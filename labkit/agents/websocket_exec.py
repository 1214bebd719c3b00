"""Run a command in a container over a WebSocket, and print the result as JSON.

Arguments: host, port, path, and optionally a certificate and its key. A token is read from
standard input, because a list of processes shows arguments.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import ssl
import sys
from typing import IO

from labkit.agents._patience import stretch

#: The server appends this to the client's key before it hashes it (RFC 6455, section 1.3).
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"
SWITCHING, CLOSE, STDOUT, ERROR = 101, 8, 1, 3
#: Seconds for an answer, on an idle machine.
PATIENCE = 8.0
#: Bytes of a refusal's body that are reported.
ENOUGH = 300


def request(host: str, path: str, key: str, token: str) -> bytes:
    """Return the request for a WebSocket; an authorizer sees an ordinary GET.

    Examples
    --------
    >>> request("worker1:10250", "/exec/shop/web/web", "a2V5", "").splitlines()[0]
    b'GET /exec/shop/web/web HTTP/1.1'
    """
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {PROTOCOLS}",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accepted(key: str) -> str:
    """Return the value with which a WebSocket server answers to a client's key.

    Examples
    --------
    >>> accepted("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1(key.encode() + MAGIC, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def frames(stream: IO[bytes]) -> dict[int, bytes]:
    r"""Read frames until the server closes; return the bytes of each channel.

    Examples
    --------
    >>> import io
    >>> frames(io.BytesIO(b"\x82\x03\x01hi\x88\x02\x03\xe8"))
    {1: b'hi'}
    """
    found: dict[int, bytes] = {}
    while len(head := stream.read(2)) == 2:
        size = head[1] & 0x7F
        if size > 125:
            size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
        payload = stream.read(size)
        if head[0] & 0x0F == CLOSE:
            break
        if payload:
            found[payload[0]] = found.get(payload[0], b"") + payload[1:]
    return found


def speak(connection: socket.socket, host: str, path: str, token: str) -> dict[str, object]:
    """Request a WebSocket on a connection, and return the result."""
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(request(host, path, key, token))
    with contextlib.closing(http.client.HTTPResponse(connection)) as answer:
        answer.begin()
        if answer.status == SWITCHING and answer.getheader("Sec-WebSocket-Accept") == accepted(key):
            got = frames(answer.fp)
            return {
                "status": answer.status,
                "protocol": answer.getheader("Sec-WebSocket-Protocol", ""),
                "output": base64.b64encode(got.get(STDOUT, b"")).decode(),
                "end": got.get(ERROR, b"").decode(errors="replace"),
            }
        body = answer.read(ENOUGH).decode(errors="replace")
        return {"status": answer.status, "body": body}


def main() -> None:
    """Run the command that the arguments name."""
    host, port, path, *pair = sys.argv[1:]
    token = sys.stdin.read().strip()
    context = ssl.create_default_context()
    # an attacker does not verify the server
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair:
        context.load_cert_chain(*pair)
    with (
        socket.create_connection((host, int(port)), PATIENCE * stretch()) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        json.dump(speak(connection, f"{host}:{port}", path, token), sys.stdout)


if __name__ == "__main__":
    main()
