"""One process changes a lab at a time: the others wait and say for whom, or end with one line."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import LabBusy, LabError
from labkit.lab import Lab, lock
from labkit.lab.engine import connect, lab_filter
from labkit.lab.origin import origin, origin_of
from labkit.lab.progress import QuietReporter

OTHER = f"pairs-{os.getpid()}"
HOLDS = """
import sys, time
from labkit.lab import Lab

with Lab(sys.argv[1], name=sys.argv[2]).exclusive("a long attack"):
    print("now", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lab's lock."""
    argv = [sys.executable, "-c", HOLDS, lab.mode, lab.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "now\n"
            yield process
        finally:
            process.kill()


def another(lab: Lab, wait: float) -> Lab:
    return Lab(lab.mode, name=lab.name, wait=wait)


def test_holder_is_described_for_the_process_that_waits() -> None:
    line = 'busy 12 {"what": "attack eavesdrop", "who": "alice (pid 7 on host)", "token": ""}'
    assert lock._described(line) == "'attack eavesdrop' of alice (pid 7 on host), since 12 s"
    assert lock._described("busy 12 half a li") == "another process"


def test_lock_of_a_lab_that_is_removed_at_this_moment_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen with matrix and down at once: the engine answers 500 while it removes the keeper."""
    keepers = iter(["keeper", ""])
    monkeypatch.setattr(lock, "_keeper", lambda *_: next(keepers))
    monkeypatch.setattr(lock, "find_nodes", lambda *_: [])

    def refuse(*_: object, **__: object) -> None:
        answer: Any = SimpleNamespace(status_code=500)
        raise APIError("500", answer, "Container 8b is not running: Removal In Progress")

    def gone(*_: object) -> None:
        raise NotFound("404")

    api = SimpleNamespace(
        base_url="fake", exec_create=lambda *_, **__: {"Id": "x"}, exec_start=refuse
    )
    client: Any = SimpleNamespace(api=api)
    api.inspect_container = gone
    with lock.exclusive(client, "x", "insecure", "a", reporter=QuietReporter()):
        assert not lock.is_held(client, "x", "insecure")


def test_keeper_that_is_removed_as_a_process_starts_in_it_is_gone_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen with control and down at once: the engine ends the connection before the first byte."""

    def closed(_: bytes) -> None:
        raise OSError(9, "Bad file descriptor")

    raw = SimpleNamespace(settimeout=lambda _: None, sendall=closed, close=lambda: None)
    stream = SimpleNamespace(_sock=raw, _response=SimpleNamespace(close=lambda: None))
    client: Any = SimpleNamespace(api=SimpleNamespace(exec_start=lambda *_, **__: stream))
    monkeypatch.setattr(lock, "frames_iter", lambda *_, **__: iter(()))
    held = lock._Held(client, "1")
    assert not lock._wait_for(held, "a", "insecure", QuietReporter(), 1.0, time.monotonic() + 5)


@pytest.mark.lab
def test_second_process_names_the_holder_and_gets_the_lock_when_it_is_killed(
    lab_insecure: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    with holder(lab_insecure) as process:
        with pytest.raises(LabBusy, match=r"'a long attack' of .*pid") as caught:
            another(lab_insecure, 0).reset()
        assert f"(pid {process.pid} on" in caught.value.message
        options = ["--name", lab_insecure.name, "--mode", lab_insecure.mode]
        for command in (
            ["attack", "etcd-read"],
            ["control", "on", "etcd-peer-tls"],
            ["down"],
            ["reset"],
            ["verify"],
        ):
            done = CliRunner().invoke(app, [*command, *options, "--no-wait"])
            assert done.exit_code in (1, 2)
            assert "is in use: 'a long attack'" in done.output
        # what only reads does not wait: the holder keeps the lock until it is killed
        assert lab_insecure.status().state == "ready"
        assert lab_insecure.logs("master", lines=1)
        assert lab_insecure.exec("master", ["true"]).exit_code == 0
        capfd.readouterr()
        with pytest.raises(LabBusy), another(lab_insecure, 1.5).exclusive("b"):
            pass
        assert "wait for 'a long attack' of" in capfd.readouterr().err
        process.send_signal(signal.SIGKILL)
        with (
            another(lab_insecure, 60).exclusive("c"),
            another(lab_insecure, 0).exclusive("inside"),
            lab_insecure.exclusive("again"),
        ):
            assert lock.is_held(lab_insecure.client, lab_insecure.name, lab_insecure.mode)
        assert not lock.is_held(lab_insecure.client, lab_insecure.name, lab_insecure.mode)


def test_lock_survives_a_paused_a_stopped_and_a_removed_keeper(lab_insecure: Lab) -> None:
    lab = lab_insecure
    keeper = lab.client.containers.get(lock.keeper_name(lab.name, lab.mode))
    for damage in (keeper.pause, lambda: keeper.kill(), lambda: keeper.remove(force=True)):
        damage()
        with lab.exclusive("a"), holder_is_refused(lab):
            pass
    made = lab.client.containers.get(lock.keeper_name(lab.name, lab.mode)).labels
    assert origin_of([made]) == origin(lab.environment)


def test_process_whose_lab_is_removed_by_force_says_so(lab_insecure: Lab) -> None:
    def lose() -> None:
        with lab_insecure.exclusive("b"):
            lab_insecure.client.containers.get(
                lock.keeper_name(lab_insecure.name, lab_insecure.mode)
            ).remove(force=True)
            time.sleep(0.5)

    with pytest.raises(LabError, match="removed by another process"):
        lose()


@contextmanager
def holder_is_refused(lab: Lab) -> Iterator[None]:
    script = HOLDS.replace("name=sys.argv[2]", "name=sys.argv[2], wait=0")
    argv = [sys.executable, "-c", script, lab.mode, lab.name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "LabBusy" in done.stderr
    yield


def test_what_another_process_changed_is_read_again(lab_hardened: Lab) -> None:
    lab = lab_hardened
    assert lab.environment.edits == ()
    options = ["--name", lab.name, "--mode", lab.mode]
    argv = [sys.executable, "-m", "labkit", "control", "off", "kubelet-anonymous", *options]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    try:
        with lab.exclusive("a look"):
            assert "/etc/kubernetes/kubelet.yaml" in str(lab.environment.edits)
    finally:
        lab.apply(())


#: The commands that change a lab.
CHANGES: dict[str, list[str]] = {
    "up": ["up"],
    "reset": ["reset"],
    "attack": ["attack", "mitm-kubelet"],
    "control": ["control", "off", "kubelet-anonymous"],
    "verify": ["verify"],
    "matrix": ["matrix", "--control", "none"],
    "down": ["down"],
}
ALL = list(itertools.combinations_with_replacement(CHANGES, 2))
#: What every run of the tests tries. The others: LABKIT_ALL_PAIRS=1 pytest tests/lab/test_lock.py
SHARE = [("reset", "attack"), ("reset", "reset")]
PAIRS = ALL if os.environ.get("LABKIT_ALL_PAIRS") else SHARE


@pytest.mark.lab
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_commands_at_once_both_end_well(
    one: str, other: str, lab_of: Callable[[str], Any]
) -> None:
    if {"down", "up"} & {one, other} or PAIRS is ALL:
        lab = Lab("hardened", name=OTHER)
        lab.up()
    else:
        lab = lab_of("hardened")
    options = ["--name", lab.name, "--mode", lab.mode]
    pipe: Any = subprocess.PIPE
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "labkit", *CHANGES[each], *options], stderr=pipe, stdout=pipe
        )
        for each in (one, other)
    ]
    # two whole matrices, one after the other
    said = [process.communicate(timeout=1200)[1].decode() for process in started]
    for process, text in zip(started, said, strict=True):
        if "down" in (one, other) and process.returncode:
            # down waits for half a minute, and says for whom
            assert "no lab " in text or "is not up" in text or "is in use: " in text
        else:
            assert process.returncode == 0, said
    if "down" not in (one, other):
        assert lab.status().state == "ready"
        lab.reset()


@pytest.fixture(scope="module", autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if PAIRS is ALL:
        Lab("hardened", name=OTHER).down()
        assert not connect().containers.list(all=True, filters=lab_filter(OTHER, "hardened"))
