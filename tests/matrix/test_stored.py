"""The truth matrix stored with the docs: complete, agreeing, and equal to today's model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import controls, read_environment, techniques
from labkit.matrix import Matrix, Variant, combinations, variants
from labkit.model import Foothold, read_model
from labkit.techniques import Technique

DOCS = Path(__file__).parents[2] / "docs"
MODES = ("insecure", "hardened")
#: What a profile adds is tried in its own two modes.
OF_PROFILES = sorted({mode for it in techniques.values() for mode in it.modes} - {*MODES})
#: Of 200 random combinations of controls, half in each mode, 30 were tried live.
SAMPLED, SEED, TRIED = 200, 1, 30
NEXT = "make lab, make matrix; for those of a profile: make profiles"


@functools.cache
def stored(name: str) -> Matrix:
    return Matrix.read(DOCS / name)


@functools.cache
def places(mode: str) -> list[tuple[Technique, Foothold]]:
    shown = [it for it in techniques.values() if mode in it.modes]
    return [(it, foothold) for it in shown for foothold in it.footholds]


def single() -> list[Variant]:
    return [
        variant
        for mode in (*MODES, *OF_PROFILES)
        for variant in variants(
            read_environment(mode), [it.name for it in controls.values() if mode in it.modes]
        )
    ]


def several() -> list[Variant]:
    each = SAMPLED // len(MODES)
    sampled = [combinations(read_environment(mode), each, SEED) for mode in MODES]
    return [v for plan in sampled for v in plan[: TRIED // len(MODES)]]


@pytest.mark.parametrize(
    ("name", "wanted"), [("matrix.json", single), ("combinations.json", several)]
)
def test_every_cell_was_tried_and_agrees(name: str, wanted: Callable[[], list[Variant]]) -> None:
    matrix = stored(name)
    plan = {
        (*v.key, technique.name, str(foothold))
        for v in wanted()
        for technique, foothold in places(v.mode)
    }
    found = [(*cell.variant, *cell.place) for cell in matrix]
    assert len(found) == len(set(found))
    assert set(found) == plan, NEXT
    assert matrix.exit_code == 0, [*matrix.disagree, *matrix.unprobed]
    assert all(cell.reason for cell in matrix)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("matrix.json", mode) for mode in (*MODES, *OF_PROFILES)),
        *(("combinations.json", mode) for mode in MODES),
    ],
)
def test_stored_predictions_equal_the_models(name: str, mode: str) -> None:
    plain = read_environment(mode)
    plan = {v.key: v for v in (*single(), *several())}
    told = {(*cell.variant, *cell.place): cell.predicted for cell in stored(name)}
    keys = [key for key in stored(name).variants() if key[0] == mode]
    assert keys, NEXT
    for key in keys:
        model = read_model(plan[key].environment(plain))
        for technique, foothold in places(mode):
            predicted = technique.predict(model, foothold).word
            assert told[*key, technique.name, str(foothold)] == predicted, (
                key,
                technique.name,
                NEXT,
            )
