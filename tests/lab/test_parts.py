"""The parts of a lab that need no engine."""

from __future__ import annotations

import contextlib
import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st

from labkit.cluster import read_environment
from labkit.cluster.certificates import read_certificates
from labkit.errors import ConfigError, EngineError, LabError, NameTaken
from labkit.lab.files import machine_files
from labkit.lab.lab import Lab
from labkit.lab.machine import FileSpec, archive
from labkit.lab.network import SPACE, candidates, host_addresses
from labkit.lab.nodes import MACHINE, _explained
from labkit.lab.record import Record

MODES = ("insecure", "hardened")
ADDRESSES = {node.name: f"10.0.0.{node.host}" for node in read_environment("insecure").nodes}


@given(name=st.text("abc0-", min_size=1, max_size=12), mode=st.sampled_from(MODES))
def test_subnet_candidates_are_stable_and_inside_the_space(name: str, mode: str) -> None:
    first = list(candidates(name, mode))
    assert first == list(candidates(name, mode))
    assert len(set(first)) == 16
    assert all(subnet.subnet_of(SPACE) for subnet in first)


def test_addresses_of_the_host_are_known_also_where_docker_does_not_name_them() -> None:
    """Docker 20.10 names no gateway of its default bridge before its second start."""
    pools: list[Any] = [
        [{"Subnet": "172.17.0.0/16"}],
        [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.254"}],
        [{"Subnet": "fd00:1::/64"}],
        None,
    ]
    networks = [SimpleNamespace(attrs={"IPAM": {"Config": it}}) for it in pools]
    client: Any = SimpleNamespace(networks=SimpleNamespace(list=lambda: networks))
    assert host_addresses(client) == ["10.9.0.254", "172.17.0.1"]


@given(data=st.binary(max_size=2000), mode=st.sampled_from([0o600, 0o644, 0o755]))
def test_archive_holds_its_files(data: bytes, mode: int) -> None:
    packed = archive([FileSpec("/etc/a/b", data, mode), FileSpec("/etc/c", link="/etc/a/b")])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        member = tar.getmember("etc/a/b")
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == data
        assert member.mode == mode
        assert tar.getmember("etc/c").linkname == "/etc/a/b"


@pytest.mark.parametrize("mode", MODES)
def test_machines_get_their_units_enabled_and_their_own_address(mode: str) -> None:
    files = {file.path: file for file in machine_files(read_environment(mode), ADDRESSES)["master"]}
    assert files["/etc/labkit/node.env"].data == b"NODE_IP=10.0.0.10\n"
    wants = "/etc/systemd/system/multi-user.target.wants/kube-apiserver.service"
    assert files[wants].link == "/etc/systemd/system/kube-apiserver.service"


def test_private_keys_are_private_and_only_where_the_plan_puts_them() -> None:
    files = machine_files(read_environment("hardened"), ADDRESSES)
    keys = {
        (node, file.path)
        for node, specs in files.items()
        for file in specs
        if b"PRIVATE KEY" in file.data
    }
    assert all(
        file.mode == 0o600
        for specs in files.values()
        for file in specs
        if b"PRIVATE KEY" in file.data
    )
    assert ("etcd1", "/etc/etcd/pki/ca.key") in keys
    assert ("etcd2", "/etc/etcd/pki/ca.key") not in keys
    assert ("worker1", "/etc/kubernetes/pki/ca.key") not in keys
    assert not {path for node, path in keys if node == "attacker"}


@pytest.mark.parametrize("mode", MODES)
def test_bundle_holds_the_certificates_of_its_authorities(mode: str) -> None:
    env = read_environment(mode)
    files = machine_files(env, ADDRESSES)
    assert env.pki.bundles
    for bundle in env.pki.bundles:
        [pem] = {f.data for f in files["etcd1"] if f.path == bundle.certificate}
        names = [item.common_name for item in read_certificates(pem, "any-ca.crt")]
        wanted = [a.common_name for a in env.authorities if a.name in bundle.authorities]
        assert sorted(names) == sorted(wanted)
        assert len(names) > 1
        assert bundle.certificate not in {f.path for f in files["attacker"]}


def test_every_lab_has_keys_of_its_own() -> None:
    env = read_environment("hardened")
    first, second = (machine_files(env, ADDRESSES)["master"] for _ in range(2))
    secret = "/etc/kubernetes/encryption.yaml"
    for path in (secret, "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/sa.key"):
        one, two = (next(f.data for f in files if f.path == path) for files in (first, second))
        assert one != two
    assert b"${" not in next(f.data for f in first if f.path == secret)


def test_machines_are_not_privileged() -> None:
    assert "Privileged" not in MACHINE.host
    reaching_the_host = {"ALL", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "SYS_BOOT", "SYS_RESOURCE"}
    assert not reaching_the_host & set(MACHINE.host["CapAdd"])


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ('The container name "/x" is already in use by container "f00"', NameTaken, "taken"),
        ("unable to apply caps: operation not permitted", EngineError, "capability"),
        ("no space left on device", EngineError, "could not run"),
    ],
)
def test_engine_error_is_explained(said: str, kind: type, word: str) -> None:
    error = _explained(APIError("500 Server Error", explanation=said), "labkit-x")
    assert type(error) is kind
    assert word in error.message
    assert said in error.evidence
    assert error.hint


