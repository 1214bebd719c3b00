"""etcd's ports on one machine: what may be done at each, and that none is taken for another.

The right answers are etcd's own: see its documentation of ``--listen-client-urls`` and
``--listen-metrics-urls``, and the addresses that a socket's bind lets in.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from labkit.analysis import attack_paths, find_threats, load_model
from labkit.model import Channel, Model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
ADDRESS = "192.168.56.10"


def model_with(folder: Path, etcd: dict[str, str], apiserver: str = "") -> Model:
    """Return the model of kubeadm's files with other URLs for etcd, and for whom calls it."""
    shutil.copytree(KUBEADM, folder)
    manifests = folder / "cp1/etc/kubernetes/manifests"
    file = manifests / "etcd.yaml"
    text = file.read_text()
    for flag, urls in etcd.items():
        text, count = re.subn(rf"--{flag}=\S*", f"--{flag}={urls}", text)
        assert count == 1
    file.write_text(text)
    if apiserver:
        file = manifests / "kube-apiserver.yaml"
        file.write_text(
            re.sub(r"--etcd-servers=\S*", f"--etcd-servers={apiserver}", file.read_text())
        )
    return load_model(folder)


def channel(model: Model, name: str) -> Channel:
    return next(it for it in model.channels if it.id == name)


def goals(model: Model, start: str) -> set[str]:
    return {goal for goal in ("secrets", "admin") if attack_paths(model, start, goal)}


@pytest.mark.parametrize(
    "urls", [f"http://127.0.0.1:2381,http://{ADDRESS}:2381", "http://0.0.0.0:2381"]
)
def test_an_open_metrics_port_is_found_and_is_no_path(tmp_path: Path, urls: str) -> None:
    model = model_with(tmp_path / "c", {"listen-metrics-urls": urls})
    assert channel(model, "anyone@network -> etcd@cp1:2381").open
    assert goals(model, "network") == goals(model, "pod") == goals(model, "user:cp1") == set()
    open_ids = {item.id for item in find_threats(model).open}
    assert "caller-unauthenticated@etcd@cp1:2381" in open_ids
