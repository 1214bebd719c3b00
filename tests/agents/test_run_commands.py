"""The command server: input, exit status and output, and commands that cannot start."""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import run_commands
from labkit.agents._program import identity

SERVER = [sys.executable, *agents.argv("run_commands")[1:]]


def asked(
    *argv: str, stdin: bytes | None = None, user: str = "", number: int = 1
) -> dict[str, Any]:
    given = None if stdin is None else base64.b64encode(stdin).decode()
    return {"id": number, "argv": list(argv), "stdin": given, "user": user}


def left(answer: dict[str, Any]) -> tuple[int, bytes, bytes]:
    return answer["code"], base64.b64decode(answer["out"]), base64.b64decode(answer["err"])


def serve(
    *lines: dict[str, Any], then: Callable[[], object] = lambda: None
) -> dict[int, dict[str, Any]]:
    """Start a server, send it requests, and return its answers by number.

    After the first answer, call a function.
    """
    with subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline())]
        then()
        answers += [json.loads(process.stdout.readline()) for _ in lines[1:]]
        process.stdin.close()
        assert process.wait(60) == 0
    return {answer["id"]: answer for answer in answers}


def test_command_returns_its_code_and_its_two_outputs() -> None:
    answer = serve(asked("sh", "-c", "cat; echo b >&2; exit 7", stdin=b"\x00\xff"))[1]
    assert left(answer) == (7, b"\x00\xff", b"b\n")


def test_command_without_input_reads_nothing() -> None:
    assert left(serve(asked("cat"))[1]) == (0, b"", b"")


def test_command_ended_by_a_signal_has_the_status_of_a_shell() -> None:
    assert serve(asked("sh", "-c", "kill -KILL $$"))[1]["code"] == 128 + 9


def test_command_that_cannot_be_started_is_an_error() -> None:
    answer = serve(asked("/no/such/command"))[1]
    assert answer == {"id": 1, "error": answer["error"]}
    assert answer["error"].startswith("FileNotFoundError: ")


def test_unknown_user_is_an_error() -> None:
    error = run_commands.run(asked("true", user="no-such-user"))["error"]
    assert error == "the machine has no user no-such-user"


#: Makes the file $1 in the folder $0, and ends well once there are $2 files, or badly after 60 s.
MEETS = """touch $0/$1
for turn in $(seq 600); do
    [ $(ls $0 | wc -l) -ge $2 ] && exit
    sleep 0.1
done
exit 1"""


def test_commands_run_in_parallel(tmp_path: Path) -> None:
    answers = serve(
        *(asked("sh", "-c", MEETS, str(tmp_path), str(n), "6", number=n) for n in range(6))
    )
    assert {number: answer["code"] for number, answer in answers.items()} == dict.fromkeys(
        range(6), 0
    )


def test_slow_command_does_not_hold_up_a_quick_one(tmp_path: Path) -> None:
    slow = asked("sh", "-c", MEETS, str(tmp_path), "slow", "2", number=1)
    # it can end only after the first answer, which so is the quick one's
    answers = serve(slow, asked("true", number=2), then=(tmp_path / "answered").touch)
    assert list(answers) == [2, 1]
    assert answers[1]["code"] == 0


def test_command_runs_at_the_root_of_the_files_in_a_session_of_its_own() -> None:
    code, out, _ = left(run_commands.run(asked("sh", "-c", "pwd; ps -o sid= -p $$; echo $$")))
    here, session, process = out.decode().split()
    assert (code, here, session) == (0, "/", process)


def test_root_has_a_home_and_keeps_its_rights() -> None:
    options, environment = run_commands.account("")
    assert (options, environment["HOME"]) == ({}, "/root")


def test_other_user_has_their_own_groups_and_home() -> None:
    me = pwd.getpwnam(getpass.getuser())
    if me.pw_name == "root":
        me = pwd.getpwnam("nobody")
    options, environment = run_commands.account(me.pw_name)
    assert (options["user"], options["group"]) == (me.pw_uid, me.pw_gid)
    assert me.pw_gid in options["extra_groups"]
    assert environment["HOME"] == me.pw_dir


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_command_runs_as_its_user() -> None:
    code, out, _ = left(run_commands.run(asked("id", "-un", user="nobody")))
    assert (code, out) == (0, b"nobody\n")


#: Writes its process id to a file, and again when SIGTERM ends it.
UNDOES = "trap 'echo undone >>$0; exit' TERM; echo $$ >$0; sleep 60 & wait"


@pytest.mark.parametrize(
    ("script", "said"),
    [(UNDOES, ["undone"]), ("trap '' TERM; echo $$ >$0; while :; do sleep 0.1; done", [])],
)
def test_commands_end_with_standard_input(script: str, said: list[str], tmp_path: Path) -> None:
    """As when the process that sends the commands was killed."""
    file = tmp_path / "process"
    program = SERVER[-1].replace("GRACE = 8.0", "GRACE = 1.0")
    with subprocess.Popen([*SERVER[:-1], program], stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(json.dumps(asked("sh", "-c", script, str(file))).encode() + b"\n")
        process.stdin.flush()
        while not (file.exists() and file.read_text()):
            time.sleep(0.02)
        process.stdin.close()
        assert process.wait(60) == 0
    number, *rest = file.read_text().split()
    assert rest == said
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, *_, session = path.read_text().rpartition(")")[2].split()[:4]
            assert state == "Z" or session != number, "its session goes on"


def test_nothing_starts_after_the_end() -> None:
    running = run_commands.Running()
    running.end()
    with pytest.raises(RuntimeError, match="standard input has ended"):
        running.start(["true"])


def test_command_knows_its_server() -> None:
    with subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(asked("printenv", "LABKIT_SERVER")).encode() + b"\n")
        process.stdin.flush()
        _, out, _ = left(json.loads(process.stdout.readline()))
        assert out.decode().strip() == identity(process.pid)
        process.stdin.close()


def test_server_calls_a_program_itself() -> None:
    program = "import os\ndef answer(*words):\n    return f'{os.getpid()} {words}'"
    asked_twice = [{"id": n, "program": program, "arguments": ["a", "b"]} for n in (1, 2)]
    first, second = (left(each)[1].decode() for each in serve(*asked_twice).values())
    assert first == second, "no other process"
    assert first.endswith(" ('a', 'b')")


@pytest.mark.parametrize("error", ["OSError", "SystemExit"])
def test_program_that_fails_is_an_error_and_the_server_goes_on(error: str) -> None:
    program = f"def answer():\n    raise {error}('no room')"
    answers = serve({"id": 1, "program": program, "arguments": []}, asked("true", number=2))
    assert answers[1] == {"id": 1, "error": "no room"}
    assert answers[2]["code"] == 0
