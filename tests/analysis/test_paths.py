"""Attack paths from the claims of channels, held against those from the techniques."""

from __future__ import annotations

import os
from typing import Any

import pytest

from labkit import read_environment, techniques
from labkit.analysis import (
    attack_paths,
    cost,
    effect_of_each_control,
    find_foothold,
    minimal_cut,
    reach,
    with_control,
)
from labkit.analysis.attack_graph.queries import Derivation, usual_starts
from labkit.errors import ConfigError
from labkit.matrix import Variant, combinations, variants
from labkit.model import GOALS, Draft, Foothold, Model, read_model

INSECURE = read_model("insecure")
MODES = ("insecure", "hardened")
#: Where techniques start, in the words that people type.
STARTS = ("network", "pod", "user:master", "user:worker", "root:worker", "root:etcd")
FLIPS = [variant for mode in MODES for variant in variants(read_environment(mode))]
#: Of two hundred random combinations of controls all where asked for, else the first twenty.
SAMPLE = 100 if os.environ.get("LABKIT_FLIPS") == "all" else 10
SEVERAL = [v for mode in MODES for v in combinations(read_environment(mode), 100, 1)[:SAMPLE]]


@pytest.mark.parametrize("variant", [*FLIPS, *SEVERAL], ids=str)
def test_both_derivations_reach_the_same_goals(variant: Variant) -> None:
    model = read_model(variant.environment(read_environment(variant.mode)))
    claimed = reach(model, STARTS)
    tried = reach(model, STARTS, "techniques")
    assert list(claimed.paths) == list(tried.paths)
    for start in claimed.paths:
        for goal in GOALS:
            path = claimed.path(start, goal)
            assert (tried.path(start, goal) is None) == (path is None), (start, goal, path)


@pytest.mark.parametrize("mode", MODES)
def test_every_technique_of_a_step_exists(mode: str) -> None:
    model = read_model(mode)
    named = {
        step.technique
        for start in usual_starts(model)
        for goal in GOALS
        for path in attack_paths(model, start, goal).paths
        for step in path
        if step.technique
    }
    assert named
    assert named <= set(techniques)


@pytest.mark.parametrize("start", STARTS)
def test_reach_and_attack_paths_give_the_same_cheapest_path(start: str) -> None:
    for derivation in ("claims", "techniques"):
        found = reach(INSECURE, [start], derivation)
        [foothold] = found.paths
        for goal in GOALS:
            paths = attack_paths(INSECURE, start, goal, 1, derivation).paths
            assert found.path(foothold, goal) == (paths[0] if paths else None)


def test_attack_paths_are_distinct_and_cheapest_first() -> None:
    found = attack_paths(INSECURE, "network", "node", count=6)
    assert len(found) == 6
    assert [cost(path) for path in found.paths] == sorted(cost(path) for path in found.paths)
    assert len(set(found.paths)) == 6


def test_credentials_found_on_the_way_are_used() -> None:
    draft = Draft("a way")
    draft.component("kube-apiserver", node="m")
    draft.component("kubelet", node="w")
    draft.component("dockerd", node="w")
    draft.component("anyone", kind="person", zone="cluster network")
    draft.channel("anyone", "dockerd", port=2375, protocol="http", client_authentication="none")
    draft.credential("robot", node="w", rights=["cluster-admin"])
    [path] = attack_paths(draft.model(), "pod", "admin").paths
    assert [step.name for step in path] == ["docker-tcp", "use-credential"]
    assert path[1].foothold == Foothold("holds", "robot@w")


@pytest.mark.parametrize("goal", ["secrets", "admin", "node"])
def test_minimal_cut_cuts_every_path_and_no_subset_does(goal: str) -> None:
    chosen = minimal_cut(INSECURE, "network", goal)
    assert chosen
    assert not attack_paths(with_control(INSECURE, *chosen), "network", goal)
    for left_out in chosen:
        fewer = [name for name in chosen if name != left_out]
        assert attack_paths(with_control(INSECURE, *fewer), "network", goal), left_out
    assert not any(effect_of_each_control(INSECURE, "network", goal).values())


