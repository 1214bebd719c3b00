"""Run the commands that arrive on standard input, one line of JSON each, side by side.

A line has ``id``, ``argv``, ``user`` ("" is root) and ``stdin`` (base64, or null for no input).
When the command has ended, a line of JSON goes to standard output: ``id``, and ``code``, ``out``
and ``err`` (base64), or ``error`` if the command could not be started.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import subprocess
import sys
import threading
from typing import Any

OUT = threading.Lock()


def account(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return Popen's arguments and the environment variables for a user."""
    if name in ("", "root"):
        return {}, dict(os.environ, HOME="/root")
    who = pwd.getpwnam(name)
    groups = os.getgrouplist(name, who.pw_gid)
    options = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups}
    return options, dict(os.environ, HOME=who.pw_dir)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one command, and return its exit status and output."""
    try:
        options, environment = account(asked["user"])
        given = asked["stdin"]
        process = subprocess.Popen(
            asked["argv"],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,
            **options,
        )
        out, err = process.communicate(None if given is None else base64.b64decode(given))
    except Exception as error:
        return {"id": asked["id"], "error": f"{type(error).__name__}: {error}"}
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return {"id": asked["id"], "code": code, "out": text(out), "err": text(err)}


def text(data: bytes) -> str:
    """Return bytes as base64, for JSON."""
    return base64.b64encode(data).decode()


def answer(asked: dict[str, Any]) -> None:
    """Run one command, and write one line with its result."""
    line = json.dumps(run(asked)).encode() + b"\n"
    with OUT:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def main() -> None:
    """Run commands until standard input ends."""
    for line in sys.stdin.buffer:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
