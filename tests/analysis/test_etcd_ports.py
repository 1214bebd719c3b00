"""etcd's ports on one machine: what may be done at each, and that none is taken for another.

The right answers are etcd's own: see its documentation of ``--listen-client-urls`` and
``--listen-metrics-urls``, and the addresses that a socket's bind lets in.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from labkit.analysis import attack_paths, find_threats
from labkit.loading import load_model
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
    return {goal for goal in ("secrets", "admin") if attack_paths(model, start, goal).paths}


@pytest.mark.parametrize(
    "urls", [f"http://127.0.0.1:2381,http://{ADDRESS}:2381", "http://0.0.0.0:2381"]
)
def test_an_open_metrics_port_is_found_and_is_no_path(tmp_path: Path, urls: str) -> None:
    model = model_with(tmp_path / "c", {"listen-metrics-urls": urls})
    assert channel(model, "anyone@network -> etcd@cp1:2381").open
    assert goals(model, "network") == goals(model, "pod") == goals(model, "user:cp1") == set()
    open_ids = {item.id for item in find_threats(model).open}
    assert "caller-unauthenticated@etcd@cp1:2381" in open_ids


SECURE, PLAIN = ("tls1.2", "required"), ("none", "none")
#: etcd's URLs, whom the apiserver calls, the encryption and client authentication of some
#: channels, and from where the store is reached.
CASES = {
    "plain http on the address, https on loopback, at one port": (
        f"https://127.0.0.1:2379,http://{ADDRESS}:2379",
        "https://127.0.0.1:2379",
        {"kube-apiserver@cp1": SECURE, "anyone@network": PLAIN},
        {"network", "pod", "user:cp1"},
    ),
    "https on the address, plain http on loopback, which the apiserver calls": (
        f"https://{ADDRESS}:2379,http://127.0.0.1:2379",
        "http://127.0.0.1:2379",
        {"kube-apiserver@cp1": PLAIN, "anyone@network": SECURE},
        {"user:cp1"},
    ),
    "the same, and the apiserver calls the address": (
        f"https://{ADDRESS}:2379,http://127.0.0.1:2379",
        f"https://{ADDRESS}:2379",
        {"kube-apiserver@cp1": SECURE, "local-users@cp1": PLAIN},
        {"user:cp1"},
    ),
    "the same in the other order, by the name localhost": (
        f"http://127.0.0.1:2379,https://{ADDRESS}:2379",
        "http://localhost:2379",
        {"kube-apiserver@cp1": PLAIN, "anyone@network": SECURE},
        {"user:cp1"},
    ),
    "by the machine's name, which is not its loopback address": (
        f"http://127.0.0.1:2379,https://{ADDRESS}:2379",
        "https://cp1:2379",
        {"kube-apiserver@cp1": SECURE, "local-users@cp1": PLAIN},
        {"user:cp1"},
    ),
    "https on every address": (
        "https://0.0.0.0:2379",
        "https://127.0.0.1:2379",
        {"kube-apiserver@cp1": SECURE},
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_call_meets_the_listener_of_its_address(tmp_path: Path, case: str) -> None:
    urls, called, expected, starts = CASES[case]
    model = model_with(tmp_path / "c", {"listen-client-urls": urls}, called)
    for client, wanted in expected.items():
        found = channel(model, f"{client} -> etcd@cp1:2379")
        assert (found.encryption.value, found.client_authentication.value) == wanted, client
    for start in ("network", "pod", "user:cp1"):
        assert bool(goals(model, start)) is (start in starts), start


def test_of_two_addresses_at_a_second_port_none_hides_the_other(tmp_path: Path) -> None:
    urls = f"https://127.0.0.1:2379,http://{ADDRESS}:4001,http://127.0.0.1:4001"
    model = model_with(tmp_path / "c", {"listen-client-urls": urls})
    assert channel(model, "anyone@network -> etcd@cp1:4001").encryption.value == "none"
    assert channel(model, "local-users@cp1 -> etcd@cp1:4001").encryption.value == "none"
    assert goals(model, "network") == {"secrets", "admin"}
    found = {item.id: item for item in find_threats(model)}
    assert found["caller-unauthenticated@etcd@cp1:4001"].state == "open"


def test_two_listeners_on_one_port_are_two_channels(tmp_path: Path) -> None:
    urls = f"https://127.0.0.1:2379,https://{ADDRESS}:4001,http://10.1.2.3:4001"
    model = model_with(tmp_path / "c", {"listen-client-urls": urls})
    found = {it.id: it.protocol for it in model.channels if it.port == 4001}
    assert found == {
        f"anyone@network -> etcd@cp1:{ADDRESS}:4001": "https",
        "anyone@network -> etcd@cp1:10.1.2.3:4001": "http",
    }
    state = {item.id: item.state for item in find_threats(model)}
    assert state["caller-unauthenticated@etcd@cp1:4001"] == "open"


def test_which_of_two_listeners_is_called_may_be_unknown(tmp_path: Path) -> None:
    urls = "https://10.1.2.3:2379,http://10.4.5.6:2379"
    model = model_with(tmp_path / "c", {"listen-client-urls": urls}, "https://cp1:2379")
    found = channel(model, "kube-apiserver@cp1 -> etcd@cp1:2379")
    assert found.encryption.value == found.client_authentication.value == "unknown"
    assert goals(model, "network") == {"secrets", "admin"}
