"""What techniques let an attacker reach: on techniques made up here, and on the real ones."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis import close, reach
from labkit.analysis.attack_graph import from_techniques
from labkit.analysis.attack_graph.steps import Path
from labkit.errors import ConfigError
from labkit.model import Foothold, read_model
from labkit.model.footholds import (
    ADMIN,
    NETWORK,
    POD,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
)
from labkit.techniques import FOOTHOLDS, Prediction, Technique
from labkit.techniques._lib.technique import GRANTS

HARDENED = read_model("hardened")


def made(
    name: str,
    footholds: tuple[Foothold, ...],
    grants: tuple[Foothold, ...],
    succeeds: bool | None = True,
) -> Technique:
    def execute(lab: Any, foothold: Foothold) -> Any:
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
        predict=lambda model, foothold: Prediction(succeeds, ("made up",)),
        execute=execute,
    )


def held(known: list[Technique], start: Foothold) -> dict[Foothold, Path]:
    """Return everything that is reached with some techniques, each with its cheapest path."""
    return close(from_techniques.graphs(HARDENED, known)[0], start)


def test_reached_footholds_are_used_for_further_steps() -> None:
    known = [
        made("escape", (POD,), (ROOT_ON_WORKER,)),
        made("steal", (ROOT_ON_WORKER,), (ADMIN,)),
        made("shut", (POD,), (ADMIN,), succeeds=False),
    ]
    found = held(known, POD)
    assert [step.technique for step in found[SECRETS]] == ["escape", "steal"]
    assert found[ROOT_ON_WORKER] == found[SECRETS][:1]


def test_technique_of_which_the_model_does_not_know_whether_it_succeeds_is_possible() -> None:
    known = [
        made("escape", (POD,), (ROOT_ON_WORKER,), succeeds=None),
        made("steal", (ROOT_ON_WORKER,), (ADMIN,)),
    ]
    sure, wide = from_techniques.graphs(HARDENED, known)
    assert ADMIN not in close(sure, POD)
    path = close(wide, POD)[ADMIN]
    assert [step.name for step in path] == ["escape", "steal"]
    assert [step.unknown for step in path] == ["whether escape succeeds", ""]


def test_shortest_path_is_returned() -> None:
    known = [
        made("a-long-way", (POD,), (ROOT_ON_WORKER,)),
        made("b-long-way", (ROOT_ON_WORKER,), (ADMIN,)),
        made("c-short", (POD,), (ADMIN,)),
    ]
    assert [step.technique for step in held(known, POD)[ADMIN]] == ["c-short"]


def test_cyclic_techniques_terminate() -> None:
    known = [made("there", (POD,), (NETWORK,)), made("back", (NETWORK,), (POD,))]
    found = held(known, POD)
    assert set(found) == {POD, NETWORK}
    assert found[POD] == ()


def test_an_unknown_foothold_is_refused() -> None:
    with pytest.raises(ConfigError, match="no foothold or goal 'the moon'"):
        reach(HARDENED, ["the moon"], "techniques")


def test_a_foothold_that_no_technique_knows_is_not_out_of_reach() -> None:
    with pytest.raises(ConfigError, match="what is reached from there is not known"):
        reach(HARDENED, ["holds:admin@master"], "techniques")


def test_a_model_without_configuration_has_no_techniques() -> None:
    from labkit.model import Draft

    draft = Draft("by hand")
    draft.component("etcd")
    with pytest.raises(ConfigError, match="by hand was not read from a cluster's configuration"):
        reach(draft.model(), ["network"], "techniques")


techniques = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FOOTHOLDS), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(GRANTS), max_size=2, unique=True),
        st.booleans(),
    ),
    max_size=8,
)


@given(raw=techniques, start=st.sampled_from(FOOTHOLDS))
def test_reach_is_the_least_fixed_point(raw: list[Any], start: Foothold) -> None:
    known = [
        made(f"t-{'x' * (number + 1)}", tuple(froms), tuple(grants), succeeds)
        for number, (froms, grants, succeeds) in enumerate(raw)
    ]
    by_name = {technique.name: technique for technique in known}
    found = held(known, start)
    for technique in known:
        if technique.predict(HARDENED, start).succeeds and set(found) & set(technique.footholds):
            assert set(technique.grants) <= set(found)
    for path in found.values():  # nothing is held without a derivation that begins at the start
        for step in path:
            assert step.foothold in found
            assert by_name[step.technique].predict(HARDENED, start).succeeds
    for first, second in itertools.pairwise(found.values()):
        assert len(first) <= len(second) + 1


@given(raw=techniques, start=st.sampled_from(FOOTHOLDS), left_out=st.integers(0, 7))
def test_more_techniques_never_reach_less(raw: list[Any], start: Foothold, left_out: int) -> None:
    known = [
        made(f"t-{'x' * (number + 1)}", tuple(froms), tuple(grants), succeeds)
        for number, (froms, grants, succeeds) in enumerate(raw)
    ]
    fewer = [technique for number, technique in enumerate(known) if number != left_out]
    assert set(held(fewer, start)) <= set(held(known, start))


def test_insecure_is_reached_from_the_network_and_hardened_is_not() -> None:
    insecure = reach(read_model("insecure"), ["network"], "techniques")
    assert insecure.path(NETWORK, ADMIN)
    assert insecure.path(NETWORK, SECRETS)
    hardened = reach(HARDENED, ["network"], "techniques")
    assert hardened.path(NETWORK, ADMIN) is None
    assert hardened.path(NETWORK, SECRETS) is None


@pytest.mark.parametrize(
    ("word", "foothold"),
    [
        ("user:master", USER_ON_MASTER),
        ("user:worker", USER_ON_WORKER),
        ("root:worker2", ROOT_ON_WORKER),
        ("root:etcd3", ROOT_ON_ETCD),
    ],
)
def test_a_machine_stands_for_its_role(word: str, foothold: Foothold) -> None:
    model = read_model("insecure")
    by_role = reach(model, [foothold], "techniques")
    [paths] = reach(model, [word], "techniques").paths.values()
    assert paths == by_role.paths[foothold]
