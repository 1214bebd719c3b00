"""The environments with an OpenID provider: what they add, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from labkit.cluster import read_environment
from labkit.cluster.certificates import read_pki
from labkit.errors import ConfigError
from labkit.lab.files import machine_files
from labkit.resources import environments_dir

MODES = ("insecure", "hardened")
UNIT = "/etc/systemd/system/kube-apiserver.service"


@pytest.mark.parametrize("mode", MODES)
def test_profile_adds_a_machine_and_changes_the_apiserver_alone(mode: str) -> None:
    plain, more = read_environment(f"light-{mode}"), read_environment(f"oidc-{mode}")
    assert more.unknowns == ()
    assert [it.name for it in more.nodes] == [*(it.name for it in plain.nodes), "idp"]
    assert (plain.bootstrap_kubeconfig, plain.secrets) == (more.bootstrap_kubeconfig, more.secrets)
    for node in plain.nodes:
        before, after = node.files, more.node(node.name).files
        assert set(before) <= set(after)
        changed = {it for it in before if before[it].read_bytes() != after[it].read_bytes()}
        assert changed == ({UNIT} if node.name == "master" else set())
    lines = more.node("master").files[UNIT].read_text().splitlines()
    added = [it for it in lines if "oidc-" in it or "authentication-config" in it]
    assert added
    # a change of the mode's unit belongs here as well
    assert [it for it in lines if it not in added] == (
        plain.node("master").files[UNIT].read_text().splitlines()
    )


@pytest.mark.parametrize("mode", MODES)
def test_every_lab_has_keys_and_passwords_of_its_own(mode: str) -> None:
    env = read_environment(f"oidc-{mode}")
    addresses = {node.name: "10.160.0.9" for node in env.nodes}
    seen: set[str] = set()
    for _ in range(2):
        files = {it.path: it for it in machine_files(env, addresses)["idp"]}
        listed = json.loads(files["/etc/canaille/directory.json"].data)
        passwords = {it["password"] for it in listed["user"]}
        assert len(passwords) == len(listed["user"])
        key = json.loads(files["/etc/canaille/secrets/CANAILLE_OIDC"].data)["ACTIVE_JWKS"]
        assert key == [files["/etc/canaille/pki/signing.key"].data.decode()]
        secret = files["/etc/canaille/secrets/SECRET_KEY"].data.decode()
        found = {*passwords, *key, secret}
        assert not seen & found
        assert not any("${" in it for it in found)
        seen |= found


def test_certificate_of_the_provider_is_in_the_apiservers_file() -> None:
    env = read_environment("oidc-hardened")
    files = {
        it.path: it
        for it in machine_files(env, {node.name: "10.160.0.9" for node in env.nodes})["master"]
    }
    read = yaml.safe_load(files["/etc/kubernetes/authentication.yaml"].data)
    authority = read["jwt"][0]["issuer"]["certificateAuthority"]
    assert authority == files["/etc/kubernetes/pki/oidc-ca.crt"].data.decode()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("common", "insecure", "oidc", "oidc-insecure"):
        shutil.copytree(environments_dir() / name, tmp_path / name)
    for name in ("topology.yaml", "light-topology.yaml", "oidc-topology.yaml"):
        shutil.copy(environments_dir() / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("idp:", "master:", "master is a machine of the other topology"),
        ("idp:", "etcd2:", "etcd2 is a machine of the other topology"),
        ("provider: {zone", "worker: {zone", "worker is a role of the other topology"),
        ("host: 31", "host: 10", "idp and master both have host 10"),
        ("role: provider", "role: providers", "unknown role 'providers' of node idp"),
    ],
)
def test_broken_larger_topology_is_refused(copied: Path, old: str, new: str, message: str) -> None:
    file = copied / "oidc-topology.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_environment(copied / "oidc-insecure")


def test_plan_of_keys_adds_to_the_first_one(copied: Path) -> None:
    read = read_environment(copied / "oidc-insecure").pki
    assert [it.name for it in read.authorities][-1] == "oidc-ca"
    own = copied / "oidc/pki.d/oidc.yaml"
    own.write_text(own.read_text().replace("signed_by: oidc-ca", "signed_by: cluster-ca"))
    read = read_environment(copied / "oidc-insecure").pki
    assert read.certificates[-1].signed_by == "cluster-ca"
    own.write_text(own.read_text().replace("name: oidc-ca", "name: cluster-ca"))
    with pytest.raises(ConfigError, match=r"oidc\.yaml:3: .*'cluster-ca' is an entry of .*pki"):
        read_environment(copied / "oidc-insecure")


def test_plan_of_keys_may_stand_alone() -> None:
    text = (environments_dir() / "oidc/pki.d/oidc.yaml").read_text()
    assert [it.name for it in read_pki(text, "oidc.yaml").key_pairs] == ["oidc-signing"]
