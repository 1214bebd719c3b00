"""The smallest cut: exact, and confirmed by the model itself."""

from __future__ import annotations

from itertools import combinations

import pytest

from labkit import controls
from labkit.analysis import attack_paths, minimal_cut, with_control
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
