"""A kubelet that remembers a refusal is asked again, and for a limited time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.model import Draft
from labkit.verification import run


class Clock:
    """Time that passes by sleeping alone."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeLab:
    mode = "hardened"

    def stretch(self) -> float:
        return 1.0


class Steps:
    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.titles.append(title)
        yield


def asked_again(
    monkeypatch: pytest.MonkeyPatch, first: int, remembers: float, server: str = "kubelet"
) -> tuple[int, float, list[str]]:
    """Return the status at the end, the seconds it took, and the steps that were shown."""
    draft = Draft("one channel")
    draft.component("monitor", node="m")
    draft.component(server, node="w")
    draft.channel("monitor", server, port=10250)
    clock, steps, lab = Clock(), Steps(), FakeLab()
    name = f"own {draft.model().channels[0].id}"
    jobs: Any = {"m": {name: {}, "look somewhere": {}}}
    seen = {"m": {name: {"status": first}, "look somewhere": {"status": 403}}}

    def carry_out(_: Any, agent: str, again: Any) -> dict[str, Any]:
        assert (agent, {node: [*some] for node, some in again.items()}) == ("probe", {"m": [name]})
        return {"m": {name: {"status": 403 if clock.now < remembers else 200}}}

    monkeypatch.setattr(run, "_carry_out", carry_out)
    monkeypatch.setattr(run, "time", clock)
    run._ask_again(lab, jobs, draft.model().channels, seen, steps)  # type: ignore[arg-type]
    return seen["m"][name]["status"], clock.now, steps.titles


def test_refusal_that_a_kubelet_remembers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    status, seconds, [title] = asked_again(monkeypatch, 403, 20)
    assert (status, title) == (200, "hardened: wait for kubelets that remember a refusal")
    assert 20 <= seconds < 25


def test_refusal_that_stays_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    status, seconds, _ = asked_again(monkeypatch, 403, 1000)
    assert status == 403
    assert 30 <= seconds < 35


@pytest.mark.parametrize(("first", "server"), [(200, "kubelet"), (401, "kubelet"), (403, "etcd")])
def test_nothing_else_is_waited_for(
    first: int, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked_again(monkeypatch, first, 0, server) == (first, 0, [])
