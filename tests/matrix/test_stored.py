"""The truth matrix stored with the docs: complete, agreeing, and equal to today's model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import read_environment, techniques
from labkit.matrix import Matrix, Variant, combinations, variants
from labkit.model import read_model

DOCS = Path(__file__).parents[2] / "docs"
MODES = ("insecure", "hardened")
#: Of 200 random combinations of controls, half in each mode, 30 were tried live.
SAMPLED, SEED, TRIED = 200, 1, 30
#: The techniques of a profile are tried in its own environments.
KNOWN = [it for it in techniques.values() if it.modes == MODES]
PLACES = [(it, foothold) for it in KNOWN for foothold in it.footholds]
NEXT = "make lab, make matrix"


@functools.cache
def stored(name: str) -> Matrix:
    return Matrix.read(DOCS / name)


def single() -> list[Variant]:
    return [v for mode in MODES for v in variants(read_environment(mode))]


def several() -> list[Variant]:
    each = SAMPLED // len(MODES)
    sampled = [combinations(read_environment(mode), each, SEED) for mode in MODES]
    return [v for plan in sampled for v in plan[: TRIED // len(MODES)]]


@pytest.mark.parametrize(
    ("name", "wanted"), [("matrix.json", single), ("combinations.json", several)]
)
def test_every_cell_was_tried_and_agrees(name: str, wanted: Callable[[], list[Variant]]) -> None:
    matrix = stored(name)
    plan = {(*v.key, it.name, str(foothold)) for v in wanted() for it, foothold in PLACES}
    found = [(*cell.variant, *cell.place) for cell in matrix]
    assert len(found) == len(set(found))
    assert set(found) == plan, NEXT
    assert matrix.exit_code == 0, [*matrix.disagree, *matrix.unprobed]
    assert all(cell.reason for cell in matrix)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["matrix.json", "combinations.json"])
def test_stored_predictions_equal_the_models(name: str, mode: str) -> None:
    plain = read_environment(mode)
    plan = {v.key: v for v in (*single(), *several())}
    told = {(*cell.variant, *cell.place): cell.predicted for cell in stored(name)}
    keys = [key for key in stored(name).variants() if key[0] == mode]
    assert keys
    for key in keys:
        model = read_model(plan[key].environment(plain))
        for technique, foothold in PLACES:
            predicted = technique.predict(model, foothold).word
            assert told[*key, technique.name, str(foothold)] == predicted, (
                key,
                technique.name,
                NEXT,
            )