def test_minimal_cut_works_for_a_model_by_hand() -> None:
    draft = Draft("one door")
    draft.component("anyone", kind="person", node="x")
    draft.component("kubelet", node="w")
    draft.channel("anyone", "kubelet", server_authentication="verified")
    model = draft.model()
    assert attack_paths(model, "network", "secrets")
    assert minimal_cut(model, "network", "secrets") == ("kubelet-anonymous",)
    assert effect_of_each_control(model, "network", "secrets")["kubelet-authorization"] is True
    assert minimal_cut(model, "network", "admin") == ()


def test_goal_that_no_control_cuts_has_no_cut() -> None:
    assert minimal_cut(INSECURE, "root:worker1", "node") is None


@pytest.mark.parametrize(
    ("word", "hint"),
    [("secret", "did you mean 'secrets'"), ("root:worker9", "root:worker"), ("", "one of")],
)
def test_unknown_place_is_refused(word: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        find_foothold(INSECURE, word)


def test_answers_are_shown_the_same_each_time() -> None:
    def shown(model: Model) -> list[Any]:
        answers: list[Any] = [attack_paths(model, "pod", "admin"), reach(model)]
        return [(repr(answer), answer._repr_html_()) for answer in answers]

    assert shown(INSECURE) == shown(INSECURE) == shown(read_model("insecure"))


@pytest.mark.parametrize("call", [attack_paths, reach])
def test_misspelt_derivation_is_refused_and_not_taken_for_another(call: Any) -> None:
    words = ("pod", "secrets") if call is attack_paths else ()
    with pytest.raises(ConfigError, match="no derivation 'rights'") as error:
        call(INSECURE, *words, derivation="rights")
    assert error.value.hint == "one of: claims, techniques"


@pytest.mark.parametrize(
    ("goal", "derivation"),
    [
        ("root:worker", "claims"),
        ("root:worker1", "techniques"),
        ("holds:admin@master", "techniques"),
    ],
)
def test_goal_that_a_derivation_cannot_judge_is_not_out_of_reach(
    goal: str, derivation: Derivation
) -> None:
    with pytest.raises(ConfigError, match=r"not a goal|no technique says whether"):
        attack_paths(INSECURE, "network", goal, derivation=derivation)
    assert attack_paths(INSECURE, "network", "node", derivation=derivation)


@pytest.mark.parametrize("component", ["etcd@etcd1", "kubelet@worker1", "kube-proxy@worker1"])
def test_no_step_commands_a_component_whose_calls_give_more(component: str) -> None:
    word = f"commands:{component}"
    with pytest.raises(ConfigError, match=r"no step of this model says.*\n.*secrets, admin"):
        attack_paths(INSECURE, "network", word)
    with pytest.raises(ConfigError, match="no step starts from"):
        attack_paths(INSECURE, word, "admin")


@pytest.mark.parametrize("start", ["secrets", "node"])
def test_goal_from_which_no_step_leads_is_no_start(start: str) -> None:
    with pytest.raises(ConfigError, match=r"no step starts from .*\n.*root:NODE"):
        attack_paths(INSECURE, start, "admin")


def test_service_is_commanded_by_its_callers_and_by_root_on_its_machine() -> None:
    draft = Draft("shop")
    draft.component("billing", node="w")
    draft.component("web", node="v")
    strong: Any = {"client_authentication": "required", "authorization": "enforced"}
    draft.channel("web", "billing", encryption="tls1.3", server_authentication="verified", **strong)
    goal = "commands:billing@w"
    assert attack_paths(draft.model(), "root:w", goal)
    assert not attack_paths(draft.model(), "root:v", goal)
    assert not attack_paths(draft.model(), "network", goal)
    weak: Any = {"client_authentication": "none", "authorization": "allow-all"}
    draft.channel("web", "billing", port=8080, **weak)
    assert attack_paths(draft.model(), "network", goal)


def test_network_is_no_machine() -> None:
    assert any(it.id == "anyone@network" for it in INSECURE.components)
    with pytest.raises(ConfigError, match="no foothold or goal"):
        attack_paths(INSECURE, "network", "root:network")
