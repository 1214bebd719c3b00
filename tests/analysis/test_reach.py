"""What an attacker gets to, on techniques made up for the purpose and on the real ones."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import read_environment
from labkit.analysis import reach
from labkit.errors import ConfigError
from labkit.model import View
from labkit.techniques import FOOTHOLDS, GOALS, Prediction, Technique
from labkit.techniques._base import ADMIN, NETWORK, POD, ROOT_ON_WORKER, SECRETS

THINGS = tuple(dict.fromkeys([*FOOTHOLDS, *GOALS]))
VIEW = View(read_environment("hardened"))


def made(
    name: str, footholds: tuple[str, ...], grants: tuple[str, ...], succeeds: bool = True
) -> Technique:
    def execute(lab: Any, foothold: str) -> Any:
        raise AssertionError("a prediction carries nothing out")

    return Technique(
        name=name,
        title=name.title(),
        footholds=footholds,
        grants=grants,
        about="",
        properties=(),
        attack=("T1000",),
        stride=("spoofing",),
        cwe=("CWE-1",),
        sources=("made up",),
        predict=lambda view, foothold: Prediction(succeeds, ("made up",)),
        execute=execute,
    )


def test_reached_footholds_are_used_for_further_steps() -> None:
    known = [
        made("escape", (POD,), (ROOT_ON_WORKER,)),
        made("steal", (ROOT_ON_WORKER,), (ADMIN,)),
        made("shut", (POD,), (ADMIN,), succeeds=False),
    ]
    found = reach(VIEW, POD, known)
    path = found.path(SECRETS)
    assert path is not None
    assert [step.technique for step in path] == ["escape", "steal"]
    assert found.path(ROOT_ON_WORKER) == path[:1]
    assert {step.technique for step in found.steps} == {"escape", "steal"}
    assert "reads the secrets: escape -> steal" in repr(found)


def test_shortest_path_is_returned() -> None:
    known = [
        made("a-long-way", (POD,), (ROOT_ON_WORKER,)),
        made("b-long-way", (ROOT_ON_WORKER,), (ADMIN,)),
        made("c-short", (POD,), (ADMIN,)),
    ]
    path = reach(VIEW, POD, known).path(ADMIN)
    assert path is not None
    assert [step.technique for step in path] == ["c-short"]


def test_cyclic_techniques_terminate() -> None:
    known = [made("there", (POD,), (NETWORK,)), made("back", (NETWORK,), (POD,))]
    assert set(reach(VIEW, POD, known).held) == {POD, NETWORK}
    assert reach(VIEW, POD, known).path(POD) == ()
    assert reach(VIEW, POD, known).path(ADMIN) is None


def test_unknown_foothold_is_refused() -> None:
    with pytest.raises(ConfigError, match="no foothold 'the moon'\n  next: choose one of: on the"):
        reach(VIEW, "the moon")


techniques = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FOOTHOLDS), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(THINGS), max_size=2, unique=True),
        st.booleans(),
    ),
    max_size=8,
)


@given(raw=techniques, start=st.sampled_from(FOOTHOLDS))
def test_reach_is_the_least_fixed_point(raw: list[Any], start: str) -> None:
    known = [
        made(f"t-{'x' * (number + 1)}", tuple(froms), tuple(grants), succeeds)
        for number, (froms, grants, succeeds) in enumerate(raw)
    ]
    found = reach(VIEW, start, known)
    held = set(found.held)
    for technique in known:
        if technique.predict(VIEW, start).succeeds and held & set(technique.footholds):
            assert set(technique.grants) <= held
    for thing in held:  # and nothing without a derivation that begins at the start
        path = found.path(thing)
        assert path is not None
        for step in path:
            assert step.foothold in held
            assert next(t for t in known if t.name == step.technique).predict(VIEW, "").succeeds
    for first, second in itertools.pairwise(found.held):
        one, other = found.path(first), found.path(second)
        assert one is not None
        assert other is not None
        assert len(one) <= len(other) + 1


@given(raw=techniques, more=techniques, start=st.sampled_from(FOOTHOLDS))
def test_more_techniques_never_reach_less(raw: list[Any], more: list[Any], start: str) -> None:
    known = [
        made(f"t-{'x' * (number + 1)}", tuple(froms), tuple(grants), succeeds)
        for number, (froms, grants, succeeds) in enumerate([*raw, *more])
    ]
    fewer, all_of_them = reach(VIEW, start, known[: len(raw)]), reach(VIEW, start, known)
    assert set(fewer.held) <= set(all_of_them.held)
    for thing in fewer.held:
        short, long = all_of_them.path(thing), fewer.path(thing)
        assert short is not None
        assert long is not None
        assert len(short) <= len(long)


def test_insecure_is_reached_from_the_network_and_hardened_is_not() -> None:
    insecure = reach(read_environment("insecure"), NETWORK)
    assert insecure.path(ADMIN)
    assert insecure.path(SECRETS)
    hardened = reach(read_environment("hardened"), NETWORK)
    assert hardened.path(ADMIN) is None
    assert hardened.path(SECRETS) is None
