"""A share of the fuzzing of whole folders; ``make fuzz SEED=1 ROUNDS=10000`` plays more of it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).with_name("fuzz.py")))
ROUNDS = 60


def test_no_broken_folder_makes_a_traceback_a_hang_or_a_false_lab() -> None:
    wrong = [(number, said, what) for number, said, what in FUZZ["play"](1, ROUNDS) if what]
    assert not wrong


def test_fuzzing_finds_a_reader_without_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.cluster.environment.refuse_unstartable", lambda _: None)
    monkeypatch.setattr("labkit.cluster.environment.inside", lambda *_: True)
    assert any(what for _, _, what in FUZZ["play"](1, 20 * ROUNDS))
