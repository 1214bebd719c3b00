"""Commands that are killed at a random moment: after a reset, the lab is as it came up.

``make kills SEED=1 COUNT=500`` runs as many as wanted; without these, CI runs a share.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from labkit import controls, techniques
from labkit.errors import LabkitError
from labkit.lab import Lab
from labkit.lab.engine import connect, lab_filter
from labkit.model import read_model

MODES = ("insecure", "hardened")
COUNT, SEED = int(os.environ.get("COUNT", "6")), int(os.environ.get("SEED", "2"))
#: The techniques that are tried at the end: every one of these modes if many kills
#: are wanted.
SAMPLE = ("etcd-read", "eavesdrop-etcd", "mitm-kubelet", "etcd-rogue-member", "token-replay")
EVERY = tuple(it.name for it in techniques.values() if it.modes == MODES)
TRIED = EVERY if COUNT >= 50 else SAMPLE
STARTS = max(1, COUNT // 25)
SIGNALS = (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
#: How often a command gets a second signal, which ends its clean-up, and the seconds before it.
AGAIN, PAUSE = 0.4, 1.5
#: Seconds in which a command usually ends, with the start of its process.
USUAL = {"attack": 5.0, "control": 9.0, "verify": 14.0, "reset": 4.0, "matrix": 20.0, "up": 25.0}
#: Seconds in which a command must end after a signal.
ENDS = 60.0

#: The fixture of tests/lab/conftest.py.
Settled: TypeAlias = Callable[[Any], list[str]]


@dataclass(frozen=True)
class Kill:
    """A command, and what it gets: signals, each some seconds after the one before."""

    command: tuple[str, ...]
    signals: tuple[tuple[float, signal.Signals], ...]

    def __str__(self) -> str:
        blows = ", ".join(f"{number.name} after {delay:.2f} s" for delay, number in self.signals)
        return f"{' '.join(self.command)}: {blows}"


def commands() -> list[tuple[str, ...]]:
    """Return every command that changes a lab and means to undo it, by kind in equal shares."""
    known = [it.name for it in controls.values() if it.modes == MODES]
    attacks = [("attack", it.name) for it in techniques.values() if it.modes == MODES]
    flips = [("control", way, name) for name in known for way in ("on", "off")]
    others = [("verify",), ("reset",)] * 10
    columns = [("matrix", "--control", name, "--quiet") for name in known]
    return [*attacks, *flips, *others, *columns]


def deck(chance: random.Random, count: int) -> list[tuple[str, ...]]:
    """Return commands in random order; none comes again before each of them came once."""
    found: list[tuple[str, ...]] = []
    while len(found) < count:
        every = commands()
        chance.shuffle(every)
        found += every
    return found[:count]


def draw(chance: random.Random, command: tuple[str, ...]) -> Kill:
    """Return a kill of a command at a random moment."""
    first = chance.choice(SIGNALS)
    signals = [(chance.uniform(0.3, USUAL[command[0]]), first)]
    if first != signal.SIGKILL and chance.random() < AGAIN:
        signals.append((chance.uniform(0, PAUSE), chance.choice(SIGNALS)))
    return Kill(command, tuple(signals))


@pytest.fixture(autouse=True)
def heard() -> None:
    """Let every command hear SIGINT: a shell starts what runs in its background deaf to it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def arguments(command: tuple[str, ...], lab: Any) -> list[str]:
    options = ["--mode", lab.mode, "--name", lab.name]
    return [sys.executable, "-m", "labkit", *command, *options]


def carry_out(kill: Kill, lab: Any) -> str:
    """Start a command, send it its signals, and return what happened in one line.

    A command that does not end fails, with what each of its threads was doing.
    """
    with tempfile.TemporaryFile() as errors:
        environment = os.environ | {"PYTHONFAULTHANDLER": "1"}
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": errors, "env": environment}
        with subprocess.Popen(arguments(kill.command, lab), **quiet) as process:
            try:
                for delay, number in kill.signals:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(delay)
                    process.send_signal(number)  # it does nothing if the process has ended
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(ENDS)
                if process.poll() is None:
                    process.send_signal(signal.SIGABRT)  # it prints its threads' stacks
                left = process.wait(ENDS)
            finally:
                process.kill()
        errors.seek(0)
        said = errors.read().decode()
    assert left != -signal.SIGABRT, f"{kill}: it did not end within {ENDS:.0f} s: {said}"
    # before labkit runs, Ctrl-C is Python's own
    assert "Traceback" not in said or "in main" not in said, f"{kill}: {said}"
    return f"{kill}; exit {left}"


