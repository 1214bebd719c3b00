"""Attack paths from claims alone, held against the paths from the techniques."""

from __future__ import annotations

import os
from typing import Any

import pytest

from labkit import read_environment
from labkit.analysis import attack_paths, cost, cuts, reach, reached, smallest_cut, with_control
from labkit.analysis.paths import find_fact
from labkit.errors import ConfigError
from labkit.matrix import Variant, combinations, variants
from labkit.model import Draft, Model, read_model

INSECURE = read_model("insecure")
MODES = ("insecure", "hardened")
FOOTHOLDS = {
    "on the cluster network": "network",
    "inside a pod": "pod",
    "unprivileged user on the master": "user:master",
    "unprivileged user on a worker": "user:worker1",
    "root on a worker": "root:worker1",
    "root on an etcd machine": "root:etcd1",
}
GOALS = {"reads the secrets": "secrets", "cluster-admin": "admin", "root on a worker": "node"}
FLIPS = [variant for mode in MODES for variant in variants(read_environment(mode))]
#: Of two hundred random combinations of controls all where asked for, else the first twenty.
SAMPLE = 100 if os.environ.get("LABKIT_FLIPS") == "all" else 10
SEVERAL = [v for mode in MODES for v in combinations(read_environment(mode), 100, 1)[:SAMPLE]]


@pytest.mark.parametrize("variant", [*FLIPS, *SEVERAL], ids=str)
def test_claims_and_techniques_agree_on_what_is_reached(variant: Variant) -> None:
    env = variant.environment(read_environment(variant.mode))
    model = read_model(env)
    found = reached(model, FOOTHOLDS.values())
    for foothold, word in FOOTHOLDS.items():
        tried = reach(env, foothold)
        for goal, name in GOALS.items():
            claimed = found.path(find_fact(model, word), find_fact(model, name))
            if claimed and claimed[-1].technique == "host-path-pod":
                continue  # who is cluster-admin is no foothold of the lab
            assert (tried.path(goal) is None) == (claimed is None), (foothold, goal, claimed)


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
    assert [step.technique for step in path] == ["docker-tcp", "use-credential"]
    assert path[1].foothold == "holds robot@w"


@pytest.mark.parametrize("goal", ["secrets", "admin", "node"])
def test_smallest_cut_cuts_every_path_and_no_subset_does(goal: str) -> None:
    chosen = smallest_cut(INSECURE, "network", goal)
    assert chosen
    assert not attack_paths(with_control(INSECURE, *chosen), "network", goal)
    for left_out in chosen:
        fewer = [name for name in chosen if name != left_out]
        assert attack_paths(with_control(INSECURE, *fewer), "network", goal), left_out
    assert not any(cuts(INSECURE, "network", goal).values())


def test_smallest_cut_works_for_a_model_by_hand() -> None:
    draft = Draft("one door")
    draft.component("anyone", kind="person", node="x")
    draft.component("kubelet", node="w")
    draft.channel("anyone", "kubelet", server_authentication="verified")
    model = draft.model()
    assert attack_paths(model, "network", "secrets")
    assert smallest_cut(model, "network", "secrets") == ("kubelet-anonymous",)
    assert cuts(model, "network", "secrets")["kubelet-authorization"] is True
    assert smallest_cut(model, "network", "admin") == ()


def test_goal_that_no_control_cuts_has_no_cut() -> None:
    assert smallest_cut(INSECURE, "root:worker1", "node") is None


@pytest.mark.parametrize(
    ("word", "hint"),
    [("secret", "did you mean 'secrets'"), ("root:worker9", "root on worker"), ("", "one of")],
)
def test_unknown_place_is_refused(word: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        find_fact(INSECURE, word)


def test_answers_are_shown_the_same_each_time() -> None:
    def shown(model: Model) -> list[Any]:
        answers: list[Any] = [attack_paths(model, "pod", "admin"), reached(model)]
        return [(repr(answer), answer._repr_html_()) for answer in answers]

    assert shown(INSECURE) == shown(INSECURE) == shown(read_model("insecure"))
