"""What somebody started on a machine, in a tree of processes and among the units of systemd."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from labkit.agents import _running

FROZEN = _running.frozen
INIT, NOWHERE = "0::/init.scope", "0::/"
SYSTEMD, SHELL = "/usr/lib/systemd/systemd", "/usr/bin/dash"


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    def add(number: int, parent: int, group: str, program: str = SHELL, state: str = "S") -> None:
        entry = tmp_path / str(number)
        entry.mkdir()
        entry.joinpath("stat").write_text(f"{number} (a (b) c) {state} {parent} 0 0\n")
        entry.joinpath("cgroup").write_text(f"9:name=systemd:{group[3:]}\n{group}\n")
        entry.joinpath("exe").symlink_to(program)

    add(1, 0, INIT, SYSTEMD)
    (tmp_path / "uptime").write_text("1 1")
    return add


def test_processes_that_somebody_left_are_strangers(tree: Any, tmp_path: Path) -> None:
    tree(20, 1, "0::/system.slice/etcd.service")
    tree(30, 0, NOWHERE)  # a command in the container, with its child: somebody's terminal
    tree(31, 30, NOWHERE)
    tree(40, 1, NOWHERE)  # left behind, with its own child
    tree(41, 40, NOWHERE)
    tree(50, 1, INIT)  # as with cgroup v2
    tree(60, 1, INIT, SYSTEMD.replace("systemd/systemd", "systemd/systemd-executor"))
    tree(70, 1, NOWHERE, state="Z")
    tree(80, 1, "0::/kubepods/besteffort/podb0ffc27e")
    tree(90, 20, "0::/system.slice/etcd.service")
    assert _running.strangers(tmp_path) == {40, 41, 50}


def test_units_of_pods_and_of_systemd_are_not_counted(commands: Any) -> None:
    names = (
        *("etcd.service", "left.service", "left.timer", "run-r12.scope", "systemd-journald.socket"),
        *("cri-containerd-0a1b.scope", "docker-0a1b.scope", "init.scope", "user@0.service"),
    )
    lines = "".join(f"{it} loaded active running x\\n" for it in names)
    commands("systemctl", f"printf '{lines}'")
    found = {"etcd.service", "left.service", "left.timer", "run-r12.scope"}
    assert _running.active_units() == found


@pytest.fixture(autouse=True)
def nothing_of_this_machine_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_running, "frozen", set)


def test_processes_that_a_signal_has_stopped_are_frozen(tree: Any, tmp_path: Path) -> None:
    tree(20, 1, "0::/system.slice/etcd.service", state="T")
    tree(30, 1, "0::/system.slice/etcd.service")
    tree(40, 1, "0::/system.slice/etcd.service", state="t")  # a debugger holds it
    tree(80, 1, "0::/kubepods/besteffort/podb0ffc27e", state="T")
    assert FROZEN(tmp_path) == {20, 80}


def test_what_is_frozen_goes_on(commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commands("systemctl")
    monkeypatch.setattr(_running, "strangers", set)
    with subprocess.Popen(["sh", "-c", "kill -STOP $$; exit 7"]) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        monkeypatch.setattr(_running, "frozen", lambda: {process.pid})
        _running.end_strangers(())
        assert process.wait(5) == 7


def test_only_units_that_came_are_stopped(commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "echo a.service loaded active running A; echo b.timer loaded active waiting B"
    calls = commands("systemctl", f"case $1 in list-units) {shown};; esac")
    monkeypatch.setattr(_running, "strangers", set)
    _running.end_strangers(["a.service", "c.service"])
    assert [it for it in calls.read_text().splitlines() if "list" not in it] == ["stop b.timer"]


@pytest.mark.parametrize("is_deaf", [False, True])
def test_stranger_is_killed_if_it_does_not_end(
    commands: Any, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    commands("systemctl")
    monkeypatch.setattr(_running, "GRACE_S", 0.3)
    script = "trap '' TERM; " if is_deaf else ""
    # the shell says that it listens to no signal any more
    program = [*("sh", "-c"), f"{script}echo; while :; do sleep 0.02; done"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        running = {process.pid}
        monkeypatch.setattr(
            _running, "strangers", lambda: running if process.poll() is None else set()
        )
        began = time.monotonic()
        _running.end_strangers(())
        assert process.wait(5) == (-signal.SIGKILL if is_deaf else -signal.SIGTERM)
        assert (time.monotonic() - began >= 0.3) == is_deaf
