"""The smallest cut: exact, and confirmed by the model itself."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import controls
from labkit.analysis import attack_paths, minimal_cut, with_control
from labkit.analysis.minimal_cuts import smallest
from labkit.model import read_model

INSECURE = read_model("insecure")


def cut(names: tuple[str, ...], start: str, goal: str) -> bool:
    changed = with_control(INSECURE, *names)
    return not attack_paths(changed, start, goal, 1, "techniques")


@pytest.mark.parametrize("start", ["network", "pod"])
@pytest.mark.parametrize("goal", ["admin", "node", "secrets"])
def test_a_minimal_cut_of_techniques_cuts_and_nothing_smaller_does(start: str, goal: str) -> None:
    chosen = minimal_cut(INSECURE, start, goal, "techniques")
    if chosen is None:
        assert not cut(tuple(controls), start, goal)
        return
    assert chosen
    assert cut(chosen, start, goal)
    for fewer in combinations(chosen, len(chosen) - 1):
        assert not cut(fewer, start, goal)


def test_what_is_held_from_the_start_cannot_be_cut() -> None:
    assert minimal_cut(INSECURE, "root:worker", "node", "techniques") is None


def test_where_no_path_leads_nothing_is_cut() -> None:
    assert minimal_cut(read_model("hardened"), "network", "admin", "techniques") == ()


@given(st.sets(st.frozensets(st.sampled_from("abcdefgh"), min_size=1), max_size=6))
def test_smallest_set_is_as_small_as_any_that_is_found_by_trying_all(
    paths: set[frozenset[str]],
) -> None:
    names = frozenset("abcdefgh")

    def cuts(chosen: frozenset[str]) -> bool:
        return all(chosen & path for path in paths)

    chosen = smallest(names, cuts)
    assert chosen is not None
    assert cuts(frozenset(chosen))
    every_size = (set_ for size in range(len(names) + 1) for set_ in combinations(names, size))
    assert len(chosen) == len(next(it for it in every_size if cuts(frozenset(it))))


def test_few_questions_find_the_one_of_many_that_cuts() -> None:
    asked: list[frozenset[str]] = []

    def cuts(chosen: frozenset[str]) -> bool:
        asked.append(chosen)
        return "c77" in chosen

    assert smallest(frozenset(f"c{i:02}" for i in range(100)), cuts) == ("c77",)
    assert len(asked) < 25
