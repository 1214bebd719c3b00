"""Make, clear or show etcd's users and roles. Runs on an etcd machine, as etcd's administrator.

``make`` reads JSON from standard input, ``{"users": {name: [role, ...]}, "roles": {name:
[{"access": ..., "key": ..., "prefix": ...}, ...]}}``, creates them and enables authentication.
``clear`` disables authentication and deletes all users and roles. ``show`` prints them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: Seconds for one command; by itself, etcdctl gives up after 5 s, also on a busy machine.
PATIENCE_S = 25


def etcdctl(*arguments: str) -> str:
    """Run etcdctl, and return its standard output."""
    return subprocess.run(
        ["etcdctl", *arguments],
        env={**os.environ, "ETCDCTL_COMMAND_TIMEOUT": f"{PATIENCE_S}s"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S + 5,
    ).stdout


def at_once(commands: Iterable[Sequence[str]]) -> list[str]:
    """Run independent commands at once, to save time; return their outputs."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda command: etcdctl(*command), commands))


def make(users: dict[str, list[str]], roles: dict[str, list[dict[str, Any]]]) -> None:
    """Add users and roles, grant their permissions, and enable authentication."""
    added = [["role", "add", role] for role in roles]
    added += [["user", "add", user, "--no-password"] for user in users]
    granted = [["user", "grant-role", user, role] for user in users for role in users[user]]
    granted += [
        ["role", "grant-permission", *prefix(grant), role, grant["access"], grant["key"]]
        for role, grants in roles.items()
        for grant in grants
    ]
    # etcd itself creates the role root
    at_once(added)
    at_once(granted)
    etcdctl("auth", "enable")


def prefix(grant: dict[str, Any]) -> list[str]:
    """Return etcdctl's option for a grant of all keys with a prefix."""
    return ["--prefix=true"] if grant["prefix"] else []


def clear() -> None:
    """Disable authentication, and delete all users and roles."""
    etcdctl("auth", "disable")
    for kind in ("user", "role"):
        for name in etcdctl(kind, "list").split():
            etcdctl(kind, "delete", name)


def show() -> None:
    """Print the status of authentication, the users, and the roles with their grants."""
    kinds = ("user", "role")
    status, *lists = at_once([("auth", "status"), *((kind, "list") for kind in kinds)])
    names = [(kind, it) for kind, found in zip(kinds, lists, strict=True) for it in found.split()]
    print(status.splitlines()[0])
    print("".join(at_once((kind, "get", name) for kind, name in names)), end="")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(**json.load(sys.stdin))
    else:
        {"clear": clear, "show": show}[sys.argv[1]]()
