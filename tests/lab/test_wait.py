"""A wait lasts as long as the machine needs: a busy one gets more time."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.agents._patience import MOST, stretch_by
from labkit.errors import CommandFailed, LabError
from labkit.lab import wait
from labkit.lab.machine import Output


def stretch_with(load: str) -> str:
    """Return what the program "busy" says on a machine with a load and two processors."""
    return str(stretch_by(load, 2))


class Machine:
    """A machine on which a component is ready after some seconds of its own clock."""

    def __init__(self, ready_after: float) -> None:
        self.left, self.now = ready_after, 0.0

    def execute(
        self, _: Any, argv: Sequence[str], *, timeout: float = 30, check: bool = True
    ) -> Output:
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
    machine = Machine(ready_after)
    monkeypatch.setattr(wait, "execute", machine.execute)
    monkeypatch.setattr(wait, "call", lambda *_, **__: stretch_with(load))
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
    def call(*_: Any, **__: Any) -> str:
        raise LabError("the machine did not report the end of the command")

    monkeypatch.setattr(wait, "call", call)
    container: Any = SimpleNamespace(status=status, reload=lambda: None)
    if status == "running":
        assert wait.stretch_of(container) == MOST
        return
    with pytest.raises(LabError):
        wait.stretch_of(container)
