"""Offer old versions of TLS and weak ciphers to listeners, and print the results.

The program reads ``[[host, port], ...]`` (JSON) from standard input and prints ``[[host, port,
offer, result], ...]``. A result is "agreed", the alert that the listener sent, or "?" and an error
that proves nothing about the listener.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

from labkit.agents._connections import alert_in
from labkit.agents._patience import stretch

#: Seconds for an answer, on an idle machine.
PATIENCE = 5.0
#: Each offer: the lowest version, the highest version, and the ciphers.
OFFERS = {
    "TLS 1.1": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    "TLS 1.2 without authenticated encryption": (
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_2,
        "ALL:!AESGCM:!CHACHA20:!AESCCM:!ARIAGCM:@SECLEVEL=0",
    ),
    "TLS 1.2 without forward secrecy": (
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_2,
        "kRSA:@SECLEVEL=0",
    ),
    "TLS 1.3": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "DEFAULT"),
}
Offer = tuple[str, int, str]


def context_of(name: str) -> ssl.SSLContext:
    """Return the TLS context of an offer; it verifies no certificate."""
    low, high, ciphers = OFFERS[name]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = low, high
    return context


def offer(made: Offer) -> tuple[str, int, str, str]:
    """Make one offer on a new connection, and return its result."""
    host, port, name = made
    context = context_of(name)
    try:
        with (
            socket.create_connection((host, port), timeout=PATIENCE * stretch()) as connection,
            context.wrap_socket(connection),
        ):
            return host, port, name, "agreed"
    except ssl.SSLError as error:
        return host, port, name, alert_in(error) or f"?{error}"
    except OSError as error:
        return host, port, name, f"?{error}"


def main() -> None:
    """Make every offer to every listener."""
    offers = [(host, port, name) for host, port in json.load(sys.stdin) for name in OFFERS]
    with ThreadPoolExecutor(max_workers=16) as pool:
        json.dump(list(pool.map(offer, offers)), sys.stdout)


if __name__ == "__main__":
    main()
