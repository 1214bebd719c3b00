"""Impersonate a server to a client whose packets pass this machine.

The certificate is signed by an unknown authority. The program reads a job (JSON) from standard
input. It prints as JSON what the client did: ``plaintext`` or ``tls`` with the bytes that it sent
(base64), or ``alert`` with the TLS alert that it sent. Firewall rules redirect the client's new
connections to this process. They reset older connections, so that the client opens new ones.
Plaintext is relayed to the real server, or answered as well, as the job says. At the end, rules
and processes are removed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.agents._connections import alert_in, load_pair
from labkit.agents._patience import stretch
from labkit.agents._program import in_folder, stopped

Job = dict[str, Any]
Address = tuple[str, int]
#: Linux's socket option for the destination before the redirection.
SO_ORIGINAL_DST = 80
#: Seconds to wait for bytes of a client or a server, on an idle machine.
PATIENCE = 5.0
#: Bytes of a client's plaintext that are searched, and that are reported.
KEPT, SHOWN = 200_000, 2000
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


def original(connection: socket.socket) -> Address:
    """Return the address of the server that a redirected connection was meant for."""
    raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(address), port


def server_context(job: Job) -> ssl.SSLContext:
    """Return a server's TLS context with the certificate of an unknown authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, job["certificate_pem"], job["key_pem"])
    return context


def request_on(connection: socket.socket) -> bytes:
    """Return one HTTP request with its body; what came before the client closed, if it did."""
    asked = b""
    while len(asked) < KEPT:
        piece = connection.recv(4096)
        asked += piece
        head, end, body = asked.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if not piece or (end and len(body) >= int(length[1] if length else 0)):
            break
    return asked


class FakeServer:
    """A server that accepts the client's connections, and records what the client did.

    Parameters
    ----------
    context : ssl.SSLContext
        A context with the certificate of an unknown authority.
    wanted : str
        A text that proves that plaintext came from the client.
    answer : str
        The body of the HTTP answer; without one, the connection is closed.
    relays : bool
        Whether plaintext is relayed to the real server, and not answered.
    """

    def __init__(
        self, context: ssl.SSLContext, wanted: str, answer: str, relays: bool = True
    ) -> None:
        self.context, self.wanted, self.answer = context, wanted.encode(), answer.encode()
        self.relays = relays
        self.seen: list[dict[str, str]] = []
        self.enough, self.stop = threading.Event(), threading.Event()

    def serve(self, connection: socket.socket) -> None:
        """Answer over TLS; answer plaintext, or relay it to the real server."""
        connection.settimeout(PATIENCE * stretch())
        start = connection.recv(2, socket.MSG_PEEK)
        if start == b"\x16\x03":
            self.answer_over_tls(connection)
            return
        if not self.relays:
            self.answer_to(connection, "plaintext")
            return
        with socket.create_connection(original(connection), timeout=PATIENCE * stretch()) as server:
            self.relay(connection, server)

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """Relay bytes both ways until one side closes, and search the client's for `wanted`."""
        said = b""
        while not self.stop.is_set():
            for one in select.select([client, server], [], [], 0.2)[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)
                if one is client:
                    said = (said + data)[-KEPT:]
                    if self.wanted in said:
                        self.saw("plaintext", base64.b64encode(said[-SHOWN:]).decode())

    def answer_over_tls(self, connection: socket.socket) -> None:
        """Answer a TLS client that accepts the certificate, or record its alert."""
        try:
            with self.context.wrap_socket(connection, server_side=True) as wrapped:
                self.answer_to(wrapped, "tls")
        except ssl.SSLError as error:
            if alert := alert_in(error):
                self.saw("alert", alert)

    def answer_to(self, connection: socket.socket, kind: str) -> None:
        """Record one request, and answer it or leave it without an answer."""
        if asked := request_on(connection):
            self.seen.append({kind: base64.b64encode(asked[:SHOWN]).decode()})
            if self.answer:
                connection.sendall(HEAD % len(self.answer) + self.answer)
            self.enough.set()

    def saw(self, kind: str, what: str) -> None:
        """Record what a client did, and end the wait."""
        self.seen.append({kind: what})
        self.enough.set()

    def accept(self, listener: socket.socket) -> None:
        """Serve every connection, until the listener is closed."""
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.quietly, args=(connection,), daemon=True).start()

    def quietly(self, connection: socket.socket) -> None:
        """Serve one connection; ignore its errors."""
        with contextlib.suppress(OSError), connection:
            self.serve(connection)


def rules_of(job: Job, own: int) -> list[tuple[str, str, list[str]]]:
    """Return the firewall's rules with table and chain: redirect new connections, reset others."""
    rules = []
    for server in job["servers"]:
        match = ["-p", "tcp", "-s", job["client"], "-d", server, "--dport", str(job["port"])]
        match += ["-m", "comment", "--comment", "labkit-middle", "-j"]
        rules.append(("nat", "PREROUTING", [*match, "REDIRECT", "--to-ports", str(own)]))
        rules.append(("filter", "FORWARD", [*match, "REJECT", "--reject-with", "tcp-reset"]))
    return rules


def firewall(action: str, rules: list[tuple[str, str, list[str]]]) -> None:
    """Add the rules to the firewall, or delete them; errors go to standard error."""
    for table, chain, rule in rules:
        argv = ["iptables", "-w", "5", "-t", table, action, chain, *rule]
        subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def in_the_way(job: Job, own: int) -> Iterator[None]:
    """Redirect the client's packets to a port of this machine during the block."""
    rules = rules_of(job, own)
    lead: subprocess.Popen[bytes] | None = None
    try:
        firewall("-I", rules)
        lead = subprocess.Popen(job["lead"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        yield
    finally:
        if lead:
            lead.terminate()  # it tells the victims the true address
            lead.wait()
        firewall("-D", rules)


def main() -> None:
    """Carry out the job on standard input, until the client did something or the time is up."""
    job: Job = json.load(sys.stdin)
    folder = Path(job["folder"])
    fake = FakeServer(server_context(job), job["wanted"], job["answer"], job["relays"])
    with in_folder(folder), socket.create_server(("0.0.0.0", 0)) as listener:
        threading.Thread(target=fake.accept, args=(listener,), daemon=True).start()
        with in_the_way(job, listener.getsockname()[1]):
            deadline = time.monotonic() + job["seconds"]
            while not stopped(folder) and time.monotonic() < deadline and not fake.enough.wait(0.2):
                pass
            time.sleep(0.2)
        fake.stop.set()
    json.dump(fake.seen, sys.stdout)


if __name__ == "__main__":
    main()