@pytest.mark.parametrize("name", ["", "A", "-a", "a_b", "a" * 40, "../x"])
def test_malformed_lab_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not a valid name for a lab"):
        Lab("insecure", name=name)


@pytest.mark.parametrize(
    ("mode", "workers", "members"), [("insecure", 2, 3), ("light-insecure", 1, 1)]
)
def test_machines_of_a_role_are_those_of_the_topology(
    mode: str, workers: int, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.lab.running.connect", lambda _: None)
    lab = Lab(mode)
    assert lab.machines("worker") == tuple(f"worker{n + 1}" for n in range(workers))
    assert lab.machines("etcd") == tuple(f"etcd{n + 1}" for n in range(members))
    with pytest.raises(ConfigError, match="no machine of role 'workers'") as refused:
        lab.machines("workers")
    assert refused.value.hint == "roles: etcd, master, worker, attacker"


@pytest.mark.parametrize(
    ("lost", "hint"),
    [
        ("master", "labkit up --name default --mode insecure"),
        ("etcd1", "labkit up --name default --mode insecure"),
        ("worker2", "labkit up --name default --mode insecure"),
        ("attacker", "labkit reset --name default --mode insecure"),
    ],
)
def test_lost_machine_is_named_with_what_brings_it_back(
    lost: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.lab.running.connect", lambda _: None)
    monkeypatch.setattr("labkit.lab.lab.kept_fingerprint", lambda _: {})
    monkeypatch.setattr("labkit.lab.running.record.read", lambda _: Record())
    monkeypatch.setattr("labkit.lab.lab.nodes.find_nodes", lambda *_: [])
    lab = Lab("insecure")
    names = [node.name for node in read_environment("insecure").nodes]
    vars(lab)["_containers"] = {name: SimpleNamespace(name=name) for name in names if name != lost}
    for ask in (lambda: lab.container(lost), lab.drift):
        with pytest.raises(LabError, match=f"has lost its machine {lost}") as refused:
            ask()
        assert refused.value.hint == hint
    with pytest.raises(LabError, match="no machine 'etcd4'") as unknown:
        lab.container("etcd4")
    assert lost not in unknown.value.hint


def test_lab_that_lost_its_master_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed in it was written down on that machine."""
    monkeypatch.setattr("labkit.lab.running.connect", lambda _: None)
    monkeypatch.setattr(Lab, "status", lambda _: SimpleNamespace(state="incomplete"))
    monkeypatch.setattr(Lab, "_exclusive", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(Lab, "_up", lambda *given: given)
    monkeypatch.setattr("labkit.lab.lab.ensure_image", lambda _, name, __: name)
    lab = Lab("insecure")
    vars(lab)["_containers"] = {"worker1": SimpleNamespace(name="worker1")}
    made: Any = lab.up()
    assert made == (lab, "node", False)


@pytest.mark.parametrize(("status", "says"), [("paused", "is paused"), ("exited", "is stopped")])
def test_state_of_a_lab_with_a_machine_that_does_not_run_is_not_waited_for(
    status: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.lab.running.connect", lambda _: None)
    states = {"master": "running", "worker1": "running", "etcd2": status}
    found = [
        SimpleNamespace(labels={"labkit.node": name}, status=state)
        for name, state in states.items()
    ]
    monkeypatch.setattr("labkit.lab.lab.nodes.find_nodes", lambda *_: found)
    with pytest.raises(LabError, match=f"^etcd2 {says}") as refused:
        Lab("insecure").drift()
    assert refused.value.hint == "labkit reset --name default --mode insecure"
