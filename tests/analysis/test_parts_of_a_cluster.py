"""Files of a part of a cluster: its own doors count, and what was not copied is unknown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.analysis import find_threats, reach
from labkit.cluster import read_cluster
from labkit.model import Model, read_model
from labkit.model.listeners import find_listeners

DATA = Path(__file__).parents[1] / "cluster/data"
KUBEADM = DATA / "kubeadm"
MANIFESTS = "cp1/etc/kubernetes/manifests"
#: As an EKS node of Amazon Linux 2023 has them, but for the open door.
KUBELET_UNIT = """\
[Service]
EnvironmentFile=/etc/eks/kubelet/environment
ExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS
"""
KUBELET_FLAGS = (
    'NODEADM_KUBELET_ARGS="--config=/etc/kubernetes/kubelet/config.json '
    '--kubeconfig=/var/lib/kubelet/kubeconfig --hostname-override=n1"\n'
)
KUBELET_CONFIG = """\
{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
 "authentication": {"anonymous": {"enabled": ANONYMOUS}, "webhook": {"enabled": true}},
 "authorization": {"mode": "MODE"}, "readOnlyPort": 0}
"""


def one_node(folder: Path, *, anonymous: str, mode: str) -> Model:
    """Return the model of the files of a worker alone."""
    config = KUBELET_CONFIG.replace("ANONYMOUS", anonymous).replace("MODE", mode)
    for path, text in (
        ("etc/systemd/system/kubelet.service", KUBELET_UNIT),
        ("etc/eks/kubelet/environment", KUBELET_FLAGS),
        ("etc/kubernetes/kubelet/config.json", config),
    ):
        file = folder / "n1" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return read_model(read_cluster(folder))


def part(folder: Path, *names: str) -> Model:
    """Return the model of some files and folders of a cluster."""
    for name in names:
        source, to = KUBEADM / name, folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to)
    return read_model(read_cluster(folder))


PARTS = (
    *(f"{MANIFESTS}/{it.name}" for it in sorted((KUBEADM / MANIFESTS).glob("*.yaml"))),
    *(it.name for it in sorted(KUBEADM.iterdir()) if it.is_dir()),
)


@pytest.mark.parametrize("name", PARTS)
def test_every_open_listener_of_a_part_has_a_channel(tmp_path: Path, name: str) -> None:
    """Nobody among the files calls it; others may."""
    model = part(tmp_path, name)
    assert model.environment is not None
    served = {(it.server, it.port, it.path) for it in model.channels}
    found = [it for it in find_listeners(model.environment) if it.open]
    assert [it for it in found if (it.server, it.port, it.path) not in served] == []


def test_kubelet_of_a_worker_that_asks_nobody_is_found(tmp_path: Path) -> None:
    model = one_node(tmp_path, anonymous="true", mode="AlwaysAllow")
    about = (it for it in find_threats(model) if it.state == "open")
    titles = {it.title for it in about if it.subject == "kubelet@n1"}
    assert titles >= {"Callers are not authenticated", "Every caller may do everything"}
    found = reach(model, ["network"])
    assert {str(it) for paths in found.paths.values() for it in paths} >= {"reads the secrets"}


def test_kubelet_of_a_worker_that_asks_is_no_open_door(tmp_path: Path) -> None:
    model = one_node(tmp_path, anonymous="false", mode="Webhook")
    assert [it for it in find_threats(model) if it.state == "open"] == []
    assert not any(reach(model, ["network"]).paths.values())


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (["worker1"], {"kube-apiserver", "etcd"}),
        ([f"{MANIFESTS}/etcd.yaml"], {"kube-apiserver", "kubelet"}),
        ([f"{MANIFESTS}/kube-scheduler.yaml"], {"kube-apiserver", "etcd", "kubelet"}),
        # its etcd is on its own machine: that step has a name already
        ([f"{MANIFESTS}/kube-apiserver.yaml"], {"kubelet"}),
        (["cp1", "worker1"], set()),
    ],
)
def test_what_was_not_copied_is_not_out_of_reach(
    tmp_path: Path, names: list[str], absent: set[str]
) -> None:
    model = part(tmp_path, *names)
    found = reach(model, ["network"])
    steps = {step.name for paths in found.possible.values() for it in paths.values() for step in it}
    goals = {str(goal) for paths in found.possible.values() for goal in paths}
    goals |= {str(goal) for paths in found.paths.values() for goal in paths}
    if absent:
        assert goals >= {"cluster-admin", "reads the secrets"}
    assert {it.removesuffix("-not-copied") for it in steps if it.endswith("-not-copied")} <= absent
    for kind in absent - {"kubelet", "etcd"}:
        assert f"{kind}-not-copied" in steps
