"""Commands that are killed at a random moment: after a reset, the lab is as it came up.

``make kills SEED=1 COUNT=500`` runs as many as wanted; without these, CI runs a share.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.model import read_model

COUNT, SEED = int(os.environ.get("COUNT", "8")), int(os.environ.get("SEED", "1"))
SIGNALS = (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
#: Seconds in which a command usually ends, with the start of its process.
USUAL = {"attack": 5.0, "control": 9.0, "verify": 14.0, "reset": 4.0, "matrix": 12.0}
#: Seconds in which a lab settles after a reset: pods that start again, programs that end.
SETTLES = 30.0


def commands() -> list[list[str]]:
    """Return every command that changes a lab and means to undo it, by kind in equal shares."""
    attacks = [["attack", name] for name in techniques]
    flips = [["control", way, name] for name in controls for way in ("on", "off")]
    others = [["verify"], ["reset"]] * 10
    columns = [["matrix", "--control", name, "--quiet"] for name in controls]
    return [*attacks, *flips, *others, *columns]


def options(lab: Any) -> list[str]:
    return ["--mode", lab.mode, "--name", lab.name]


def kill(lab: Any, command: list[str], number: signal.Signals, delay: float) -> int:
    """Start a command, send it a signal after some seconds, and return its exit status."""
    argv = [sys.executable, "-m", "labkit", *command, *options(lab)]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, **quiet) as process:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        return process.wait(60)


def settled(lab: Any) -> list[str]:
    """Return what the lab differs in, as soon as it is nothing, or after some seconds."""
    deadline = time.monotonic() + SETTLES
    while (found := lab.drift()) and time.monotonic() < deadline:
        time.sleep(1)
    return list(found)


def reset(lab: Any) -> None:
    argv = [sys.executable, "-m", "labkit", "reset", *options(lab)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    lab._forget()


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_lab_is_as_it_came_up_after_every_kill(mode: str, labs: dict[str, Any]) -> None:
    lab = labs[mode]
    chance = random.Random(f"{SEED} {mode}")
    reset(lab)
    assert settled(lab) == [], "before the first kill"
    for turn in range(COUNT // 2):
        command, number = chance.choice(commands()), chance.choice(SIGNALS)
        delay = chance.uniform(0.3, USUAL[command[0]])
        left = kill(lab, command, number, delay)
        what = f"kill {turn}: {' '.join(command)}, {number.name} after {delay:.2f} s, exit {left}"
        began = time.monotonic()
        reset(lab)
        took = time.monotonic() - began
        print(f"{mode}: {what}; reset {took:.1f} s", flush=True)
        assert settled(lab) == [], what
        assert not lab.status().interrupted, what
    model = read_model(lab.environment)
    for name in ("etcd-read", "eavesdrop-etcd", "mitm-kubelet", "etcd-rogue-member"):
        technique = techniques[name]
        predicted = technique.predict(model, technique.footholds[0])
        assert technique.run(lab).succeeded == predicted.succeeds, name
