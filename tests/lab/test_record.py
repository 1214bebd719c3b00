"""The record of a lab's edits is read from a machine that runs, and from one that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labkit.cluster.edits import Flag, to_json
from labkit.errors import LabError
from labkit.lab import record
from labkit.lab.machine import Output

MASTER: Any = None


@pytest.fixture
def edits() -> tuple[Any, ...]:
    return (Flag("etcd", "etcd.service", "name", "a"),)


@pytest.fixture
def text(edits: tuple[Any, ...]) -> bytes:
    return json.dumps({"edits": to_json(edits), "before": []}).encode()


def stopped(*_: Any, **__: Any) -> Output:
    raise LabError("labkit-x-master does not take commands")


def test_record_of_a_running_master_is_read(
    monkeypatch: pytest.MonkeyPatch, edits: tuple[Any, ...], text: bytes
) -> None:
    monkeypatch.setattr(record, "execute", lambda *_, **__: Output(0, text, b""))
    assert record.read(MASTER) == record.Record(edits, ())


def test_lab_without_a_record_was_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        record,
        "execute",
        lambda *_, **__: Output(1, b"", f"cat: {record.FILE}: {record.ABSENT}".encode()),
    )
    assert record.read(MASTER) == record.Record()


def test_record_that_cat_cannot_read_is_not_taken_to_be_absent(
    monkeypatch: pytest.MonkeyPatch, edits: tuple[Any, ...], text: bytes
) -> None:
    failed = Output(1, b"", b"cat: /var/lib/labkit/edits.json: Input/output error")
    monkeypatch.setattr(record, "execute", lambda *_, **__: failed)
    monkeypatch.setattr(record, "read_file", lambda *_: text)
    assert record.read(MASTER).edits == edits


def test_record_of_a_stopped_master_counts(
    monkeypatch: pytest.MonkeyPatch, edits: tuple[Any, ...], text: bytes
) -> None:
    monkeypatch.setattr(record, "execute", stopped)
    monkeypatch.setattr(record, "read_file", lambda *_: text)
    assert record.read(MASTER).edits == edits


def test_stopped_master_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "execute", stopped)
    monkeypatch.setattr(record, "read_file", stopped)
    assert record.read(MASTER) == record.Record()
