"""Targets are the addresses that the engine says the lab's machines have; no file decides."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import ConfigError, ProbeError
from labkit.lab import Lab, nodes
from labkit.lab.network import planned_addresses
from labkit.resources import environments_dir
from labkit.techniques import address_in_lab

GATEWAY, MASTER = "10.161.4.254", "10.161.4.21"


class Network:
    """A lab's network, as the Docker SDK shows it."""

    id = "n1"
    name = "labkit-rel-insecure"

    def __init__(self) -> None:
        pool = {"Subnet": "10.161.4.0/24", "Gateway": GATEWAY}
        own = {"labkit.lab": "rel", "labkit.mode": "insecure"}
        self.attrs = {"IPAM": {"Config": [pool]}, "Labels": own}

    def reload(self) -> None:
        """Change nothing: what is shown is what there is."""


class Engine:
    """A Docker client whose engine has one lab."""

    def __init__(self, ends: dict[str, tuple[str, str]]) -> None:
        self.ends = ends
        self.networks = SimpleNamespace(list=lambda filters: [Network()])
        self.api = SimpleNamespace(containers=self.containers)

    def ping(self) -> bool:
        return True

    def containers(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        assert filters == {"label": ["labkit.lab=rel", "labkit.mode=insecure"]}
        return [
            {
                "Labels": {"labkit.lab": "rel", "labkit.mode": "insecure", "labkit.node": node},
                "NetworkSettings": {
                    "Networks": {"some": {"NetworkID": network, "IPAddress": address}}
                },
            }
            for node, (network, address) in self.ends.items()
        ]


def copied(folder: Path, master: int) -> Path:
    """Return a copy of `insecure` whose topology gives the master another host number."""
    for name in ("insecure", "common"):
        shutil.copytree(environments_dir() / name, folder / name)
    text = (environments_dir() / "topology.yaml").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("master: {role"))
    changed = line.replace(line[line.index("host:") :], f"host: {master}}}")
    assert changed != line
    (folder / "topology.yaml").write_text(text.replace(line, changed))
    return folder / "insecure"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(nodes, "find_nodes", lambda *_: [])
    return Engine({"master": ("n1", MASTER), "worker1": ("n1", "10.161.4.31")})


def lab_of(engine: Engine, folder: Path | str = "insecure") -> Lab:
    client: Any = engine
    return Lab(str(folder), name="rel", client=client)


def test_a_changed_topology_file_moves_no_target(engine: Engine, tmp_path: Path) -> None:
    lab = lab_of(engine, copied(tmp_path, 254))
    assert address_in_lab(lab, "master") == MASTER
    with pytest.raises(ProbeError, match="nothing is sent there"):
        address_in_lab(lab, GATEWAY)


def test_the_engine_is_asked_each_time(engine: Engine) -> None:
    lab = lab_of(engine)
    assert address_in_lab(lab, "worker1") == "10.161.4.31"
    engine.ends["worker1"] = ("n1", "10.161.4.77")
    assert address_in_lab(lab, "worker1") == "10.161.4.77"
    del engine.ends["worker1"]
    with pytest.raises(ProbeError, match="nothing is sent there"):
        address_in_lab(lab, "worker1")


@pytest.mark.parametrize(
    "end",
    [
        ("n1", GATEWAY),  # the machine that Docker runs on
        ("n1", "172.17.0.1"),  # the same, by its bridge of the default network
        ("n1", "192.0.2.7"),  # outside of the lab's network
        ("n2", "10.161.4.21"),  # on another network
        ("n1", ""),  # stopped
    ],
)
def test_what_is_no_address_of_a_machine_in_the_lab_is_refused(
    engine: Engine, end: tuple[str, str]
) -> None:
    engine.ends["master"] = end
    for host in ("master", end[1]):
        with pytest.raises(ProbeError, match="nothing is sent there"):
            address_in_lab(lab_of(engine), host)


def test_a_machine_cannot_be_planned_at_the_gateway(engine: Engine, tmp_path: Path) -> None:
    lab = lab_of(engine, copied(tmp_path, 254))
    network: Any = Network()
    with pytest.raises(ConfigError, match="master cannot have host number 254"):
        planned_addresses(network, lab.environment.nodes)


def test_a_lab_says_the_same_whatever_its_files_say(lab_insecure: Any, tmp_path: Path) -> None:
    true = lab_insecure.addresses
    assert set(true) == {node.name for node in lab_insecure.environment.nodes}
    lab = Lab(str(copied(tmp_path, 254)), name=lab_insecure.name, client=lab_insecure.client)
    assert lab.addresses == true
    assert address_in_lab(lab, "master") == true["master"]
    with pytest.raises(ProbeError, match="nothing is sent there"):
        address_in_lab(lab, f"{true['master'].rpartition('.')[0]}.254")
