"""The smallest cut: exact, and confirmed by the model itself."""

from __future__ import annotations

from itertools import combinations

import pytest

from labkit import controls, read_environment
from labkit.analysis import choke_points, reach
from labkit.techniques._base import ADMIN, NETWORK, POD, ROOT_ON_WORKER, SECRETS

INSECURE = read_environment("insecure")


def cut(names: tuple[str, ...], start: str, goal: str) -> bool:
    changed = controls.with_controls(INSECURE, dict.fromkeys(names, True))
    return reach(changed, start).path(goal) is None


@pytest.mark.parametrize("start", [NETWORK, POD])
@pytest.mark.parametrize("goal", [ADMIN, ROOT_ON_WORKER, SECRETS])
def test_choke_points_cut_every_path_and_no_subset_does(start: str, goal: str) -> None:
    chosen = choke_points(INSECURE, start, goal)
    if chosen is None:
        assert not cut(tuple(c.name for c in controls.all()), start, goal)
        return
    assert cut(chosen, start, goal)
    if chosen:
        for fewer in combinations(chosen, len(chosen) - 1):
            assert not cut(fewer, start, goal)


def test_foothold_itself_cannot_be_cut() -> None:
    assert choke_points(INSECURE, ROOT_ON_WORKER, ROOT_ON_WORKER) is None


def test_unreachable_goal_needs_no_cut() -> None:
    assert choke_points(read_environment("hardened"), NETWORK, ADMIN) == ()
