"""Records of what has to be undone, programs that another one ends, and rules by their comment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import remove
from labkit.agents._program import identity

PROGRAM = """
import sys, time
from pathlib import Path
{shared}
folder = Path(sys.argv[1])
with in_folder(folder):
    while not stopped(folder):
        time.sleep(0.02)
    (folder.parent / "undone").touch()
"""


def sh(name: str, *arguments: str, stdin: str = "", server: str = "") -> str:
    argv = agents.argv(name, *arguments)
    variables = {**os.environ, "LABKIT_SERVER": server}
    done = subprocess.run(
        argv, input=stdin, env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def program(folder: Path) -> subprocess.Popen[bytes]:
    """Start a program that runs in a folder until it is ended."""
    text = PROGRAM.format(shared=agents.load("_program"))
    process = subprocess.Popen([sys.executable, "-c", text, str(folder)], start_new_session=True)
    while not (folder / "process").exists():
        time.sleep(0.02)
    return process


def test_record_is_there_until_it_is_removed(tmp_path: Path) -> None:
    folder = str(tmp_path / "pending")
    assert sh("pending", folder, "list") == ""
    sh("pending", folder, "add", "1", stdin="attack one\n[]\n")
    mine = identity(os.getpid())
    sh("pending", folder, "add", "2", stdin="verify\n[1]\n", server=mine)
    assert sh("pending", folder, "list").splitlines() == [
        *("1 interrupted", "attack one", "[]"),
        *("2 running", "verify", "[1]"),
    ]
    assert sh("pending", folder, "list", server=mine).splitlines()[3] == "2 own"
    sh("pending", folder, "remove", "1")
    sh("pending", folder, "remove", "1")
    assert sh("pending", folder, "list").splitlines() == ["2 running", "verify", "[1]"]


@pytest.mark.parametrize("server", ["", "0 0", "999999999 5", "own 1"])
def test_record_of_a_process_that_is_gone_is_interrupted(server: str, tmp_path: Path) -> None:
    """Another process may have the same id, but not the same time of its start."""
    folder = str(tmp_path)
    server = server.replace("own", str(os.getpid()))
    sh("pending", folder, "add", "1", stdin="attack one\n[]\n", server=server)
    assert sh("pending", folder, "list").startswith("1 interrupted")
    assert sh("lab_state", "/none", "/none", folder) == "interrupted attack one\n"


def test_state_of_the_lab_names_a_change_that_did_not_end(tmp_path: Path) -> None:
    edits, folder = tmp_path / "edits.json", tmp_path / "pending"
    edits.write_text('{"edits": []}')
    up = edits.with_name("up")
    up.touch()
    assert sh("lab_state", str(up), str(edits), str(folder)) == "ready\n"
    edits.write_text('{"edits": [], "before": [], "who": "control off etcd-users"}')
    assert sh("lab_state", "/none", str(edits), str(folder)) == (
        "interrupted control off etcd-users\n"
    )
    folder.mkdir()
    mine = identity(os.getpid())
    sh("pending", str(folder), "add", "1", stdin="verify\n[]\n", server=mine)
    assert sh("lab_state", "/none", str(edits), str(folder)).endswith("\nrunning verify\n")
    edits.write_text(json.dumps({"edits": [], "before": [], "who": "control", "server": mine}))
    assert sh("lab_state", "/none", str(edits), "/none") == "running control\n"
    edits.write_text(json.dumps({"edits": [], "before": [], "who": "control", "server": "1 2"}))
    assert sh("lab_state", "/none", str(edits), "/none") == "interrupted control\n"


def test_program_undoes_what_it_did_before_its_folder_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    with program(folder) as process:
        remove.remove(folder)
        assert process.wait(60) == 0
    assert (tmp_path / "undone").exists()
    assert not folder.exists()


def test_program_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "program"
    with program(folder) as process:
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(remove.end_program, "__defaults__", (0.2,))
        remove.remove(folder)
        assert process.wait(60) == -signal.SIGKILL
    assert not folder.exists()


def test_other_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "process").write_text(f"{os.getpid()} 1")
    remove.remove(tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_files_links_and_nothing_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").touch()
    link = tmp_path / "link"
    link.symlink_to(target)
    for path in (link, tmp_path / "none"):
        remove.remove(path)
    assert not link.is_symlink()
    assert (target / "file").exists(), "what a link points to stays"
    remove.remove(target)
    assert not target.exists()


def test_rules_are_deleted_by_their_comment(commands: Any) -> None:
    rules = (
        'case "$*" in *"nat -S") echo "-P PREROUTING ACCEPT"; '
        'echo "-A PREROUTING -p tcp -m comment --comment labkit-middle -j REDIRECT"; '
        'echo "-A OUTPUT -p tcp -m comment --comment labkit-middles -j REDIRECT";; esac'
    )
    iptables = commands("iptables", rules)
    sh("remove_rules", "labkit-middle")
    assert [call for call in iptables.read_text().splitlines() if " -D " in call] == [
        "-w 5 -t nat -D PREROUTING -p tcp -m comment --comment labkit-middle -j REDIRECT"
    ]


@pytest.mark.parametrize(("forgotten", "deleted"), [(True, 0), (False, 3)])
def test_network_that_flanneld_does_not_forget_is_forgotten_for_it(
    commands: Any, forgotten: bool, deleted: int
) -> None:
    route = "" if forgotten else "echo 198.51.100.0/24 via 198.51.100.0 dev flannel.1 onlink"
    neighbour = "echo 198.51.100.0 lladdr 0e:00:c6:33:64:00 PERMANENT"
    ip = commands(
        "ip", f'case "$*" in "route show"*) {route or ":"};; "neigh show"*) {neighbour};; esac'
    )
    bridge = commands("bridge", "")
    sh("forget_network", "198.51.100.0/24", "0")
    calls = ip.read_text().splitlines() + (bridge.read_text().splitlines() if deleted else [])
    assert [call for call in calls if " del " in call] == [
        "route del 198.51.100.0/24",
        "neigh del 198.51.100.0 dev flannel.1",
        "fdb del 0e:00:c6:33:64:00 dev flannel.1",
    ][:deleted]


def test_file_is_replaced_and_names_the_process_that_serves_its_writer(tmp_path: Path) -> None:
    file = tmp_path / "new/edits.json"
    sh("replace_file", str(file), stdin='{"server": "@SERVER@"}', server="7 4711")
    assert json.loads(file.read_text()) == {"server": "7 4711"}
    assert file.stat().st_mode & 0o777 == 0o600
    sh("replace_file", str(file), stdin="{}")
    assert file.read_text() == "{}"
    assert [it.name for it in file.parent.iterdir()] == ["edits.json"]
