"""What-if: a new model, and what it has lost and gained; files and the old model stay."""

from __future__ import annotations

import pytest

from labkit.analysis import diff, find_threats
from labkit.errors import ConfigError
from labkit.model import Draft, Model, read_model

INSECURE = read_model("insecure")


def test_with_control_leaves_the_model_unchanged() -> None:
    before = len(find_threats(INSECURE).open)
    INSECURE.with_control("docker-tcp", "kubelet-anonymous")
    assert len(find_threats(INSECURE).open) == before
    assert read_model("insecure") == INSECURE


def test_difference_lists_removed_findings() -> None:
    changed = INSECURE.with_control("kubelet-read-only-port")
    found = diff(INSECURE, changed)
    assert {item.control for item in found.removed} == {"kubelet-read-only-port"}
    assert found.added == ()
    assert "findings -6 +0" in repr(found)
    assert repr(diff(INSECURE, INSECURE)).endswith("findings -0 +0, paths -0 +0")


def test_difference_lists_opened_paths() -> None:
    hardened = read_model("hardened")
    found = diff(hardened, INSECURE)
    assert ("inside a pod", "cluster-admin") in found.paths_added
    assert found.paths_removed == ()


def by_hand() -> Model:
    draft = Draft("by hand")
    draft.component("kube-apiserver", claims={"secrets at rest": "none", "audit": "none"})
    draft.component("etcd")
    draft.component("dockerd", node="w")
    draft.component("ci", kind="process", node="x")
    draft.channel("kube-apiserver", "etcd")
    draft.channel("ci", "dockerd", port=2375, protocol="http", encryption="none",
                  client_authentication="none")  # fmt: skip
    draft.credential("admin", node="master", rights=["cluster-admin"],
                     readable_by=["user on master"])  # fmt: skip
    return draft.model()


@pytest.mark.parametrize(
    ("control", "gone"),
    [
        ("etcd-client-tls", "plaintext@kube-apiserver@master -> etcd@master:2379"),
        ("etcd-client-cert-auth", "caller-unauthenticated@etcd@master:2379"),
        ("encryption-at-rest", "secrets-at-rest@kube-apiserver@master"),
        ("docker-tcp", "caller-unauthenticated@dockerd@w:2375"),
        ("admin-kubeconfig-permissions", "credential-readable@admin@master"),
    ],
)
def test_controls_apply_to_models_by_hand(control: str, gone: str) -> None:
    model = by_hand()
    assert gone in {item.id for item in find_threats(model).open}
    left = find_threats(model.with_control(control)).open
    assert gone not in {item.id for item in left}
    assert len(left) < len(find_threats(model).open)


def test_unknown_control_is_refused() -> None:
    with pytest.raises(ConfigError, match="no control 'nonsense'"):
        INSECURE.with_control("nonsense")
