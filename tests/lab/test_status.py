"""A lab is ready only if every machine said so: no answer is not a good one."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import read_environment
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.lab.engine import labels
from labkit.lab.origin import complete, origin
from labkit.lab.status import LabStatus, status_of

Answer = tuple[int, bytes, bytes]
NOTHING_WRONG = "[]"


def master() -> Any:
    labels = {"labkit.node": "master", "labkit.role": "master"}
    return SimpleNamespace(labels=labels, status="running", name="master")


def state(
    monkeypatch: pytest.MonkeyPatch, health: str | LabError, marks: Answer | None
) -> LabStatus:
    class Connection:
        def call(self, *_: object) -> str:
            if isinstance(health, LabError):
                raise health
            return health

        def run(self, *_: object) -> Answer:
            if marks is None:
                raise LabError("the machine did not report the end of the command within 3 s")
            return marks

    for room in ("machine", "status"):
        monkeypatch.setattr(f"labkit.lab.{room}.connection_to", lambda _: Connection())
    return status_of("default", "insecure", [master()])


def test_a_lab_whose_machines_say_so_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    found = state(monkeypatch, NOTHING_WRONG, (0, b"ready\n", b""))
    assert (found.state, found.problems) == ("ready", {})


@pytest.mark.parametrize("lasts", [True, False])
def test_only_what_systemd_starts_again_may_recover(
    lasts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps([["etcd.service is failed", lasts]])
    found = state(monkeypatch, said, (0, b"ready\n", b""))
    assert (found.state, found.lines()) == ("broken", ["master: etcd.service is failed"])
    assert found.may_recover is not lasts
    assert found.lasting == (("master",) if lasts else ())


def test_a_lab_that_does_not_say_whether_it_came_up_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = state(monkeypatch, NOTHING_WRONG, None)
    assert found.state == "broken"
    assert found.lines() == ["master: did not say whether the lab finished its start"]


def test_a_look_that_failed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    found = state(monkeypatch, LabError("RecursionError"), (0, b"ready\n", b""))
    assert found.state == "broken"
    assert found.lines() == ["master: takes no commands: RecursionError"]


def test_a_machine_that_is_gone_is_known_from_the_labels_of_the_others() -> None:
    env = read_environment("insecure")
    made = [labels("x", "insecure", node="etcd1", **origin(env))]
    roles, kubeconfig = complete(made)
    assert roles == {node.name: node.role for node in env.nodes}
    assert kubeconfig == env.bootstrap_kubeconfig
    left = master()
    left.status = "paused"
    status = status_of("x", "insecure", [left], {"master": "master", "etcd2": "etcd"})
    assert status.state == "incomplete"
    assert status.problems["etcd2"] == ("is gone",)


def test_machine_of_somebody_else_without_a_role_is_shown() -> None:
    left: Any = SimpleNamespace(labels=labels("x", "prod", node="m"), status="created")
    assert status_of("x", "prod", [left]).problems["m"] == ("was never started",)


def test_change_that_runs_may_start_what_it_stopped() -> None:
    lasting = ("etcd1",)
    assert not LabStatus("x", "insecure", "broken", {}, lasting=lasting).may_recover
    running = "change by a colleague"
    changed = LabStatus("x", "insecure", "broken", {}, lasting=lasting, running=running)
    assert changed.may_recover


def looks(*states: tuple[str, bool]) -> tuple[Any, LabStatus]:
    """Return a lab that is looked at, and what the first look says; the others follow."""
    seen = [
        LabStatus("x", "insecure", state, {}, lasting=("etcd1",) if lasts else ())
        for state, lasts in states
    ]
    left = iter(seen[1:])
    lab = SimpleNamespace(stretch=lambda: 1.0, _status=lambda _: next(left))
    return lab, seen[0]


@pytest.mark.parametrize(
    "states",
    [
        [("ready", False)],
        [("broken", False), ("broken", False), ("ready", False)],
        # one look between the end of a program and its start
        [("broken", True), ("ready", False)],
        [("broken", True), ("broken", False), ("broken", True), ("ready", False)],
    ],
)
def test_lab_that_recovers_is_waited_for(
    states: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    lab, first = looks(*states)
    Lab._require_ready(lab, first)


def test_unit_that_stays_down_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    lab, first = looks(("broken", True), ("broken", True))
    with pytest.raises(LabError, match="is broken"):
        Lab._require_ready(lab, first)
