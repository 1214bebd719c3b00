"""Make files with owners and modes, and print which accounts can open them.

On standard input: a list of ``{"root", "entries": [[kind, path, mode, uid, gid, target], ...],
"accounts": [[uid, gid, [gid, ...]], ...], "questions": [[account, kind, path], ...]}``. The kinds
are "folder", "file", "socket" and "link"; paths are below the root, a folder that is made and
removed again. Prints a list for each, with one true or false for each question: a socket is
connected to, a file is read.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def make(root: Path, entries: list[list[Any]]) -> list[socket.socket]:
    """Make the entries; give them their owners and modes when all are there."""
    servers = []
    for kind, path, _, _, _, target in entries:
        here = root / path
        if kind == "folder":
            here.mkdir()
        elif kind == "file":
            here.write_bytes(b"x")
        elif kind == "link":
            here.symlink_to(target)
        else:
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(here))
            server.listen(1024)
            servers.append(server)
    for kind, path, mode, uid, gid, _ in reversed(entries):
        os.chown(root / path, uid, gid, follow_symlinks=False)
        if kind != "link":
            (root / path).chmod(mode)
    return servers


def opens(kind: str, path: str) -> bool:
    """Say whether a file can be read, or a socket connected to."""
    try:
        if kind == "socket":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
        else:
            os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def answers(account: list[Any], questions: list[tuple[str, str]]) -> list[bool]:
    """Return what an account can open, from a child that becomes it."""
    uid, gid, groups = account
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            os.write(writing, "".join("01"[opens(*each)] for each in questions).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = [letter == "1" for letter in pipe.read()]
    os.waitpid(child, 0)
    if len(found) != len(questions):
        raise RuntimeError(f"the child of account {uid} failed")
    return found


def main(about: dict[str, Any]) -> list[bool]:
    """Make the files, ask every question, and remove the files."""
    root, asked = Path(about["root"]), about["questions"]
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    root.chmod(0o755)
    servers: list[socket.socket] = []
    try:
        servers = make(root, about["entries"])
        found: dict[int, Iterator[bool]] = {}
        for number, account in enumerate(about["accounts"]):
            mine = [(kind, f"{root}/{path}") for who, kind, path in asked if who == number]
            found[number] = iter(answers(account, mine))
        return [next(found[who]) for who, _, _ in asked]
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(root)


if __name__ == "__main__":
    json.dump([main(it) for it in json.load(sys.stdin)], sys.stdout)
