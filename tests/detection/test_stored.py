"""The detection column stored with the docs: complete, agreeing, and equal to today's model."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from labkit import controls, read_environment, techniques
from labkit.detection import Detection
from labkit.detection.run import Place, foreseen
from labkit.matrix import variants
from labkit.model import read_model

DOCS = Path(__file__).parents[2] / "docs"
MODES = ("insecure", "hardened")
#: What a profile adds is tried in its own two modes.
OF_PROFILES = sorted({mode for it in techniques.values() for mode in it.modes} - {*MODES})
NEXT = "make lab, make detection; for those of a profile: make profiles"


@functools.cache
def stored(mode: str) -> Detection:
    return Detection.read(DOCS / f"detection-{mode}.json")


def places(mode: str) -> list[Place]:
    known = [it for it in techniques.values() if mode in it.modes]
    return [(it, foothold) for it in known for foothold in it.footholds]


@pytest.mark.parametrize("mode", [*MODES, *OF_PROFILES])
def test_every_cell_agrees_and_rules_were_run(mode: str) -> None:
    found = stored(mode)
    assert found.cells
    assert found.differences == ()
    assert all(cell.rules_run for cell in found.cells)
    # in a cluster with a policy, ordinary traffic sets off no rule
    if not mode.endswith("insecure"):
        assert [it.technique for it in found.cells if it.on_ordinary] == []


@pytest.mark.parametrize("mode", [*MODES, *OF_PROFILES])
def test_column_is_what_the_model_predicts_today(mode: str) -> None:
    plain = read_environment(mode)
    model = read_model(plain)
    usual = {place: foreseen(model, place) for place in places(mode)}
    wanted = {}
    flipped = [it.name for it in controls.values() if mode in it.modes]
    for variant in variants(plain, flipped):
        model = read_model(variant.environment(plain))
        for place, before in usual.items():
            now = foreseen(model, place)
            if variant.control is None or now != before:
                technique, foothold = place
                key = (variant.control, variant.direction, technique.name, str(foothold))
                wanted[key] = now[:2]
    told = {
        (it.control, it.direction, it.technique, it.foothold): (it.outcome, it.predicted)
        for it in stored(mode).cells
    }
    assert told == wanted, NEXT
