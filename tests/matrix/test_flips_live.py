"""Both modes in full, and today's controls flipped, end as predicted in a lab.

``labkit matrix``, or these tests with LABKIT_FLIPS=all, flip all controls.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.lab import Lab
from labkit.lab.parallel import in_parallel
from labkit.matrix import Matrix, run_matrix, variants
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


@pytest.mark.parametrize("name", ["", *chosen()])
def test_every_cell_agrees_live(name: str, labs: dict[str, Any]) -> None:
    """Try the unchanged modes if the control's name is empty; both labs at once.

    In the unchanged modes, tests/techniques/test_live.py tries each technique's first foothold.
    """
    tried = set() if name else {(it.name, str(it.footholds[0])) for it in KNOWN}
    every = sum(len(technique.footholds) for technique in KNOWN)
    for mode, matrix in in_parallel([*labs], lambda mode: (mode, cells(labs[mode], name, tried))):
        assert not matrix.disagree, (mode, [*matrix.disagree])
        assert not matrix.unprobed, (mode, [*matrix.unprobed])
        assert len(matrix) == every - len(tried)
        assert Lab(mode, name=labs[mode].name).environment.edits == ()


def cells(lab: Lab, name: str, tried: set[tuple[str, str]]) -> Matrix:
    """Try every technique in a lab with one control flipped, or with none."""
    plan = variants(lab.environment, [name])[1:] if name else variants(lab.environment, [])
    assert len(plan) == 1
    done = {(*plan[0].key, *cell) for cell in tried}
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
