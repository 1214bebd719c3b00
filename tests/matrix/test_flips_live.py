"""Both modes in full, and today's controls flipped, end as predicted in a lab.

These tests with LABKIT_FLIPS=all flip all controls, and ``labkit matrix`` tries every cell of them.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.cluster import Environment
from labkit.lab import Lab
from labkit.lab.parallel import in_parallel
from labkit.matrix import Matrix, run_matrix, variants
from labkit.model import read_model
from labkit.verification import verify

pytestmark = pytest.mark.lab
SHARE = 1
MODES = ("insecure", "hardened")
#: Those of a profile are tried in its own environments.
KNOWN = [technique for technique in techniques.values() if technique.modes == MODES]


def chosen() -> list[str]:
    """Return today's controls: one each day, so all are flipped within about a month."""
    names = [control.name for control in controls.values() if control.modes == MODES]
    if os.environ.get("LABKIT_FLIPS") == "all":
        return names
    first = dt.datetime.now(dt.UTC).date().toordinal() * SHARE
    return sorted({names[(first + number) % len(names)] for number in range(SHARE)})


def first_cells() -> set[tuple[str, str]]:
    """Return each technique's first foothold: tests/techniques/test_live.py tries it unflipped."""
    return {(it.name, str(it.footholds[0])) for it in KNOWN}


def same_cells(env: Environment, name: str) -> set[tuple[str, str]]:
    """Return the cells at further footholds that a flip leaves as they are, by the model."""
    control = controls[name]
    before = read_model(env)
    after = control.flipped_model(before, on=not control.holds(before))
    return {
        (it.name, str(foothold))
        for it in KNOWN
        for foothold in it.footholds[1:]
        if it.predict(before, foothold).word == it.predict(after, foothold).word
    }


@pytest.mark.parametrize("name", ["", *chosen()])
def test_every_cell_agrees_live(name: str, labs: dict[str, Any]) -> None:
    """Try the unchanged modes if the control's name is empty; both labs at once.

    With a control flipped, each technique is tried at one foothold, and at all others where the
    model says that the flip changes its result.
    """
    every = sum(len(technique.footholds) for technique in KNOWN)

    def fill(mode: str) -> tuple[str, Matrix, int]:
        left_out = same_cells(labs[mode].environment, name) if name else first_cells()
        return mode, cells(labs[mode], name, left_out), every - len(left_out)

    for mode, matrix, wanted in in_parallel([*labs], fill):
        assert not matrix.disagree, (mode, [*matrix.disagree])
        assert not matrix.unprobed, (mode, [*matrix.unprobed])
        assert len(matrix) == wanted > 0
        assert Lab(mode, name=labs[mode].name).environment.edits == ()


def cells(lab: Lab, name: str, left_out: set[tuple[str, str]]) -> Matrix:
    """Try the techniques in a lab with one control flipped, or with none."""
    plan = variants(lab.environment, [name])[1:] if name else variants(lab.environment, [])
    assert len(plan) == 1
    done = {(*plan[0].key, *cell) for cell in left_out}
    return Matrix(run_matrix(lab, plan, done=done))


def test_flipped_lab_is_verified_against_what_it_runs(labs: dict[str, Any]) -> None:
    lab = labs["hardened"]
    control = controls["kubelet-read-only-port"]
    channel = "anyone@network -> kubelet@worker1:10255"
    try:
        lab.apply(control.flip(lab.environment, on=False))
        attached = Lab("hardened", name=lab.name)
        assert attached.environment.edits == control.edits(on=False)
        report = verify(attached, only=[channel])
        assert [row.claimed for row in report.rows][:2] == ["none", "none"]
        assert report.exit_code == 0, report
        lab.reset()
        report = verify(Lab("hardened", name=lab.name), only=[channel])
        assert {row.claimed for row in report.rows} == {"closed"}
        assert report.exit_code == 0, report
    finally:
        lab.reset()
