"""What-if: a new model, and what it has lost and gained; files and the old model stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.analysis import diff, find_threats, minimal_cut, with_control
from labkit.errors import ConfigError
from labkit.loading import load_model
from labkit.model import Draft, Model, read_model
from labkit.model.footholds import ADMIN, POD

KUBEADM = Path(__file__).parent.parent / "cluster" / "data" / "kubeadm"
INSECURE = read_model("insecure")


def test_with_control_leaves_the_model_unchanged() -> None:
    before = len(find_threats(INSECURE).open)
    with_control(INSECURE, "docker-tcp", "kubelet-anonymous")
    assert len(find_threats(INSECURE).open) == before
    assert read_model("insecure") == INSECURE


def test_difference_lists_removed_findings() -> None:
    changed = with_control(INSECURE, "kubelet-read-only-port")
    found = diff(INSECURE, changed)
    assert {item.control for item in found.removed} == {"kubelet-read-only-port"}
    assert found.added == ()
    assert "findings -6 +0" in repr(found)
    assert repr(diff(INSECURE, INSECURE)).endswith("findings -0 +0, paths -0 +0")


def test_difference_lists_opened_paths() -> None:
    hardened = read_model("hardened")
    found = diff(hardened, INSECURE)
    assert (POD, ADMIN) in found.paths_added
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
    left = find_threats(with_control(model, control)).open
    assert gone not in {item.id for item in left}
    assert len(left) < len(find_threats(model).open)


def test_unknown_control_is_refused() -> None:
    with pytest.raises(ConfigError, match="no control 'nonsense'"):
        with_control(INSECURE, "nonsense")


def test_copied_cluster_is_cut_by_a_control_of_the_open_kubelet(tmp_path: Path) -> None:
    shutil.copytree(KUBEADM, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "worker1" / "var" / "lib" / "kubelet" / "config.yaml"
    text = config.read_text().replace("enabled: false", "enabled: true", 1)
    config.write_text(text.replace("mode: Webhook", "mode: AlwaysAllow"))
    model = load_model(tmp_path)
    # CIS Kubernetes Benchmark 4.2.1 and 4.2.2: either refuses anonymous callers
    assert minimal_cut(model, "network", "secrets") in [
        ("kubelet-anonymous",),
        ("kubelet-authorization",),
    ]
