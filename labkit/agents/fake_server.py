"""Be the server for a client whose packets pass this machine, with a stranger's certificate.

Reads a job (JSON) from standard input and prints as JSON what the client did: ``plaintext`` or
``tls`` with what it said (base64), or ``alert`` with the one that it sent. The firewall turns
the client's connections to this process. One that went by here before is known to the firewall
and not turned: it is reset, and the client makes a new one. What is plaintext is passed on to
the true server. Rules and processes are gone afterwards.
"""

from __future__ import annotations

import base64
import contextlib
import json
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from labkit.agents._connections import alert_in, load_pair

Job = dict[str, Any]
Address = tuple[str, int]
#: Of Linux: where a connection went before the firewall turned it.
SO_ORIGINAL_DST = 80
#: Seconds that a client or a server is given to say something.
PATIENCE = 5.0
#: Bytes of what a client says in plaintext that are looked through, and that are brought back.
KEPT, SHOWN = 200_000, 2000
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


def original(connection: socket.socket) -> Address:
    """Return the server that a turned connection was meant for."""
    raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(address), port


def server_context(job: Job) -> ssl.SSLContext:
    """Make the stranger's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, job["certificate_pem"], job["key_pem"])
    return context


class FakeServer:
    """What takes the connections, and what it has seen.

    Parameters
    ----------
    context : ssl.SSLContext
        With the stranger's certificate.
    wanted : str
        What stands in plaintext that shows that it was the client's.
    answer : str
        The body of what whoever asks over TLS is answered.
    """

    def __init__(self, context: ssl.SSLContext, wanted: str, answer: str) -> None:
        self.context, self.wanted, self.answer = context, wanted.encode(), answer.encode()
        self.seen: list[dict[str, str]] = []
        self.enough, self.stop = threading.Event(), threading.Event()

    def serve(self, connection: socket.socket) -> None:
        """Answer over TLS, or pass plaintext on."""
        connection.settimeout(PATIENCE)
        start = connection.recv(2, socket.MSG_PEEK)
        if start == b"\x16\x03":
            self.answer_over_tls(connection)
            return
        with socket.create_connection(original(connection), timeout=PATIENCE) as server:
            self.relay(connection, server)

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what both say until one has ended, and look for what is wanted."""
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
        """Play the server to a client of TLS, if it goes on with the stranger."""
        try:
            with self.context.wrap_socket(connection, server_side=True) as wrapped:
                asked = wrapped.recv(4096)
                if not asked:
                    return
                self.seen.append({"tls": base64.b64encode(asked).decode()})
                wrapped.sendall(HEAD % len(self.answer) + self.answer)
        except ssl.SSLError as error:
            if alert := alert_in(error):
                self.saw("alert", alert)
            return
        self.enough.set()

    def saw(self, kind: str, what: str) -> None:
        """Keep what a client did, which is enough."""
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
        """Serve one connection, whatever becomes of it."""
        with contextlib.suppress(OSError), connection:
            self.serve(connection)


def rules_of(job: Job, own: int) -> list[tuple[str, str, list[str]]]:
    """Return the firewall's rules, each with its table and chain: turn, or else reset."""
    rules = []
    for server in job["servers"]:
        match = ["-p", "tcp", "-s", job["client"], "-d", server, "--dport", str(job["port"])]
        match += ["-m", "comment", "--comment", "labkit-middle", "-j"]
        rules.append(("nat", "PREROUTING", [*match, "REDIRECT", "--to-ports", str(own)]))
        rules.append(("filter", "FORWARD", [*match, "REJECT", "--reject-with", "tcp-reset"]))
    return rules


def firewall(action: str, rules: list[tuple[str, str, list[str]]]) -> None:
    """Add the rules to the firewall, or delete them; its complaints go to standard error."""
    for table, chain, rule in rules:
        argv = ["iptables", "-w", "5", "-t", table, action, chain, *rule]
        subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def in_the_way(job: Job, own: int) -> Iterator[None]:
    """Lead the client's packets to this machine, and there to a port, while the block lasts."""
    rules = rules_of(job, own)
    lead: subprocess.Popen[bytes] | None = None
    try:
        firewall("-I", rules)
        lead = subprocess.Popen(job["lead"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        yield
    finally:
        if lead:
            lead.kill()
            lead.wait()
        firewall("-D", rules)


def main() -> None:
    """Carry out the job on standard input; told to end, take the rules away first."""
    job: Job = json.load(sys.stdin)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    fake = FakeServer(server_context(job), job["wanted"], job["answer"])
    with socket.create_server(("0.0.0.0", 0)) as listener:
        threading.Thread(target=fake.accept, args=(listener,), daemon=True).start()
        with in_the_way(job, listener.getsockname()[1]):
            deadline = time.monotonic() + job["seconds"]
            while not told and time.monotonic() < deadline and not fake.enough.wait(0.2):
                pass
            time.sleep(0.2)
        fake.stop.set()
    json.dump(fake.seen, sys.stdout)


if __name__ == "__main__":
    main()
