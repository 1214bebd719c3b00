"""What is frozen, stopped, paused or gone is named by status, and repaired by reset."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.agents import health as agent
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.lab.health import problems


def process(root: Path, number: int, state: str) -> None:
    (root / f"proc/{number}").mkdir(parents=True)
    (root / f"proc/{number}/stat").write_text(f"{number} (a (b) c) {state} 1 1 1")


def test_processes_that_a_signal_stopped_are_found(tmp_path: Path) -> None:
    for number, state in ((1, "S"), (20, "T"), (30, "R"), (40, "t")):
        process(tmp_path, number, state)
    (tmp_path / "proc/self").mkdir()
    assert sorted(agent.stopped(tmp_path / "proc")) == [20, 40]


def test_enabled_units_are_those_whose_files_are_in_etc(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "etcd.service").symlink_to("/etc/systemd/system/etcd.service")
    (wants / "remote-fs.target").symlink_to("/usr/lib/systemd/system/remote-fs.target")
    assert agent.enabled(tmp_path) == ["etcd.service"]


def test_file_in_the_place_of_a_link_enables_no_unit(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    (folder / "etcd.service").touch()
    assert agent.enabled(tmp_path) == []


def test_full_file_system_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def statvfs(folder: str) -> Any:
        return SimpleNamespace(f_bavail=1 if folder == "/tmp" else 1 << 20, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert list(agent.full(["/", "/tmp", "/no/such/folder"])) == ["/tmp"]


def test_silent_systemd_is_a_fault_and_never_a_healthy_machine() -> None:
    assert agent.faults("", []) == {"systemd": "is silent"}


def test_paused_and_stopped_machines_are_named_without_being_asked() -> None:
    machines: Any = {
        name: SimpleNamespace(status=status)
        for name, status in (("etcd1", "paused"), ("etcd2", "exited"), ("etcd3", "dead"))
    }
    assert problems(machines) == {
        "etcd1": ("is paused",),
        "etcd2": ("is stopped",),
        "etcd3": ("is dead",),
    }


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[str]:
    """Yield the address of an engine that accepts every connection, and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen(50)
        taken = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept())

        threading.Thread(target=accept, daemon=True).start()
        yield f"unix://{tmp_path}/docker.sock"


@pytest.mark.parametrize(
    "command",
    [["status"], ["attack", "etcd-read", "-m", "insecure"], ["doctor"], ["down"]],
    ids=lambda command: command[0],
)
def test_engine_that_never_answers_is_reported(command: list[str], silent_engine: str) -> None:
    code = (
        "from labkit.lab import engine; engine.FIRST_ANSWER_S = 0.5\n"
        f"import sys; sys.argv[1:] = {command}\n"
        "from labkit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_HOST": silent_engine},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "does not answer" in done.stderr or "Read timed out" in done.stdout


def test_every_damage_is_named_and_repaired(lab_insecure: Lab) -> None:
    lab = lab_insecure
    damage: dict[str, Any] = {
        "etcd2": lambda: lab.exec("etcd2", ["systemctl", "stop", "etcd"]),
        "etcd3": lambda: lab.exec("etcd3", ["systemctl", "kill", "--signal=STOP", "etcd"]),
        "master": lambda: lab.exec(
            "master", ["systemctl", "kill", "--signal=STOP", "kube-scheduler"]
        ),
        "worker1": lambda: lab.container("worker1").pause(),
        "worker2": lambda: lab.container("worker2").kill(),
        "attacker": lambda: lab.container("attacker").remove(force=True),
    }
    address = lab.addresses["attacker"]
    for act in damage.values():
        act()
    began = time.monotonic()
    status = lab.status()
    assert time.monotonic() - began < 30  # 3 s without other work
    assert status.state == "broken"
    assert set(status.problems) == set(damage)
    assert status.problems["etcd2"][0] in ("etcd.service is inactive", "etcd.service is failed")
    assert status.problems["etcd3"] == ("etcd.service is stopped by a signal",)
    assert status.problems["master"][0] == "kube-scheduler.service is stopped by a signal"
    assert status.problems["worker1"] == ("is paused",)
    assert status.problems["worker2"] == ("is stopped",)
    assert status.problems["attacker"] == ("is gone",)
    began = time.monotonic()
    with pytest.raises(LabError, match="is broken") as caught, lab.exclusive("attack"):
        pass
    assert time.monotonic() - began < 60  # 11 s without other work
    assert "worker1: is paused" in caught.value.evidence
    assert caught.value.hint.startswith("labkit reset")
    lab.reset()
    assert lab.status().state == "ready"
    assert lab.addresses["attacker"] == address
    assert lab.kubectl("get", "nodes").text.count(" Ready ") == 2


def test_frozen_systemd_and_apiserver_are_repaired(lab_insecure: Lab) -> None:
    lab = lab_insecure
    lab.exec("master", ["systemctl", "kill", "--signal=STOP", "kube-apiserver"])
    lab.container("etcd1").kill(signal="STOP")
    status = lab.status()
    assert status.problems["master"] == ("kube-apiserver.service is stopped by a signal",)
    assert status.problems["etcd1"] == ("systemd is stopped by a signal",)
    lab.reset()
    assert lab.status().state == "ready"


def test_machine_without_its_files_is_reset(lab_hardened: Lab) -> None:
    lab = lab_hardened
    lab.exec("master", ["rm", "-rf", "/etc/kubernetes"])
    lab.exec("master", ["systemctl", "stop", "kube-apiserver"])
    link = "/etc/systemd/system/multi-user.target.wants/kube-scheduler.service"
    lab.exec("master", ["sh", "-c", f"rm {link}; touch {link}"])
    # a file that a killed process has emptied
    lab.exec("worker2", ["truncate", "--size=0", "/var/lib/labkit/since"])
    lab.reset()
    assert lab.status().state == "ready"
    assert lab.drift() == []


def test_a_ready_lab_is_up_and_a_broken_one_is_repaired_by_up(lab_hardened: Lab) -> None:
    lab = lab_hardened
    etcd = lab.container("etcd1").id
    lab.exec("etcd1", ["systemctl", "kill", "--signal=STOP", "etcd"])
    assert lab.status().state == "broken"
    lab.up()
    assert lab.status().state == "ready"
    assert lab.container("etcd1").id == etcd, "it was repaired, and not made again"