def run(lab: Any, *command: str) -> None:
    """Run a command to its end; it must succeed."""
    done = subprocess.run(
        arguments(command, lab), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    lab._forget()


def check_clean(lab: Any, what: str, settled: Settled) -> None:
    status = lab.status()
    assert status.state == "ready", f"{what}: {status.lines()}"
    assert not status.interrupted, f"{what}: {status.interrupted}"
    assert settled(lab) == [], what


def check_predictions(lab: Any, names: Iterable[str]) -> None:
    """Try techniques from their first footholds; each must end as the model predicts."""
    model, wrong = read_model(lab.environment), []
    for name in names:
        technique = techniques[name]
        predicted = technique.predict(model, technique.footholds[0])
        try:
            verdict = technique.run(lab)
        except LabkitError as error:
            wrong.append(f"{name}: {error}")
            continue
        if verdict.succeeded != predicted.succeeds:
            wrong.append(f"{verdict}")
    assert wrong == []


def kill_commands(lab: Any, count: int, seed: int, settled: Settled) -> list[str]:
    """Kill random commands, reset the lab after each, and compare it with the new lab.

    Returns the kills after which it was another one; the lab is made again then.
    """
    chance = random.Random(f"{seed} {lab.mode}")
    lab.reset()
    check_clean(lab, "before the first kill", settled)
    lost = []
    for turn, command in enumerate(deck(chance, count)):
        kill = draw(chance, command)
        what = f"{lab.mode}: kill {turn}: {kill}"
        try:
            what = f"{lab.mode}: kill {turn}: {carry_out(kill, lab)}"
            began = time.monotonic()
            lab.reset()
            took = time.monotonic() - began
            check_clean(lab, what, settled)
        except (AssertionError, LabkitError) as error:
            lost.append(f"{what}: {error}")
            print("LOST", lost[-1], flush=True)
            lab.down(force=True)
            lab.up()
            continue
        print(
            f"{what}; reset {took:.1f} s, then {time.monotonic() - began - took:.1f} s", flush=True
        )
    return lost


def kill_starts(mode: str, name: str, count: int, seed: int, settled: Settled) -> None:
    """Kill the start of a lab; the next command finishes it, or removes all of it."""
    chance = random.Random(f"{seed} up {mode}")
    lab = Lab(mode, name=name)
    for turn in range(count):
        then = chance.choice(("up", "down", "reset"))
        kill = draw(chance, ("up",))
        said = carry_out(kill, lab)
        what = f"{mode}: start {turn}: {said}; then {then}"
        lab._forget()
        if cleans_up(kill) and not said.endswith("exit 0"):
            assert left_of(lab) == [], what
        if then == "reset":
            check_reset_of_start(lab, what)
        if then != "down":
            run(lab, "up")
            check_clean(lab, what, settled)
        run(lab, "down")
        assert left_of(lab) == [], what
        print(what, flush=True)


def cleans_up(kill: Kill) -> bool:
    """Say whether a command may undo what it did: one signal ended it, and not SIGKILL."""
    return len(kill.signals) == 1 and kill.signals[0][1] != signal.SIGKILL


def check_reset_of_start(lab: Any, what: str) -> None:
    """Reset a lab whose start was killed: it says what to do, or the start had ended."""
    argv = arguments(("reset", "--quiet"), lab)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0 or "next: labkit up --name" in done.stderr, f"{what}: {done.stderr}"


def left_of(lab: Any) -> list[str]:
    """Return the names of what the engine still has of a lab."""
    client, wanted = connect(), lab_filter(lab.name, lab.mode)
    things = (client.containers.list(all=True, filters=wanted),)
    return [
        str(thing.name)
        for them in (
            *things,
            client.volumes.list(filters=wanted),
            client.networks.list(filters=wanted),
        )
        for thing in them
    ]


def test_whole_run_kills_every_command_in_each_mode() -> None:
    assert (
        len(set(commands()))
        == sum(it.modes == MODES for it in techniques.values())
        + 3 * sum(it.modes == MODES for it in controls.values())
        + 2
    )
    for mode in MODES:
        kills = deck(random.Random(f"{SEED} {mode}"), 250)
        assert set(kills) == set(commands())


def test_command_that_one_signal_ended_cleans_up() -> None:
    soft, hard = (1.0, signal.SIGTERM), (1.0, signal.SIGKILL)
    assert cleans_up(Kill(("up",), (soft,)))
    for blows in ((hard,), (soft, soft), (soft, hard), (hard, soft)):
        assert not cleans_up(Kill(("up",), blows))


def test_lab_is_as_it_came_up_after_every_kill(labs: dict[str, Any], settled: Settled) -> None:
    def endure(mode: str) -> list[str]:
        lost = kill_commands(labs[mode], COUNT // 2, SEED, settled)
        check_predictions(labs[mode], TRIED)
        return lost

    with ThreadPoolExecutor(len(MODES)) as pool:
        killed = [pool.submit(endure, mode) for mode in MODES]
    assert [line for future in killed for line in future.result()] == []


def test_start_that_was_killed_is_finished_or_removed(
    labs: dict[str, Any], settled: Settled
) -> None:
    mode, name = random.Random(SEED).choice(MODES), f"{labs[MODES[0]].name}-up"
    try:
        kill_starts(mode, name, STARTS, SEED, settled)
    finally:
        Lab(mode, name=name).down()
