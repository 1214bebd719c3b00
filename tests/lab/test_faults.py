"""Every component and machine stopped, frozen, paused, removed or full: commands say so and end.

CI tries one fault. All of one mode: ``LABKIT_ALL_FAULTS=1 pytest tests/lab/test_faults.py
-s``, which prints the seconds of each command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit.cluster import read_environment
from labkit.errors import LabkitError
from labkit.lab.bootstrap import units
from labkit.lab.status import list_labs

MODE = os.environ.get("LABKIT_ALL_FAULTS_MODE", "hardened")
#: Seconds in which a command ends; a machine with other work gets more.
BOUND_S = 30.0 * (1.0 if os.environ.get("LABKIT_ALL_FAULTS") else 2.0)
#: Seconds in which status ends: three for the machines' answers, and its own start. A share in CI
#: has other work beside it.
STATUS_S = 5.0 if os.environ.get("LABKIT_ALL_FAULTS") else BOUND_S
#: By role, a folder on which a small volume that is full is mounted. The attacker's machine may
#: mount nothing.
FULL = {"etcd": "/var/lib/etcd", "master": "/var/log", "worker": "/var/log"}


def faults() -> list[tuple[str, str, str]]:
    """Return the machine, the unit (or "") and the damage of every fault."""
    found = []
    for node in read_environment(MODE).nodes:
        found += [(node.name, "", how) for how in ("stopped", "frozen", "paused", "removed")]
        found += [(node.name, "", "full")] if node.role in FULL else []
        for unit in units(node):
            found += [(node.name, unit, "stopped")]
            if unit.endswith(".service"):
                found += [(node.name, unit, "frozen")]
    # the attacker's machine has no systemd
    return [fault for fault in found if fault != ("attacker", "", "frozen")]


SHARE = [("master", "kube-apiserver.service", "frozen")]
FAULTS = faults() if os.environ.get("LABKIT_ALL_FAULTS") else SHARE


def damage(lab: Any, node: str, unit: str, how: str) -> None:
    machine = lab.container(node)
    if unit:
        word = ["stop"] if how == "stopped" else ["kill", "--signal=STOP"]
        # containerd and dockerd do not end before their own children
        lab.exec(node, ["systemctl", *word, unit], timeout=60)
        return
    room = FULL.get(lab.environment.node(node).role, "")
    actions: dict[str, Callable[[], object]] = {
        "stopped": machine.kill,
        "frozen": lambda: machine.kill(signal="STOP"),
        "paused": machine.pause,
        "removed": lambda: machine.remove(force=True),
        "full": lambda: lab.exec(node, ["mount", "-t", "tmpfs", "-o", "size=1m", "none", room]),
    }
    actions[how]()
    lab._forget()


def run(lab: Any, *command: str) -> tuple[str, int, float, str]:
    """Run a command of labkit; return it with its exit status, its seconds and its output."""
    words = list(command)
    at = words.index("--") if "--" in words else len(words)
    named = [] if command[0] == "reach" else ["--name", lab.name]
    words[at:at] = ["--mode", lab.mode, *named]
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "labkit", *words],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return " ".join(command), -1, time.monotonic() - began, "it did not end"
    return " ".join(command), done.returncode, time.monotonic() - began, done.stdout + done.stderr


def complaints(node: str, results: list[tuple[str, int, float, str]]) -> list[str]:
    """Return what is wrong with the ends of commands."""
    found = []
    for command, code, seconds, said in results:
        print(f"  {command}: exit {code}, {seconds:.1f} s, {said.strip().splitlines()[-3:]}")
        if seconds > BOUND_S:
            found.append(f"{command} took {seconds:.0f} s: {said[-300:]}")
        if code < 0 or "Traceback" in said:
            found.append(f"{command} did not end well: {said[-300:]}")
        if code and ("next: labkit" not in said or node not in said):
            found.append(f"{command} does not say what is wrong and what to run: {said[-500:]}")
    return found


def test_every_machine_and_component_has_its_faults() -> None:
    found = faults()
    for node in read_environment(MODE).nodes:
        own = {how for name, unit, how in found if (name, unit) == (node.name, "")}
        attacker = node.role == "attacker"
        kinds = {"stopped", "frozen", "paused", "removed", "full"}
        assert own == kinds - ({"frozen", "full"} if attacker else set())
        for unit in units(node):
            own = {how for name, it, how in found if (name, it) == (node.name, unit)}
            assert own == {"stopped", *(["frozen"] if unit.endswith(".service") else [])}


@pytest.mark.parametrize(("node", "unit", "how"), FAULTS)
def test_every_command_ends_and_says_what_is_wrong(
    node: str, unit: str, how: str, labs: dict[str, Any]
) -> None:
    lab = labs[MODE]
    damage(lab, node, unit, how)
    print(f"{MODE}: {node} {unit} {how}", flush=True)
    bad = []
    status = run(lab, "status")
    print(f"  status: {status[2]:.1f} s")
    if status[2] > STATUS_S:
        bad.append(f"status took {status[2]:.1f} s")
    if node not in status[3] or " ready " in status[3]:
        bad.append(f"status is not true: {status[3]}")
    (listed,) = (one for one in list_labs(lab.client) if (one.name, one.mode) == (lab.name, MODE))
    if node not in listed.problems:
        bad.append(f"status --all is not true: {listed}")
    reading = [
        ("kubectl", "--", "get", "secrets", "-A"),
        ("kubectl", "--", "get", "--raw", "/readyz"),
        ("exec", node, "--", "true"),
        ("logs", node),
        ("control", "list"),
        ("reach",),
        ("verify", "--state"),
    ]
    every = os.environ.get("LABKIT_ALL_FAULTS")
    with ThreadPoolExecutor(max_workers=2) as pool:
        ends = list(pool.map(lambda command: run(lab, *command), reading[: None if every else 3]))
    bad += complaints(node, [end for end in ends if end[1] or end[2] > BOUND_S])
    lab._forget()
    socket = unit.replace(".service", ".socket")
    if how == "stopped" and socket in {*units(lab.environment.node(node))} - {unit}:
        # a question to its socket starts it again, and the fingerprint asks one
        is_broken = lab.status().state != "ready"
    else:
        is_broken = True
    if every and is_broken:
        # one of them, because each asks the same question first
        changing = [
            ("attack", "mitm-kubelet"),
            ("control", "off", "kubelet-anonymous"),
            ("verify",),
            ("matrix", "--control", "none", "--quiet"),
        ]
        refused = run(lab, *changing[FAULTS.index((node, unit, how)) % len(changing)])
        bad += complaints(node, [refused])
        if not refused[1]:
            bad.append(f"{refused[0]} went on in a lab that is broken")
    came_back = run(lab, "reset")
    print(f"  reset: exit {came_back[1]}, {came_back[2]:.1f} s")
    if how == "full":
        if not came_back[1] or "no space left" not in came_back[3]:
            bad.append(f"reset does not say that there is no room: {came_back[3][-500:]}")
        bad += complaints(node, [came_back])
        # lazily, since a program may have opened a file there
        lab.exec(node, ["umount", "--lazy", FULL[lab.environment.node(node).role]])
        came_back = run(lab, "reset")
    if came_back[1]:
        if "next: labkit up" not in came_back[3]:
            bad.append(f"reset: {came_back[3][-500:]}")
        again = run(lab, "up")
        print(f"  up: exit {again[1]}, {again[2]:.1f} s")
    lab._forget()
    try:
        if lab.status().state != "ready":
            bad.append(f"after the repair: {lab.status()}")
    except LabkitError as error:
        bad.append(str(error))
    assert not bad, "\n".join(bad)
