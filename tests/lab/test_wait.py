"""A wait lasts as long as the machine needs: a busy one gets more time."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.agents._patience import MOST
from labkit.errors import CommandFailed, LabError
from labkit.lab import wait
from labkit.lab.machine import Output


class Machine:
    """A machine on which a component is ready after some seconds of its own clock."""

    def __init__(self, load: str, ready_after: float) -> None:
        self.load, self.left, self.now = load, ready_after, 0.0

    def execute(
        self, _: Any, argv: Sequence[str], *, timeout: float = 30, check: bool = True
    ) -> Output:
        if argv == wait.LOAD:
            return Output(0, self.load.encode(), b"")
        if argv == wait.PROCESSORS:
            return Output(0, b"2\n", b"")
        passed = min(timeout, self.left)
        self.now, self.left = self.now + passed, self.left - passed
        if self.left > 0:
            raise CommandFailed("did not end")
        return Output(0, b"", b"")


@pytest.mark.parametrize(
    ("load", "ready_after", "succeeds"),
    [
        ("0.10 0 0 1/9 1", 5, True),
        ("0.10 0 0 1/9 1", 15, False),
        ("8.00 0 0 1/9 1", 35, True),
        ("8.00 0 0 1/9 1", 45, False),
        ("99.0 0 0 1/9 1", 149, True),
        ("99.0 0 0 1/9 1", 151, False),
    ],
)
def test_busy_machine_gets_more_time(
    load: str, ready_after: float, succeeds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(load, ready_after)
    monkeypatch.setattr(wait, "execute", machine.execute)
    monkeypatch.setattr("time.monotonic", lambda: machine.now)
    container: Any = None
    if succeeds:
        wait._wait(container, ["question"], 10)
        return
    with pytest.raises(CommandFailed):
        wait._wait(container, ["question"], 10)


@pytest.mark.parametrize("status", ["running", "paused"])
def test_running_machine_that_does_not_answer_is_as_busy_as_can_be(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*_: Any, **__: Any) -> Output:
        raise LabError("the machine did not report the end of the command")

    monkeypatch.setattr(wait, "execute", execute)
    container: Any = SimpleNamespace(status=status, reload=lambda: None)
    if status == "running":
        assert wait.stretch_of(container) == MOST
        return
    with pytest.raises(LabError):
        wait.stretch_of(container)
