"""Ask a new etcd, with random users and roles, which keys each user may read and write.

Runs on a machine that has etcd, and reads JSON from standard input: ``{"roles": {name: [{"key",
"prefix", "access"}, ...]}, "users": {name: [role, ...]}, "asked": [[user, access, key, end],
...]}``, keys in base64. The etcd listens on ports of the loopback address, has a data folder of its
own, and ends with this program. Prints a list of "allowed", "denied" or an error.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

PASSWORD = "of nobody"
#: Seconds for one answer, and for etcd to start.
ANSWER, START = 20, 60.0
REFUSALS = ("permission denied", "user name is empty")


def free_ports() -> tuple[int, int]:
    """Return two free ports of the loopback address."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextlib.contextmanager
def etcd() -> Iterator[int]:
    """Run an etcd during the block; yield its port."""
    port, peer = free_ports()
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        argv = ["etcd", "--name=x", f"--data-dir={folder}/data", "--log-level=fatal"]
        argv += [
            "--unsafe-no-fsync",
            "--bcrypt-cost=4",
            f"--initial-cluster=x=http://127.0.0.1:{peer}",
        ]
        for name, number in (("client", port), ("peer", peer)):
            argv.append(f"--listen-{name}-urls=http://127.0.0.1:{number}")
        argv.append(f"--advertise-client-urls=http://127.0.0.1:{port}")
        argv.append(f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}")
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


class Client:
    """A caller of etcd's JSON gateway, over one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER)

    def ask(self, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
        headers = {"Authorization": token} if token else {}
        self.connection.request("POST", f"/v3/{path}", json.dumps(body), headers)
        reply = self.connection.getresponse()
        answer: dict[str, Any] = json.loads(reply.read())
        return {"error": answer.get("message", str(answer))} if reply.status != 200 else answer

    def must(self, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
        answer = self.ask(path, body, token)
        if "error" in answer:
            raise SystemExit(f"{path} {body}: {answer}")
        return answer


def started(port: int) -> Client:
    """Return a client once etcd answers."""
    began = time.monotonic()
    while True:
        client = Client(port)
        try:
            client.must("maintenance/status", {})
        except (OSError, http.client.HTTPException):
            if time.monotonic() - began > START:
                raise
            time.sleep(0.05)
        else:
            return client


def grant(it: dict[str, str | bool]) -> dict[str, str]:
    """Return a permission as etcd's API has it; etcdctl makes the end of a prefix so."""
    key = base64.b64decode(str(it["key"]))
    end = b""
    if it["prefix"]:
        kept = key.rstrip(b"\xff")
        end = kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"
        key = key or b"\0"
    return {
        "permType": str(it["access"]).upper(),
        "key": base64.b64encode(key).decode(),
        "range_end": base64.b64encode(end).decode(),
    }


def make(client: Client, roles: dict[str, Any], users: dict[str, Any]) -> None:
    """Create roles and users, and enable authentication."""
    for role, grants in {"root": [], **roles}.items():
        client.must("auth/role/add", {"name": role})
        for it in grants:
            client.must("auth/role/grant", {"name": role, "perm": grant(it)})
    for user, held in {"root": ["root"], **users}.items():
        client.must("auth/user/add", {"name": user, "password": PASSWORD})
        for role in held:
            client.must("auth/user/grant", {"user": user, "role": role})
    client.must("auth/enable", {})


def request(access: str, key: str, end: str) -> tuple[str, dict[str, Any]]:
    """Return a request that reads or writes a key or a range."""
    about: dict[str, Any] = {"key": key, "range_end": end}
    if access == "read":
        return "kv/range", {**about, "keys_only": True}
    return ("kv/deleterange", about) if end else ("kv/put", {"key": key, "value": ""})


def main() -> None:
    """Answer the questions of standard input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    about = json.load(sys.stdin)
    answers = []
    with etcd() as port:
        client = started(port)
        make(client, about["roles"], about["users"])
        tokens = {"": ""}
        for user, access, key, end in about["asked"]:
            if user not in tokens:
                login = {"name": user, "password": PASSWORD}
                tokens[user] = client.must("auth/authenticate", login)["token"]
            said = client.ask(*request(access, key, end), token=tokens[user]).get("error", "")
            refused = any(words in said for words in REFUSALS)
            answers.append("denied" if refused else said or "allowed")
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
