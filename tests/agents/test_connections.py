"""Every failure has a name: each TLS alert, and each way that a connection ends."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

import pytest

from labkit.agents._connections import alert_in, failure, load_pair
from labkit.lab.pki import Authority, Leaf

FATAL = 2
#: RFC 8446, section 6, and RFC 5246, section 7.2: the alerts by which a peer may refuse.
ALERTS = {
    10: "unexpected message",
    20: "bad record mac",
    22: "record overflow",
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    47: "illegal parameter",
    48: "unknown ca",
    49: "access denied",
    50: "decode error",
    51: "decrypt error",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    86: "inappropriate fallback",
    109: "missing extension",
    110: "unsupported extension",
    112: "unrecognized name",
    113: "bad certificate status response",
    115: "unknown psk identity",
    116: "certificate required",
    120: "no application protocol",
}


def shake(connection: socket.socket, context: ssl.SSLContext) -> dict[str, str]:
    try:
        context.wrap_socket(connection).close()
    except OSError as error:
        return failure(error)
    return {}


def alert(code: int) -> Any:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(bytes([0x15, 3, 3, 0, 2, FATAL, code]))

    return serve


@pytest.mark.parametrize(("code", "name"), ALERTS.items(), ids=ALERTS.values())
def test_alert_is_named_as_the_rfc_names_it(
    peer: Any, client_context: ssl.SSLContext, code: int, name: str
) -> None:
    assert shake(peer(alert(code)), client_context) == {"error": "alert", "text": name}


def test_undefined_alert_has_no_name(peer: Any, client_context: ssl.SSLContext) -> None:
    assert shake(peer(alert(119)), client_context)["error"] == "tls"


def test_malformed_record_is_not_an_alert(peer: Any, client_context: ssl.SSLContext) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(bytes([0x15, 3, 3, 0, 2, 7, 40]))  # 7: neither a warning nor fatal

    assert shake(peer(serve), client_context)["error"] == "tls"


def test_peer_that_does_not_speak_tls_sends_no_alert(
    peer: Any, client_context: ssl.SSLContext
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert shake(peer(serve), client_context)["error"] == "tls"


def test_peer_that_closes_in_the_handshake_sends_no_alert(
    peer: Any, client_context: ssl.SSLContext
) -> None:
    said = shake(peer(lambda connection: connection.recv(65536)), client_context)
    assert said["error"] == "closed"


def test_silent_peer_is_a_timeout(client_context: ssl.SSLContext) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0.05)
        assert shake(here, client_context)["error"] == "timeout"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "refused"),
        (TimeoutError("timed out"), "timeout"),
        (ConnectionResetError(104, "Connection reset by peer"), "reset"),
        (BrokenPipeError(32, "Broken pipe"), "reset"),
        (PermissionError(13, "Permission denied"), "permission"),
        (FileNotFoundError(2, "No such file or directory"), "missing"),
    ],
)
def test_error_of_the_system_has_a_name(error: OSError, name: str) -> None:
    assert failure(error) == {"error": name, "text": str(error)}


@pytest.mark.parametrize(
    "error", [OSError(113, "No route to host"), socket.gaierror(-2, "Name"), ValueError("x")]
)
def test_any_other_error_is_not_an_answer(error: Exception) -> None:
    assert failure(error) == {"error": "failed", "text": f"{type(error).__name__}: {error}"}


def test_error_of_tls_without_a_reason_has_no_alert() -> None:
    error = ssl.SSLError(1, "something")
    assert alert_in(error) == ""
    assert failure(error) == {"error": "tls", "text": "something"}


class Watching(ssl.SSLContext):
    """A context that remembers which files it loads, by their names in a folder."""

    def load_cert_chain(self, certfile: Any, *_: Any, **__: Any) -> None:
        self.loaded = os.readlink(certfile)  # noqa: PTH115 - a memory file has no path
        super().load_cert_chain(certfile)


def test_no_folder_has_the_key_at_any_time(leaf: Leaf) -> None:
    context = Watching(ssl.PROTOCOL_TLS_SERVER)
    load_pair(context, leaf.certificate.decode(), leaf.key.decode())
    assert context.loaded.startswith("/memfd:")


def test_key_of_another_certificate_is_refused(leaf: Leaf) -> None:
    other = Authority.create("other").issue("other", hosts=["other"], usages=["server"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        load_pair(context, leaf.certificate.decode(), other.key.decode())
