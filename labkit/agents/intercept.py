"""Redirect this machine's clients to a TLS server of an unknown authority for a few seconds.

The program reads jobs (JSON, by id) from standard input, carries all of them out at once, and
prints ``{job id: result}``. New connections to a job's servers are redirected to a TLS server on
this machine. Its certificate has the right names, but an unknown authority signed it. Old
connections are cut, so that the clients connect again. At the end, rules and processes are
removed. The program judges nothing: a result has in ``seen`` what each client did, or in
``error`` why that is unknown.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labkit.agents._connections import failure, load_pair
from labkit.agents._patience import stretch

Job = dict[str, Any]
Result = dict[str, Any]
#: Seconds for a command, and for bytes of a client, on an idle machine.
PATIENCE = 8.0
SILENCE = 4.0
#: The group id of commands that make a client connect; their own connections are not redirected.
ERRAND = 64321
PROC = Path("/proc")


def caller(port: int) -> dict[str, str]:
    """Return the process of this machine that owns the connection with this local port."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[9] != "0":
                inodes.add(f"socket:[{fields[9]}]")
    for process in PROC.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return describe(process)
    return {"unit": "", "command": ""}


def describe(process: Path) -> dict[str, str]:
    """Return the systemd unit and the command line of a process."""
    match = re.search(r"/([\w@.-]+\.service)", (process / "cgroup").read_text())
    command = (process / "cmdline").read_text().replace("\0", " ").strip()
    return {"unit": match[1] if match else "", "command": command[:300]}


def client_of(process: dict[str, str], clients: Collection[str]) -> str | None:
    """Return the client that a process is, by its unit or else by its command line."""
    if process["unit"]:
        return process["unit"] if process["unit"] in clients else None
    return next((client for client in clients if client in process["command"]), None)


def first_line(data: bytes) -> str:
    """Return the first line that a client sent; the headers after it may carry secrets."""
    return re.sub(r"[^\x20-\x7e]", ".", data.split(b"\r\n", 1)[0][:80].decode("latin-1"))


def receive(connection: socket.socket, server: ssl.SSLContext) -> Result:
    """Serve one connection, and return what the client did."""
    connection.settimeout(SILENCE * stretch())
    start = connection.recv(3, socket.MSG_PEEK)
    if not start:
        return {"error": "closed", "text": "no byte was sent"}
    if start[:2] != b"\x16\x03":
        return {"spoke": "plaintext", "sent": first_line(connection.recv(2048))}
    try:
        with server.wrap_socket(connection, server_side=True) as wrapped:
            sent = wrapped.recv(2048)
    except OSError as error:
        return {"spoke": "tls", "accepted": False, **failure(error)}
    if not sent:
        return {"spoke": "tls", "accepted": False, "error": "closed", "text": "no byte after it"}
    return {"spoke": "tls", "accepted": True, "sent": first_line(sent)}


def tells(met: Result) -> bool:
    """Say whether a result is conclusive: the client went on, or sent an alert."""
    return met["spoke"] == "plaintext" or met["accepted"] or met.get("error") == "alert"


def server_context(job: Job) -> ssl.SSLContext:
    """Return a server's TLS context with the certificate of an unknown authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    load_pair(context, job["certificate_pem"], job["key_pem"])
    return context


#: Set by SIGTERM: every job ends its wait, and then removes its rules.
ENDED = threading.Event()


class Meetings:
    """What the wanted clients did when they met the server of an unknown authority.

    Parameters
    ----------
    wanted : collection of str
        The clients: systemd units, or parts of command lines.
    server : ssl.SSLContext
        The server's TLS context.
    """

    def __init__(self, wanted: Collection[str], server: ssl.SSLContext) -> None:
        self.wanted, self.server = set(wanted), server
        self.seen: list[Result] = []
        self.enough = threading.Event()

    def absent(self) -> set[str]:
        """Return the clients without a conclusive result."""
        return self.wanted - {entry["client"] for entry in self.seen if tells(entry)}

    def serve(self, connection: socket.socket, peer: int) -> None:
        """Serve one connection, and record the result if it is of a wanted client."""
        with connection:
            client = client_of(caller(peer), self.wanted)
            try:
                result = receive(connection, self.server)
            except OSError:
                return
        if client and "spoke" in result:
            self.seen.append({"client": client, **result})
            if not self.absent():
                self.enough.set()

    def accept(self, listener: socket.socket) -> None:
        """Serve every connection, until the listener is closed."""
        while True:
            try:
                connection, (_, peer, *_) = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()


def rules_of(hosts: list[str], port: int, own: int) -> list[list[str]]:
    """Return the firewall's rules that redirect clients of some hosts to a port of this machine."""
    return [
        f"OUTPUT -p tcp -d {host} --dport {port} -m owner ! --gid-owner {ERRAND} "
        f"-m comment --comment labkit-verify -j REDIRECT --to-ports {own}".split()
        for host in hosts
    ]


