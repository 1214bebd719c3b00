"""What a lab would not start with is refused; in other people's files it is unknown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.cluster import read_cluster, read_dump, read_environment
from labkit.cluster.startable import obstacles
from labkit.errors import ConfigError
from labkit.model import read_model
from labkit.resources import environments_dir

API = "hardened/master/etc/systemd/system/kube-apiserver.service"
ETCD = "hardened/etcd/etc/systemd/system/etcd.service"
KUBELET = "hardened/worker/etc/kubernetes/kubelet.yaml"
PKI = "hardened/pki.yaml"
RBAC = "hardened/manifests/rbac.yaml"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (
            API,
            "--anonymous-auth=false",
            "--anonymous-auth=maybe",
            r"service:\d+: .*'maybe' is not one",
        ),
        (API, "--anonymous-auth=false", "--anonymous-auth=off", r"service:\d+: .*'off' is not one"),
        (API, "--anonymous-auth=false", "--anonymous-auth=", r"service:\d+: .*'' is not one"),
        (API, "--profiling=false", "--profiling=no", r"service:\d+: .*'no' is not one"),
        (
            API,
            "--authorization-mode=",
            "--authorization-mode=ABACC,",
            r"'ABACC.* is not one of ABAC",
        ),
        (API, "VersionTLS13", "TLS13", r"service:\d+: .*'TLS13' is not one of VersionTLS10"),
        (API, "https://etcd1:2379", "https://etcd.example.com:2379", r"etcd\.example\.com is no"),
        (API, "https://etcd1:2379", "https://8.8.8.8:2379", r"8\.8\.8\.8 is no machine"),
        (API, "ExecStart=", "ExecReload=", "has no ExecStart=: systemd refuses it"),
        (ETCD, "--client-cert-auth=true", "--client-cert-auth=yes", r"'yes' is not one of true"),
        (KUBELET, "mode: Webhook", "mode: Webhok", r"kubelet\.yaml:\d+: .*'Webhok' is not one"),
        (KUBELET, "enabled: false", "enabled: maybe", r"kubelet\.yaml:\d+: .*'maybe' is not one"),
        (KUBELET, "port: 10250", "port: 102500", r"kubelet\.yaml:\d+: not a port"),
        (PKI, "usages: [client]", "usages: [clint]", r"pki\.yaml:\d+: no usage 'clint'"),
        (PKI, "/etc/kubernetes/pki/ca.crt", "/etc/../../x", r"pki\.yaml:\d+: .*without '\.\.'"),
        (PKI, "/etc/kubernetes/pki/ca.crt", "ca.crt", r"pki\.yaml:\d+: .*not a full path"),
        (PKI, "${NODE}", "${NOD}", r"pki\.yaml:\d+: .* has an unknown variable"),
        (PKI, "roles: [master, worker]", "roles: [boss]", r"pki\.yaml:\d+: no role 'boss'"),
        (RBAC, "kind: ClusterRoleBinding", "kind: [a]", r"rbac\.yaml:\d+: kind must be"),
        (RBAC, "apiVersion:", "apiVersio:", r"rbac\.yaml:\d*:? ?apiVersion must be given"),
        ("topology.yaml", "  master: {role: master, host: 10}\n", "", "master is no machine of"),
        ("topology.yaml", "  etcd1: {role: etcd, host: 11}\n", "", "etcd1 is no machine of"),
        ("topology.yaml", "namespace: shop", "namespace: Shop_", "cannot name a Secret"),
    ],
)
def test_value_that_a_lab_would_not_start_with_is_refused(
    modes: Path, path: str, old: str, new: str, said: str
) -> None:
    change(modes / path, old, new)
    with pytest.raises(ConfigError, match=said) as caught:
        read_environment(modes / "hardened")
    assert caught.value.hint


@pytest.mark.parametrize("value", ["true", "1", "F", "False", "t"])
def test_booleans_of_go_are_read(modes: Path, value: str) -> None:
    change(modes / API, "--anonymous-auth=false", f"--anonymous-auth={value}")
    api = read_environment(modes / "hardened").component("kube-apiserver@master")
    assert api.setting("anonymous-auth").value == value


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("topology.yaml", ", host: 12", "", "no host number in the topology: etcd2"),
        ("hardened/environment.yaml", "bootstrap_kubeconfig: ", "bootstrap_kubeconfig: /x", "/x"),
    ],
)
def test_environment_that_lacks_something_is_read_but_is_no_lab(
    modes: Path, path: str, old: str, new: str, said: str
) -> None:
    change(modes / path, old, new)
    env = read_environment(modes / "hardened")
    assert said in obstacles(env)[0].text
    assert set(obstacles(env)) <= set(env.unknowns)


def test_topology_without_a_component_is_no_lab(modes: Path) -> None:
    for name in ("etcd", "master", "worker"):
        shutil.rmtree(modes / "hardened" / name)
    shutil.rmtree(modes / "hardened/manifests")
    (modes / "hardened/pki.yaml").unlink()
    (modes / "topology.yaml").write_text("roles: {etcd: {}}\nnodes: {a: {role: etcd, host: 9}}\n")
    found = [item.text for item in obstacles(read_environment(modes / "hardened"))]
    assert "no machine of the role master in the topology" in found
    assert "no etcd on a machine of the role etcd" in found


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return files of an apiserver's machine, as a user would copy them."""
    folder = tmp_path / "copied"
    shutil.copytree(environments_dir() / "hardened/master", folder / "master")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("--anonymous-auth=false", "--anonymous-auth=maybe", "client_authentication"),
        ("--authorization-mode=", "--authorization-mode=ABACC,", "authorization"),
        ("VersionTLS13", "TLS13", "encryption"),
    ],
)
def test_malformed_value_of_a_copied_cluster_is_unknown_not_a_default(
    copied: Path, old: str, new: str, part: str
) -> None:
    change(copied / "master/etc/systemd/system/kube-apiserver.service", old, new)
    env = read_cluster(copied)
    assert any("is not one of" in item.why and item.line for item in env.unknowns)
    channels = read_model(env).open_channels("* -> kube-apiserver@master:6443")
    assert channels
    assert {getattr(channel, part).value for channel in channels} == {"unknown"}


def test_unit_without_a_command_of_a_copied_cluster_is_an_unknown(copied: Path) -> None:
    unit = "master/etc/systemd/system/kube-apiserver.service"
    change(copied / unit, "ExecStart=", "ExecReload=")
    assert any("has no ExecStart=" in it.why for it in read_cluster(copied).unknowns)


def test_odd_anonymous_auth_in_a_dump_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "pods.json").write_text(
        '{"kind": "Pod", "metadata": {"name": "kube-apiserver-a", "namespace": "kube-system",'
        ' "uid": "1"}, "spec": {"containers": [{"command": ["kube-apiserver",'
        ' "--authorization-mode=RBAC", "--anonymous-auth=maybe"]}]}}'
    )
    dump = read_dump(tmp_path)
    assert dump.anonymous is None
    assert any(item.text.endswith("--anonymous-auth=maybe") for item in dump.unknowns)
