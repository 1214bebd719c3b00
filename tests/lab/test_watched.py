"""A command that is slow or fails in a broken lab says what does not run there."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from labkit.errors import CommandFailed, LabError
from labkit.lab.status import LabStatus
from labkit.lab.watched import watched


class FakeLab:
    """A lab in a state, which counts how often it was asked."""

    def __init__(self, state: str) -> None:
        self.state, self.asked = state, 0

    def status(self) -> LabStatus:
        self.asked += 1
        problems: dict[str, tuple[str, ...]] = {"master": ("apiserver is stopped by a signal",)}
        return LabStatus("x", "insecure", self.state, {"master": "running"}, problems=problems)


def fail() -> int:
    raise CommandFailed("kubectl did not end within 60 s")


def slow() -> int:
    time.sleep(0.3)
    return 7


def test_a_slow_command_in_a_broken_lab_ends_with_what_is_wrong() -> None:
    lab: Any = FakeLab("broken")
    enough = threading.Event()
    with pytest.raises(LabError, match=r"stopped by a signal\n  next: labkit reset --name x"):
        watched(lab, lambda: enough.wait(60), patience=0.05)
    enough.set()


def test_a_slow_command_in_a_ready_lab_goes_on() -> None:
    lab: Any = FakeLab("ready")
    assert watched(lab, slow, patience=0.05) == 7
    assert lab.asked > 2


def test_a_failure_in_a_broken_lab_is_the_labs() -> None:
    broken: Any = FakeLab("broken")
    with pytest.raises(LabError, match="is broken"):
        watched(broken, fail)
    ready: Any = FakeLab("ready")
    with pytest.raises(CommandFailed, match="within 60 s"):
        watched(ready, fail)


def test_a_command_with_a_time_of_its_own_is_not_cut_off() -> None:
    lab: Any = FakeLab("broken")
    assert watched(lab, slow, patience=None) == 7
    assert not lab.asked


def test_a_timeout_of_the_command_itself_is_its_own_error() -> None:
    lab: Any = FakeLab("ready")

    def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        watched(lab, late)
