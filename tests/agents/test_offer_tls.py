"""The TLS versions that a listener accepts, and how it refuses the others."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from labkit.agents import offer_tls

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
REFUSALS = ("protocol version", "handshake failure", "insufficient security")


def accept(context: ssl.SSLContext) -> Any:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    return serve


def said(port: int) -> dict[str, str]:
    return {name: offer_tls.offer(("127.0.0.1", port, name))[3] for name in offer_tls.OFFERS}


def test_listener_of_tls_1_3_only_refuses_older_versions(
    listening: Any, server_context: ssl.SSLContext
) -> None:
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    found = said(listening(accept(server_context)))
    assert found.pop("TLS 1.3") == "agreed"
    assert set(found.values()) == {"protocol version"}


@pytest.mark.parametrize(
    ("ciphers", "weak"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", set()),
        ("ECDHE-ECDSA-AES128-SHA", {"TLS 1.2 without authenticated encryption"}),
    ],
)
def test_listener_of_tls_1_2_agrees_to_its_own_ciphers(
    listening: Any, server_context: ssl.SSLContext, ciphers: str, weak: set[str]
) -> None:
    server_context.minimum_version = server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    server_context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    found = said(listening(accept(server_context)))
    assert {name for name, what in found.items() if what == "agreed"} == weak
    assert all(what in REFUSALS for what in found.values() if what != "agreed")


def test_listener_that_does_not_speak_tls_neither_agrees_nor_refuses(listening: Any) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    assert all(what.startswith("?") for what in said(listening(serve)).values())


def test_closed_port_neither_agrees_nor_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert all("refused" in what and what.startswith("?") for what in said(port).values())
