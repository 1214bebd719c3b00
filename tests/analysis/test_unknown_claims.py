"""An unknown claim never ends a path: whatever its value may be, the path is known or possible.

The values are those of the vocabulary, so the tests hold for every kind of listener.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis import attack_paths, diff, effect_of_each_control, minimal_cut, reach
from labkit.model import GOALS, PROPERTIES, Model
from labkit.model.by_hand import OWN, Draft
from labkit.model.claims import VALUES
from labkit.model.footholds import NETWORK, Foothold

KINDS = ("etcd", "kube-apiserver", "kubelet", "dockerd", "kubectl-proxy", "containerd")
STARTS = (NETWORK, Foothold("user", "there"), Foothold("root", "here"), Foothold("pod"))
SAID = {name: [it for it in values if it != "closed"] for name, values in VALUES.items()}
AT_REST = OWN["secrets at rest"]


def model_of(
    kind: str, at_rest: str = "none", *, credential: str | None = "caller", **claims: Any
) -> Model:
    draft = Draft("two")
    client = draft.component("kube-apiserver@here", claims={"secrets at rest": at_rest})
    server = draft.component(f"{kind}@there")
    draft.channel(client, server, credential=credential, **claims)
    return draft.model()


def goals(model: Model) -> tuple[set[tuple[Foothold, Foothold]], set[tuple[Foothold, Foothold]]]:
    """Return the pairs of start and goal with a known path, and those with a known or possible."""
    found = reach(model, [it for it in STARTS if it.kind != "root" or it.where == "here"])
    known = {(start, goal) for start, paths in found.paths.items() for goal in paths}
    wide = {(start, goal) for start, paths in found.possible.items() for goal in paths}
    return known, known | wide


def test_channels_of_which_nothing_is_known_reach_no_goal_for_certain_and_each_perhaps():
    for kind in ("etcd", "kube-apiserver", "kubectl-proxy"):
        model = model_of(kind, **dict.fromkeys(PROPERTIES, "unknown"))
        for goal in GOALS[:2]:
            found = attack_paths(model, "network", goal)
            assert not found.paths, (kind, goal)
            assert found.possible, (kind, goal)
            assert "to find out: whether " in repr(found)
            assert "out of reach" not in repr(found)


def test_unknown_socket_is_perhaps_open_to_users_of_its_machine():
    model = model_of("dockerd", client_authentication="unknown")
    found = attack_paths(model, "user:there", "root:there")
    assert not found.paths
    assert "which users may connect to dockerd@there:/run/docker.sock" in repr(found)


def test_client_whose_credential_is_not_said_may_call_as_itself():
    claims: dict[str, Any] = {"client_authentication": "required", "authorization": "allow-all"}
    draft = Draft("two")
    client, server = draft.component("flanneld@here"), draft.component("etcd@there")
    draft.channel(client, server, encryption="tls1.3", server_authentication="verified", **claims)
    found = attack_paths(draft.model(), "root:here", "admin")
    assert not found.paths
    assert "with which credential flanneld@here calls" in repr(found)


def test_one_apiserver_that_does_not_encrypt_is_enough_for_plaintext():
    for values, at_rest in (
        (("encrypted", "encrypted"), "encrypted"),
        (("encrypted", "none"), "none"),
        (("encrypted", "unknown"), "unknown"),
        (("none", "unknown"), "none"),
        ((), "none"),
    ):
        draft = Draft("several")
        for number, value in enumerate(values):
            draft.component(f"kube-apiserver@{number}", claims={"secrets at rest": value})
        assert draft.model().secrets_at_rest == at_rest, values


def kubelet(client_authentication: str) -> Model:
    """Return a model in which the network reaches the secrets if the kubelet asks for nothing."""
    return model_of(
        "kubelet", client_authentication=client_authentication, authorization="allow-all"
    )


def test_possible_path_counts_wherever_somebody_asks_whether_there_is_one():
    doubtful = kubelet("unknown")
    found = attack_paths(doubtful, "network", "secrets")
    assert found
    assert (len(found), found.paths) == (1, ())
    assert minimal_cut(doubtful, "network", "secrets", possible=False) == ()
    assert minimal_cut(doubtful, "network", "secrets") == ("kubelet-anonymous",)
    assert effect_of_each_control(doubtful, "network", "secrets")["kubelet-anonymous"]


def test_what_became_unknown_is_not_gone():
    before, after = kubelet("none"), kubelet("unknown")
    changed = diff(before, after)
    assert (changed.removed, changed.paths_removed) == ((), ())
    assert diff(before, kubelet("required")).paths_removed  # the positive control


@given(
    st.sampled_from(KINDS),
    st.sampled_from(AT_REST),
    st.sampled_from(["caller", None]),
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SAID.items()}),
    st.sets(st.sampled_from([*PROPERTIES, "at rest"]), min_size=1),
)
def test_goal_reached_with_some_value_of_an_unknown_claim_is_possible(
    kind: str, at_rest: str, credential: str | None, claims: dict[str, str], doubted: set[str]
) -> None:
    known, _ = goals(model_of(kind, at_rest, credential=credential, **claims))
    doubtful = claims | dict.fromkeys(doubted - {"at rest"}, "unknown")
    rest = "unknown" if "at rest" in doubted else at_rest
    sure, perhaps = goals(model_of(kind, rest, credential=credential, **doubtful))
    assert known <= perhaps
    if "unknown" not in claims.values() and at_rest != "unknown":
        # and what is certain is so for every value
        assert sure <= known


@pytest.mark.parametrize("kind", KINDS)
def test_step_that_rests_on_known_claims_is_not_doubted(kind: str) -> None:
    values = [[it for it in SAID[name] if it != "unknown"][:2] for name in PROPERTIES]
    for chosen in product(*values):
        model = model_of(kind, **dict(zip(PROPERTIES, chosen, strict=True)))
        assert not reach(model, [NETWORK]).possible
