"""Run the commands that arrive on standard input, one line of JSON each, side by side.

A line has ``id``, ``argv``, ``user`` ("" is root) and ``stdin`` (base64, or null for no input).
When the command has ended, a line of JSON goes to standard output: ``id``, and ``code``, ``out``
and ``err`` (base64), or ``error`` if the command could not be started. A line may have ``program``
instead, the text of a Python module, and ``arguments``: this process calls its function ``answer``,
which saves the start of another Python, and the result is the output.

Standard input ends with the process that sends the commands, however that process ended. Then
every command that still runs gets SIGTERM, so that it can undo what it did, and SIGKILL if it is
still there after a few seconds.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache

from labkit.agents._program import identity

TYPE_CHECKING = False  # to import typing would take a tenth of this program's start
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

OUT = threading.Lock()
#: Seconds that a command gets to undo what it did.
GRACE = 8.0


class Running:
    """The commands that run; each leads a process group of its own."""

    def __init__(self) -> None:
        self.lock, self.ended = threading.Lock(), False
        self.processes: set[subprocess.Popen[Any]] = set()

    def start(self, *arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        """Start a command; raise if no command may start any more."""
        with self.lock:
            if self.ended:
                raise RuntimeError("standard input has ended")
            process = subprocess.Popen(*arguments, start_new_session=True, **options)
            self.processes.add(process)
        return process

    def end(self, grace: float = GRACE) -> None:
        """End all commands with their children, and start no other."""
        with self.lock:
            self.ended = True
            left = set(self.processes)
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
            deadline = time.monotonic() + seconds
            for process in left:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            while (left := {it for it in left if group_exists(it.pid)}) and (
                time.monotonic() < deadline
            ):
                time.sleep(0.05)


RUNNING = Running()


def group_exists(leader: int) -> bool:
    """Say whether a process group has a process."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def account(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return Popen's arguments and the environment variables for a user."""
    if name in ("", "root"):
        return {}, dict(os.environ, HOME="/root")
    try:
        who = pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"the machine has no user {name}") from None
    groups = os.getgrouplist(name, who.pw_gid)
    options = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups}
    return options, dict(os.environ, HOME=who.pw_dir)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one command, and return its exit status and output."""
    try:
        options, environment = account(asked["user"])
        given = asked["stdin"]
        process = RUNNING.start(
            asked["argv"],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
            **options,
        )
        out, err = process.communicate(None if given is None else base64.b64decode(given))
        RUNNING.processes.discard(process)
    except Exception as error:
        kind = "" if type(error) is LookupError else f"{type(error).__name__}: "
        return {"id": asked["id"], "error": f"{kind}{error}"}
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return {"id": asked["id"], "code": code, "out": text(out), "err": text(err)}


def call(asked: dict[str, Any]) -> dict[str, Any]:
    """Call the function of a program, and return its answer as the output."""
    try:
        names: dict[str, Any] = {"__name__": "program"}
        exec(compiled(asked["program"]), names)  # noqa: S102 - it runs commands
        out = names["answer"](*asked["arguments"])
    except (Exception, SystemExit) as error:
        return {"id": asked["id"], "error": str(error) or type(error).__name__}
    return {"id": asked["id"], "code": 0, "out": text(out.encode()), "err": ""}


@cache
def compiled(program: str) -> CodeType:
    """Return a program as Python runs it: every look at a machine calls the same few again."""
    return compile(program, "program", "exec")


def text(data: bytes) -> str:
    """Return bytes as base64, for JSON."""
    return base64.b64encode(data).decode()


def answer(asked: dict[str, Any]) -> None:
    """Run one command or call one program, and write one line with its result."""
    line = json.dumps(call(asked) if "program" in asked else run(asked)).encode() + b"\n"
    left = memoryview(line)
    with OUT:
        # not sys.stdout: Python aborts at its end if a thread is inside a buffered file then
        while left:
            left = left[os.write(1, left) :]


def main() -> None:
    """Run commands until standard input ends, then end all of them."""
    os.environ["LABKIT_SERVER"] = identity(os.getpid())
    for line in sys.stdin.buffer:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    RUNNING.end()


if __name__ == "__main__":
    main()
