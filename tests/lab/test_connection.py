"""Commands over the connection to a machine: their user, their output, broken connections."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit.errors import CommandFailed
from labkit.lab.connection import connection_to

pytestmark = pytest.mark.lab
NODE = "master"


def test_command_runs_as_its_user(lab_insecure: Any) -> None:
    script = ["sh", "-c", "id -un; id -Gn; echo $HOME; pwd"]
    assert lab_insecure.exec(NODE, script).text.split() == ["root", "root", "/root", "/"]
    user, groups, home, here = lab_insecure.exec(NODE, script, user="alice").text.splitlines()
    assert (user, home, here) == ("alice", "/home/alice", "/")
    assert "root" not in groups.split()
    shown = lab_insecure.exec(NODE, ["grep", "CapEff", "/proc/self/status"], user="alice").text
    assert int(shown.split()[1], 16) == 0, "an ordinary user has no capability"


def test_command_passes_input_and_output_unchanged(lab_insecure: Any) -> None:
    data = bytes(range(256)) * 8000
    assert lab_insecure.exec(NODE, ["cat"], stdin=data).stdout == data
    left = lab_insecure.exec(NODE, ["sh", "-c", "echo a; echo b >&2; exit 7"], check=False)
    assert (left.exit_code, left.stdout, left.stderr) == (7, b"a\n", b"b\n")
    assert lab_insecure.exec(NODE, ["no-such-command"], check=False).exit_code == 127


#: Makes the file $1 in a folder of its own, waits for the files of all eight, and says $1.
MEETS = """mkdir -p $0
touch $0/$1
for turn in $(seq 600); do
    [ $(ls $0 | wc -l) = 8 ] && echo $1 && exit
    sleep 0.1
done
exit 1"""


def test_commands_run_side_by_side(lab_insecure: Any) -> None:
    folder = f"/tmp/meeting-{uuid.uuid4()}"
    try:
        with ThreadPoolExecutor(8) as pool:
            said = [
                pool.submit(lab_insecure.exec, NODE, ["sh", "-c", MEETS, folder, str(number)])
                for number in range(8)
            ]
            assert [int(each.result().text) for each in said] == list(range(8))
    finally:
        lab_insecure.exec(NODE, ["rm", "-r", folder])


def test_command_is_ended_after_its_timeout(lab_insecure: Any) -> None:
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
        lab_insecure.exec(NODE, ["sleep", "30"], timeout=0.5)
    assert lab_insecure.exec(NODE, ["pgrep", "-x", "sleep"], check=False).text == ""


def test_broken_connection_is_reopened(lab_insecure: Any) -> None:
    first = connection_to(lab_insecure.container(NODE))
    assert first is connection_to(lab_insecure.container(NODE))
    first.close()
    assert lab_insecure.exec(NODE, ["echo", "again"]).text == "again\n"
    assert connection_to(lab_insecure.container(NODE)) is not first
