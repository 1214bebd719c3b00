"""A wait ends with the event, or as a timeout; a busy machine gets more time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import ProbeTimeout
from labkit.lab import Output
from labkit.techniques._lib.machines import waiting
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.wire import capture


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the time: a pause lasts one second."""
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 1

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


@pytest.mark.parametrize(("stretch", "waited"), [(1.0, 5), (4.0, 20)])
def test_busy_machine_gets_more_time(clock: list[float], stretch: float, waited: int) -> None:
    lab: Any = SimpleNamespace(stretch=lambda: stretch)
    with pytest.raises(ProbeTimeout, match="nobody signed it within"):
        wait_for(lab, lambda: "", 5, "nobody signed it")
    assert waited < clock[0] <= waited + 2


def test_idle_machine_is_not_asked_for_its_load(clock: list[float]) -> None:
    lab: Any = SimpleNamespace()
    assert wait_for(lab, lambda: clock[0] > 3 and "signed", 5, "") == "signed"


def test_load_that_rises_meanwhile_counts(clock: list[float]) -> None:
    lab: Any = SimpleNamespace(stretch=lambda: 1.0 + clock[0])
    assert wait_for(lab, lambda: clock[0] > 50, 5, "")


def test_error_of_an_attempt_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(SimpleNamespace(stretch=lambda: 1.0), lambda: 1 / 0, 5, "")


def test_poisoning_that_ended_before_anybody_looked_is_not_waited_for(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the client calls the false server at once: the victims know the truth again."""
    monkeypatch.setattr(capture, "run", lambda *_: Output(0, b"02:42:0a:00:00:01\n", b""))
    monkeypatch.setattr(capture, "address_in_lab", lambda _, node: node)
    lab: Any = SimpleNamespace(stretch=lambda: 1.0)
    pairs = [("master", "etcd1"), ("master", "etcd2")]
    capture.wait_until_poisoned(lab, "worker1", pairs, lambda: clock[0] > 3)
    assert clock[0] < 6
    with pytest.raises(ProbeTimeout, match="master did not believe worker1"):
        capture.wait_until_poisoned(lab, "worker1", pairs, lambda: False)
