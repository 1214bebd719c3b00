"""``gc_pause`` disables garbage collection for a block or a function, then restores it."""

from __future__ import annotations

import gc

import pytest

from labkit.gc_pause import gc_pause


@gc_pause()
def fail() -> None:
    raise ValueError(gc.isenabled())


def test_collection_is_on_again_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="False"):
        fail()
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with gc_pause():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_decorated_function_runs_without_collection_each_time() -> None:
    decorated = gc_pause()(gc.isenabled)
    assert [decorated(), decorated()] == [False, False]
    assert gc.isenabled()


def test_what_was_made_is_not_examined_by_the_next_collection() -> None:
    young: list[list[int]] = []
    with gc_pause():
        young.append([])
    assert not any(it is young[0] for it in gc.get_objects(generation=0))
    assert any(it is young[0] for it in gc.get_objects(generation=2))


def test_what_a_process_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with gc_pause():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
