"""Ports that serve everybody, on loopback: every user of the machine calls them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from labkit.analysis import attack_paths, find_threats
from labkit.cluster import read_cluster
from labkit.model import Model, read_model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
MANIFEST = "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"


def way(found: Model, start: str, goal: str) -> str:
    paths = attack_paths(found, start, goal)
    return "known" if paths.paths else "possible" if paths.possible else "none"


def apiserver(folder: Path, tag: str, *flags: str) -> Model:
    """Return the model of a cluster with a version of the apiserver and more flags."""
    shutil.copytree(KUBEADM, folder / "c")
    file = folder / "c" / MANIFEST
    text = re.sub(r"kube-apiserver:v[0-9.]+", f"kube-apiserver:{tag}", file.read_text())
    assert tag in text
    more = "".join(f"    - {flag}\n" for flag in flags)
    file.write_text(re.sub(r"(?m)^    - --authorization-mode", f"{more}\\g<0>", text))
    return read_model(read_cluster(folder / "c"))


@pytest.mark.parametrize(
    ("tag", "flags", "network", "user"),
    [
        ("v1.18.6", (), "none", "known"),
        ("v1.19.0", ("--insecure-bind-address=0.0.0.0",), "known", "known"),
        ("v1.18.6", ("--insecure-port=1", "--insecure-bind-address=10.0.0.10"), "known", "known"),
        ("v1.18.6", ("--insecure-port=0",), "none", "other"),
        ("v1.20.0", (), "none", "other"),
        ("v1.34.0", (), "none", "other"),
    ],
)
def test_insecure_port_was_open_by_default(
    tmp_path: Path, tag: str, flags: tuple[str, ...], network: str, user: str
) -> None:
    """pkg/kubeapiserver/options/serving.go of 1.19: port 8080 on 127.0.0.1 by default.

    Since 1.20 the apiserver starts with no other value than 0 (CHANGELOG-1.20), and 1.24 has no
    such flag (CHANGELOG-1.24).
    """
    found = apiserver(tmp_path, tag, *flags)
    assert way(found, "network", "admin") == network
    path = attack_paths(found, "user:cp1", "admin")
    assert any(it.name == "insecure-port" for some in path.paths for it in some) == (
        user == "known"
    )
    open_there = "caller-unauthenticated@kube-apiserver@cp1:" in str(
        [it.id for it in find_threats(found).open if ":6443" not in it.id]
    )
    assert open_there == (user == "known")


@pytest.mark.parametrize(
    ("name", "command", "goal", "value"),
    [
        # kubectl proxy asks nobody (https://kubernetes.io/docs/reference/kubectl/generated/), and
        # its kubeconfig was not copied
        ("kubectl-proxy", "kubectl proxy --kubeconfig=/root/a.conf", "admin", "possible"),
        # https://docs.docker.com/engine/security/protect-access/: no TLS, no callers are asked
        ("docker", "dockerd --host=tcp://127.0.0.1:2375", "node", "known"),
        ("docker", "dockerd --host=tcp://localhost:2375", "node", "known"),
    ],
)
def test_users_of_a_machine_call_its_loopback_ports(
    tmp_path: Path, name: str, command: str, goal: str, value: str
) -> None:
    shutil.copytree(KUBEADM, tmp_path / "c")
    unit = tmp_path / f"c/worker1/etc/systemd/system/{name}.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(f"[Service]\nExecStart=/usr/bin/{command}\n")
    (tmp_path / "c/worker1/etc/docker").mkdir(parents=True)
    (tmp_path / "c/worker1/etc/docker/daemon.json").write_text("{}\n")
    found = read_model(read_cluster(tmp_path / "c"))
    assert way(found, "user:worker1", goal) == value
    [local] = [it for it in found.channels if it.client == "local-users@worker1" and it.port]
    assert (local.open, local.client_authentication.value) == (True, "none")
    assert way(found, "network", goal) == "none"


POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: agent, namespace: shop}}
spec:
  nodeName: {node}
  hostNetwork: {shared}
  automountServiceAccountToken: false
  containers: [{{name: agent, image: agent}}]
"""
ETCD = "cp1/etc/kubernetes/manifests/etcd.yaml"


@pytest.mark.parametrize(
    ("node", "shared", "value"),
    [
        # a pod in the network of its node reaches the node's loopback
        ("cp1", "true", "known"),
        ("worker1", "true", "possible"),
        ("cp1", "false", "possible"),
    ],
)
@pytest.mark.parametrize("port", ["etcd", "apiserver", "without a kubelet"])
def test_pod_in_the_network_of_its_node_calls_the_ports_on_loopback(
    tmp_path: Path, node: str, shared: str, value: str, port: str
) -> None:
    """Kubernetes, Pod Security Standards and the Pod API: hostNetwork is the host's namespace.

    Not all pods are among the files, and kube-proxy has hostNetwork on every node: another pod may
    run there.
    """
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    (folder / "agent.yaml").write_text(POD.format(node=node, shared=shared))
    if port == "without a kubelet":
        shutil.rmtree(folder / "cp1/var")
    if port != "apiserver":
        text = (folder / ETCD).read_text()
        assert "https://127.0.0.1:2379" in text
        (folder / ETCD).write_text(text.replace("https://127.0.0.1:2379", "http://127.0.0.1:2379"))
    else:
        text = (folder / MANIFEST).read_text()
        text = re.sub(r"kube-apiserver:v[0-9.]+", "kube-apiserver:v1.18.6", text)
        (folder / MANIFEST).write_text(text)
    found = read_model(read_cluster(folder))
    assert way(found, "pod", "admin") == value
    assert way(found, "network", "admin") == "none"
    if value == "possible":
        paths = attack_paths(found, "pod", "admin").possible
        unknowns = [it.unknown for path in paths for it in path]
        assert "whether a pod with hostNetwork runs on cp1" in str(unknowns)


def test_machine_without_pods_has_none_on_its_loopback(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    shutil.copy(KUBEADM.parent / "all-pods.yaml", folder)
    unit = folder / "store/etc/systemd/system/etcd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(
        "[Service]\nExecStart=/usr/bin/etcd --listen-client-urls=http://127.0.0.1:2379\n"
    )
    found = read_model(read_cluster(folder))
    assert way(found, "user:store", "admin") == "known"
    assert way(found, "pod", "admin") == "none"