def intercept(job: Job) -> Result:
    """Redirect this machine's clients of one server for a few seconds, and return the result."""
    meetings = Meetings(job["clients"], server_context(job))
    hosts = [socket.gethostbyname(host) for host in job["hosts"]]
    listener = socket.create_server(("0.0.0.0", 0))
    rules = rules_of(hosts, job["port"], listener.getsockname()[1])
    threading.Thread(target=meetings.accept, args=(listener,), daemon=True).start()
    called: list[subprocess.Popen[bytes]] = []
    try:
        nat("-I", rules, check=True)
        cut(hosts, job["port"])
        call_until_met(job, meetings, called)
    finally:
        nat("-D", rules, check=False)
        listener.close()
        for process in called:
            process.kill()
            process.wait()
        cut(hosts, job["port"])
    return {"seen": meetings.seen}


def call_until_met(
    job: Job, meetings: Meetings, called: list[subprocess.Popen[bytes]], pause: float = 2
) -> None:
    """Make the clients connect repeatedly, until all of them have a result or the time is up."""
    silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    began, late, asked = time.monotonic(), False, 0.0
    while not (meetings.enough.is_set() or ENDED.is_set()):
        now, patience = time.monotonic(), job["seconds"] * stretch()
        if late and now > began + patience:
            break
        if not late and now > began + patience / 3:
            # A client that lost its connection often retries ever more slowly. It has the other
            # two thirds of the time from now on, however late a busy machine came here.
            late, began = True, now - patience / 3
            units = (client for client in meetings.absent() if client.endswith(".service"))
            command(["systemctl", "restart", "--no-block", *units])
        # while the last ones still run, more of them would only make a busy machine busier
        running = any(process.poll() is None for process in called)
        if not running or time.monotonic() > asked + PATIENCE * stretch():
            asked = time.monotonic()
            called += [subprocess.Popen(argv, **silent) for argv in job["triggers"]]
            called += [subprocess.Popen(argv, group=ERRAND, **silent) for argv in job["errands"]]
        meetings.enough.wait(pause)


def nat(action: str, rules: list[list[str]], check: bool) -> None:
    """Add the rules to the firewall, or delete them."""
    for rule in rules:
        command(["iptables", "-w", "5", "-t", "nat", action, *rule], check=check)


def cut(hosts: list[str], port: int) -> None:
    """Cut the machine's connections to some hosts."""
    for host in hosts:
        command(["ss", "-K", "-t", "dst", host, "dport", "=", f":{port}"])


def command(argv: list[str], check: bool = False) -> None:
    """Run a command for its effect."""
    subprocess.run(argv, capture_output=True, timeout=PATIENCE * stretch(), check=check)


def attempt(job: Job) -> Result:
    """Carry out one job; its failure is its result, and the others go on."""
    try:
        return intercept(job)
    except Exception as error:
        return dict(failure(error))


def main() -> None:
    """Carry out the jobs on standard input and print their results; SIGTERM ends them at once."""
    jobs: dict[str, Job] = json.load(sys.stdin)
    signal.signal(signal.SIGTERM, lambda *_: ENDED.set())
    with ThreadPoolExecutor(max_workers=16) as pool:
        results = dict(zip(jobs, pool.map(attempt, jobs.values()), strict=True))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
