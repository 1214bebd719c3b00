"""What has to be undone is written down first, and undone by the next command."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import controls, read_environment, techniques
from labkit.errors import LabError
from labkit.lab import Output, traces
from labkit.lab.traces import Trace, leaving, undertaking, undo_interrupted

LINK = Trace("file", "/var/log/labkit-1", "worker1")
MARK = Trace("annotation", "/api/v1/nodes/worker1 labkit/mark")


class FakeLab:
    """A lab that keeps records, and remembers what it was asked."""

    mode = "hardened"
    reporter: Any = None

    def __init__(self) -> None:
        self.environment = read_environment("hardened")
        self.reporter = self
        self.records: dict[str, tuple[str, str]] = {}
        self.done: list[str] = []
        self.gone: set[str] = set()
        self.answers: list[Output] = []

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.done.append(title)
        yield

    def stretch(self) -> float:
        return 1.0

    def container(self, node: str) -> str:
        if node in self.gone:
            raise LabError(f"no machine {node}")
        return node

    def exec(self, node: str, argv: list[str], *, stdin: bytes = b"", **_: Any) -> Output:
        match argv[argv.index("-c") + 2 :]:
            case [_, _, "add", name]:
                who, found = stdin.decode().splitlines()
                self.records[name] = (who, found)
                self.done.append("written down")
            case [_, _, "remove", name]:
                del self.records[name]
            case [_, _, "list"]:
                lines = [f"{name} interrupted\n{a}\n{b}\n" for name, (a, b) in self.records.items()]
                return Output(0, "".join(lines).encode(), b"")
            case [path]:
                self.done.append(f"{node}: remove {path}")
        return Output(0, b"", b"")

    def api(self, method: str, path: str, body: Any, **_: Any) -> Output:
        self.done.append(f"{method} {path} {json.dumps(body)}")
        return self.answers.pop(0) if self.answers else Output(0, b"{}", b"")


def test_it_is_written_down_before_it_is_done_and_undone_afterwards() -> None:
    lab: Any = FakeLab()
    with undertaking("attack one", ["file", "annotation"]), leaving(lab, MARK, LINK):
        ((who, said),) = lab.records.values()
        assert (who, json.loads(said)[1]["what"]) == ("attack one", "/var/log/labkit-1")
        lab.done.append("done")
    assert lab.done == [
        "written down",
        "done",
        "worker1: remove /var/log/labkit-1",
        'PATCH /api/v1/nodes/worker1 {"metadata": {"annotations": {"labkit/mark": null}}}',
    ]
    assert not lab.records


def test_it_is_undone_after_an_error_too() -> None:
    lab: Any = FakeLab()
    with pytest.raises(ZeroDivisionError), leaving(lab, LINK):
        1 / 0  # noqa: B018
    assert lab.done[-1] == "worker1: remove /var/log/labkit-1"
    assert not lab.records


def test_what_is_not_declared_cannot_be_left() -> None:
    lab: Any = FakeLab()
    with (
        undertaking("attack one", ["object"]),
        pytest.raises(ValueError, match="attack one does not declare that it leaves: file"),
        leaving(lab, LINK),
    ):
        pass
    assert not lab.done


def test_next_command_undoes_what_a_killed_one_left() -> None:
    lab: Any = FakeLab()
    with leaving(lab, LINK):
        kept = dict(lab.records)
    lab.records, lab.done = kept, []
    assert undo_interrupted(lab) == []
    assert lab.done[-1] == "worker1: remove /var/log/labkit-1"
    assert not lab.records


def test_what_cannot_be_undone_stays_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE", 0)
    lab: Any = FakeLab()
    refused = Output(22, b'{"code": 403, "message": "no"}', b"")
    lab.answers = [refused] * 3
    with pytest.raises(LabError, match="PATCH /api/v1/nodes/worker1"), leaving(lab, MARK):
        pass
    assert len(lab.records) == 1
    with pytest.raises(LabError):
        undo_interrupted(lab)
    (left,) = undo_interrupted(lab, tolerant=True)
    assert left.traces == (MARK,)
    assert undo_interrupted(lab) == []
    assert not lab.records


def test_apiserver_that_reconnects_is_asked_again_and_a_gone_object_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "PAUSE", 0)
    lab: Any = FakeLab()
    lab.answers = [Output(7, b"", b"curl: (7)"), Output(22, b'{"code": 404}', b"")]
    with leaving(lab, MARK):
        pass
    assert len([line for line in lab.done if line.startswith("PATCH")]) == 2


def test_lease_of_flannel_is_deleted_and_every_worker_forgets_its_network() -> None:
    done: list[tuple[str, ...]] = []
    nodes = [
        SimpleNamespace(name=it, role=it.rstrip("12")) for it in ("master", "worker1", "worker2")
    ]
    lab: Any = SimpleNamespace(
        environment=SimpleNamespace(nodes=nodes),
        stretch=lambda: 1.0,
        etcdctl=lambda *argv: done.append(argv),
        exec=lambda node, argv, **_: done.append((node, *argv[-2:])),
    )
    key = "/coreos.com/network/subnets/198.51.100.0-24"
    traces.KINDS["lease"](lab, Trace("lease", key))
    assert done == [
        ("del", key),
        ("worker1", "198.51.100.0/24", "10"),
        ("worker2", "198.51.100.0/24", "10"),
    ]


def test_file_of_a_machine_that_was_removed_is_gone_with_it() -> None:
    lab: Any = FakeLab()
    with leaving(lab, LINK):
        lab.gone = {"worker1"}
    assert not lab.records


def test_kinds_are_known() -> None:
    with pytest.raises(ValueError, match="no such kind of trace: 'smell'"):
        Trace("smell", "x")
    for control in controls.values():
        assert set(control.leaves) <= set(traces.KINDS)
    declared = {kind for technique in techniques.values() for kind in technique.leaves}
    assert declared | {"configuration"} == set(traces.KINDS), "a kind that nothing leaves"
