"""Runs in a machine: starts the commands that come in, a line of JSON each, side by side."""

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
    """Return what Popen and the environment need to be somebody else than root."""
    if name in ("", "root"):
        return {}, dict(os.environ, HOME="/root")
    who = pwd.getpwnam(name)
    groups = os.getgrouplist(name, who.pw_gid)
    options = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups}
    return options, dict(os.environ, HOME=who.pw_dir)


def answer(asked: dict[str, Any]) -> None:
    """Run one command and write what it left."""
    try:
        options, environment = account(asked["user"])
        given = asked["stdin"]
        run = subprocess.Popen(
            asked["argv"],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,
            **options,
        )
        out, err = run.communicate(None if given is None else base64.b64decode(given))
        code = run.returncode if run.returncode >= 0 else 128 - run.returncode
        left = {"code": code, "out": text(out), "err": text(err)}
    except Exception as error:
        left = {"error": f"{type(error).__name__}: {error}"}
    line = json.dumps({"id": asked["id"], **left}).encode() + b"\n"
    with OUT:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def text(data: bytes) -> str:
    """Return bytes as JSON can hold them."""
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
