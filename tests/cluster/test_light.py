"""Environments that leave machines of another's topology out: the light labs."""

from __future__ import annotations

import shutil

import pytest

from labkit.cluster import read_environment
from labkit.cluster.left_out import forget_machines
from labkit.errors import ConfigError
from labkit.lab.origin import origin
from labkit.resources import environments_dir

MODES = ("insecure", "hardened")
LEFT_OUT = {"etcd2", "etcd3", "worker2"}
UNITS = "/etc/systemd/system/"
#: The files that name a machine that is left out, and what they say without it; {} is the scheme.
FEWER = {
    ("etcd1", f"{UNITS}etcd.service"): "  --initial-cluster=etcd1={}://etcd1:2380 \\",
    ("etcd1", "/etc/etcd/etcdctl.env"): "ETCDCTL_ENDPOINTS={}://etcd1:2379",
    ("master", f"{UNITS}kube-apiserver.service"): "  --etcd-servers={}://etcd1:2379 \\",
    ("worker1", f"{UNITS}flanneld.service"): "  --etcd-endpoints={}://etcd1:2379 \\",
}


@pytest.fixture
def light(modes):
    """Return a copy of all environments that a test may break."""
    for mode in MODES:
        shutil.copytree(environments_dir() / f"light-{mode}", modes / f"light-{mode}")
    shutil.copy(environments_dir() / "light-topology.yaml", modes)
    return modes


@pytest.mark.parametrize("mode", MODES)
def test_light_environment_differs_in_its_topology_alone(mode):
    full, light = read_environment(mode), read_environment(f"light-{mode}")
    assert {it.name for it in full.nodes} - {it.name for it in light.nodes} == LEFT_OUT
    assert {it.name for it in light.nodes} <= {it.name for it in full.nodes}
    assert light.unknowns == ()
    assert (light.bootstrap_kubeconfig, light.secrets, light.pki) == (
        full.bootstrap_kubeconfig,
        full.secrets,
        full.pki,
    )
    changed = {}
    for node in light.nodes:
        before = full.node(node.name).files
        gone = {path for path in before if path not in node.files}
        assert gone == {path for path in before if path.endswith("/worker2.env")}
        for path, file in node.files.items():
            old, new = before[path].read_text().splitlines(), file.read_text().splitlines()
            assert len(old) == len(new), "a line's number is where a claim is read"
            lines = [line for line, was in zip(new, old, strict=True) if line != was]
            if lines:
                [changed[node.name, path]] = lines
    scheme = "http" if mode == "insecure" else "https"
    assert changed == {place: line.format(scheme) for place, line in FEWER.items()}


@pytest.mark.parametrize("mode", MODES)
def test_pods_of_a_machine_that_is_left_out_run_on_another(mode):
    objects = read_environment(f"light-{mode}").objects
    pods = [it for it in objects if it.get("kind") == "Pod"]
    names = {it.get("metadata", "name") for it in pods}
    assert {"web", "card-processor", "collector"} <= names
    assert {it.get("spec", "nodeName") for it in pods} == {"worker1"}


@pytest.mark.parametrize("mode", MODES)
def test_light_and_full_labs_are_made_from_different_files(mode):
    full, light = read_environment(mode), read_environment(f"light-{mode}")
    assert full.name != light.name
    assert origin(full)["files"] != origin(light)["files"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--x=http://a:1,http://b:1,http://c:1 \\", "--x=http://a:1 \\"),
        ("--x=http://b:1,http://a:1", "--x=http://a:1"),
        ("--x=a=http://a:1,b=http://b:1", "--x=a=http://a:1"),
        ("--x a=http://a:1,b=http://b:1", "--x a=http://a:1"),
        ("URLS=http://a:1,http://b:1", "URLS=http://a:1"),
        # alone it is not removed: a flag without a value is another mistake
        ("--x=http://b:1", "--x=http://b:1"),
        ("--x=http://b:1,http://c:1", "--x=http://b:1,http://c:1"),
        # other names, in which it is a part
        ("--x=http://ab:1,http://b2:1,http://b-x:1", "--x=http://ab:1,http://b2:1,http://b-x:1"),
        ("  nodeName: b\n", "  nodeName: a\n"),
        ("  nodeName: bb\n", "  nodeName: bb\n"),
        ("  nodeName: c\n", "  nodeName: c\n"),
        ("# of a, b and c", "# of a, b and c"),
    ],
)
def test_values_that_name_a_machine_go(text, expected):
    assert forget_machines(text, {"b": "a", "c": ""}) == expected


def test_server_that_is_left_out_and_stands_alone_is_refused(light):
    file = light / "insecure/worker/etc/systemd/system/flanneld.service"
    text = file.read_text()
    servers = "http://etcd1:2379,http://etcd2:2379,http://etcd3:2379"
    assert servers in text
    file.write_text(text.replace(servers, "http://etcd2:2379"))
    assert read_environment(light / "insecure")
    with pytest.raises(ConfigError, match="etcd2 is no machine of the topology"):
        read_environment(light / "light-insecure")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("worker2", "worker3", r"light-topology\.yaml:5: .*no machine 'worker3' to leave out"),
        (
            "etcd2, etcd3, worker2",
            "etcd1, etcd2, etcd3, master, worker1, worker2, attacker",
            "it leaves no machine",
        ),
        ("extends: topology.yaml", "extends: none.yaml", r"none\.yaml: cannot be read"),
        ("extends: topology.yaml", "extends: light-topology.yaml", "extends itself"),
        ("extends: topology.yaml", "extends: ../../topology.yaml", "topology.yaml"),
    ],
)
def test_broken_smaller_topology_is_refused(light, old, new, message):
    file = light / "light-topology.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_environment(light / "light-insecure")


def test_unknown_key_of_a_smaller_topology_is_said(light):
    with (light / "light-topology.yaml").open("a") as file:
        file.write("secrets: []\n")
    [unknown] = read_environment(light / "light-insecure").unknowns
    assert (unknown.text, unknown.line) == ("secrets", 6)


def test_keys_that_an_environment_does_not_give_are_those_that_it_extends(light):
    own = light / "light-insecure/environment.yaml"
    own.write_text("name: x\nextends: [../insecure]\n")
    env = read_environment(light / "light-insecure")
    assert env.bootstrap_kubeconfig == "/etc/kubernetes/admin.conf"
    assert len(env.nodes) == 7
    with own.open("a") as file:
        file.write("bootstrap_kubeconfig: /etc/kubernetes/scheduler.conf\n")
    env = read_environment(light / "light-insecure")
    assert env.bootstrap_kubeconfig == "/etc/kubernetes/scheduler.conf"
