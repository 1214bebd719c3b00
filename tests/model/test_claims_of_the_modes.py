"""Every claim of both modes, and the line it was read on: written by hand from environments/."""

from __future__ import annotations

import pytest

from labkit.cluster import read_environment
from labkit.model import PROPERTIES, VALUES, read_model
from labkit.model.credentials import client_credential

WORKERS = ("worker1", "worker2")
MEMBERS = ("etcd1", "etcd2", "etcd3")

# (value, file below environments/, line); line None: a default that is applied, with its text
Expected = tuple[str, str, int | str]


def insecure() -> dict[str, tuple[Expected, Expected, Expected, Expected]]:
    units = "insecure/master/etc/systemd/system"
    master = "insecure/master/etc/kubernetes"
    worker = "insecure/worker/etc/kubernetes"
    worker_units = "insecure/worker/etc/systemd/system"
    etcd = "insecure/etcd/etc/systemd/system/etcd.service"
    proxy = f"{units}/kubectl-proxy.service"
    api = f"{units}/kube-apiserver.service"
    kubelet = f"{worker}/kubelet.yaml"

    def through_proxy(kubeconfig: str, line: int = 7):
        return (
            ("none", proxy, 8),
            ("none", kubeconfig, line),
            ("none", proxy, 8),
            ("allow-all", proxy, 9),
        )

    secure = (
        ("tls1.2", api, "--tls-min-version absent"),
        ("unverified", f"{master}/admin.conf", 8),
        ("anonymous", api, 16),
        ("allow-all", f"{master}/abac.jsonl", 1),
    )
    table = {
        "kube-controller-manager@master -> kubectl-proxy@master:8080": through_proxy(
            f"{master}/controller-manager.conf"
        ),
        "kube-scheduler@master -> kubectl-proxy@master:8080": through_proxy(
            f"{master}/scheduler.conf"
        ),
        "kubectl/alice@master -> kubectl-proxy@master:8080": through_proxy(
            "insecure/master/home/alice/.kube/config"
        ),
        "anyone@network -> kubectl-proxy@master:8080": through_proxy(proxy, 8),
        "kubectl-proxy@master -> kube-apiserver@master:6443": secure,
        "kubectl/admin@master -> kube-apiserver@master:6443": secure,
    }
    for name in WORKERS:
        table |= {
            f"kubelet@{name} -> kubectl-proxy@master:8080": through_proxy(f"{worker}/kubelet.conf"),
            f"kube-proxy@{name} -> kubectl-proxy@master:8080": through_proxy(
                f"{worker}/kube-proxy.conf"
            ),
            f"kube-apiserver@master -> kubelet@{name}:10250": (
                ("tls1.2", kubelet, "tlsMinVersion absent"),
                ("unverified", api, "--kubelet-certificate-authority absent"),
                ("anonymous", kubelet, 4),
                ("allow-all", kubelet, 7),
            ),
            f"anyone@network -> kubelet@{name}:10255": (
                ("none", kubelet, 10),
                ("none", kubelet, 10),
                ("none", kubelet, 10),
                ("allow-all", kubelet, 10),
            ),
            f"local-users@{name} -> dockerd@{name}:/run/docker.sock": (
                ("local", f"{worker_units}/docker.socket", 5),
                ("local", f"{worker_units}/docker.socket", 5),
                ("none", f"{worker_units}/docker.socket", 6),
                ("allow-all", f"{worker_units}/docker.socket", 6),
            ),
            f"anyone@network -> dockerd@{name}:2375": (
                ("none", f"{worker_units}/docker.service", 11),
                ("none", f"{worker_units}/docker.service", 11),
                ("none", f"{worker_units}/docker.service", 11),
                ("allow-all", f"{worker_units}/docker.service", 11),
            ),
            f"kubelet@{name} -> containerd@{name}:/run/containerd/containerd.sock": containerd(
                kubelet, 11
            ),
        }
    for member in MEMBERS:
        for client, path, line in (
            ("kube-apiserver@master", api, 19),
            ("flanneld@worker1", f"{worker_units}/flanneld.service", 10),
            ("flanneld@worker2", f"{worker_units}/flanneld.service", 10),
        ):
            table[f"{client} -> etcd@{member}:2379"] = (
                ("none", etcd, 12),
                ("none", path, line),
                ("none", etcd, 12),
                ("allow-all", "insecure/etcd-auth.yaml", "etcd-auth.yaml absent"),
            )
        for other in MEMBERS:
            if other != member:
                table[f"etcd@{member} -> etcd@{other}:2380"] = (
                    ("none", etcd, 14),
                    ("none", etcd, 16),
                    ("none", etcd, 14),
                    ("allow-all", etcd, "--peer-cert-allowed-cn absent"),
                )
        table[f"anyone@network -> etcd@{member}:2378"] = (
            ("none", etcd, 12),
            ("none", etcd, 12),
            ("none", etcd, 12),
            ("allow-all", "insecure/etcd-auth.yaml", "etcd-auth.yaml absent"),
        )
    return table


def containerd(kubelet: str, line: int) -> tuple[Expected, Expected, Expected, Expected]:
    config = "common/worker/etc/containerd/config.toml"
    return (
        ("local", config, 4),
        ("local", kubelet, line),
        ("file-mode", config, "grpc.gid absent"),
        ("allow-all", config, "grpc.gid absent"),
    )


def hardened() -> dict[str, tuple[Expected, Expected, Expected, Expected]]:
    units = "hardened/master/etc/systemd/system"
    master = "hardened/master/etc/kubernetes"
    worker = "hardened/worker/etc/kubernetes"
    worker_units = "hardened/worker/etc/systemd/system"
    etcd = "hardened/etcd/etc/systemd/system/etcd.service"
    api = f"{units}/kube-apiserver.service"
    kubelet = f"{worker}/kubelet.yaml"

    def to_api(kubeconfig: str):
        return (
            ("tls1.3", api, 15),
            ("verified", kubeconfig, 8),
            ("required", api, 17),
            ("enforced", api, 18),
        )

    def shut(path: str, where: int | str):
        return (("closed", path, where),) * 4

    at_api = "kube-apiserver@master:6443"
    table = {
        f"kube-controller-manager@master -> {at_api}": to_api(f"{master}/controller-manager.conf"),
        f"kube-scheduler@master -> {at_api}": to_api(f"{master}/scheduler.conf"),
        f"kubectl/admin@master -> {at_api}": to_api(f"{master}/admin.conf"),
        f"kubectl/super-admin@master -> {at_api}": to_api(f"{master}/super-admin.conf"),
        "anyone@network -> kube-apiserver@master:8080": shut(api, "--insecure-port absent"),
    }
    for name in WORKERS:
        socket = f"{worker_units}/docker.socket"
        table |= {
            f"kubelet@{name} -> {at_api}": to_api(f"{worker}/kubelet.conf"),
            f"kube-proxy@{name} -> {at_api}": to_api(f"{worker}/kube-proxy.conf"),
            f"kube-apiserver@master -> kubelet@{name}:10250": (
                ("tls1.3", kubelet, 13),
                ("verified", api, 26),
                ("required", kubelet, 4),
                ("enforced", kubelet, 7),
            ),
            f"anyone@network -> kubelet@{name}:10255": shut(kubelet, 10),
            f"local-users@{name} -> dockerd@{name}:/run/docker.sock": (
                ("local", socket, 5),
                ("local", socket, 5),
                ("file-mode", socket, 6),
                ("allow-all", socket, 6),
            ),
            f"anyone@network -> dockerd@{name}:2375": shut(f"{worker_units}/docker.service", 11),
            f"docker@master -> dockerd@{name}:2376": (
                ("tls1.2", f"{worker_units}/docker.service", 12),
                ("verified", f"hardened/master/etc/docker/{name}.env", 3),
                ("required", f"{worker_units}/docker.service", 12),
                ("allow-all", f"{worker_units}/docker.service", 11),
            ),
            f"kubelet@{name} -> containerd@{name}:/run/containerd/containerd.sock": containerd(
                kubelet, 14
            ),
        }
    for member in MEMBERS:
        for client, path, line in (
            ("kube-apiserver@master", api, 22),
            ("flanneld@worker1", f"{worker_units}/flanneld.service", 11),
            ("flanneld@worker2", f"{worker_units}/flanneld.service", 11),
        ):
            table[f"{client} -> etcd@{member}:2379"] = (
                ("tls1.3", etcd, 24),
                ("verified", path, line),
                ("required", etcd, 13),
                ("enforced", "hardened/etcd-auth.yaml", 14),
            )
        for other in MEMBERS:
            if other != member:
                table[f"etcd@{member} -> etcd@{other}:2380"] = (
                    ("tls1.3", etcd, 24),
                    ("verified", etcd, 20),
                    ("required", etcd, 19),
                    ("enforced", etcd, 23),
                )
    return table


def minor(mode: str) -> dict[str, tuple[Expected, Expected, Expected, Expected]]:
    """Return the claims of the ports that no component calls."""
    units = f"{mode}/master/etc/systemd/system"
    worker = f"{mode}/worker/etc/kubernetes"
    metrics: Expected = ("closed", f"{worker}/kube-proxy.yaml", "metricsBindAddress absent")
    health: Expected = ("closed", f"{worker}/kubelet.yaml", "healthzBindAddress absent")
    table = {}
    for name, port in (("kube-controller-manager", 10257), ("kube-scheduler", 10259)):
        unit = f"{units}/{name}.service"
        closed: Expected = ("closed", unit, 9)
        table[f"anyone@network -> {name}@master:{port}"] = (closed,) * 4
        if mode == "insecure":
            table[f"anyone@network -> {name}@master:{port}"] = (
                ("tls1.2", unit, "--tls-min-version absent"),
                ("unverified", unit, "--tls-min-version absent"),
                ("none", unit, "--authentication-kubeconfig absent"),
                ("enforced", unit, "--authorization-always-allow-paths absent"),
            )
    for name in WORKERS:
        proxy = f"{worker}/kube-proxy.yaml"
        table[f"anyone@network -> kube-proxy@{name}:10249"] = (metrics,) * 4
        table[f"anyone@network -> kubelet@{name}:10248"] = (health,) * 4
        table[f"anyone@network -> kube-proxy@{name}:10256"] = (("closed", proxy, 6),) * 4
        if mode == "insecure":
            served: Expected = ("none", proxy, "healthzBindAddress absent")
            rights: Expected = ("allow-all", *served[1:])
            table[f"anyone@network -> kube-proxy@{name}:10256"] = (served, served, served, rights)
    return table


EXPECTED = {
    "insecure": insecure() | minor("insecure"),
    "hardened": hardened() | minor("hardened"),
}


@pytest.mark.parametrize("mode", EXPECTED)
def test_mode_has_exactly_the_expected_channels(mode):
    found = [channel.id for channel in read_model(mode).channels]
    assert sorted(found) == sorted(EXPECTED[mode])


@pytest.mark.parametrize("mode", EXPECTED)
def test_every_claim_has_its_value_and_its_line(mode):
    for channel in read_model(mode).channels:
        for name, (value, path, where) in zip(PROPERTIES, EXPECTED[mode][channel.id], strict=True):
            claim = getattr(channel, name)
            found = claim.source.text if claim.source.default else claim.source.line
            assert (claim.value, claim.source.path, found) == (value, path, where), (
                f"{channel.id} {name}: {claim}"
            )
            assert claim.source.default is isinstance(where, str)
            assert claim.value in VALUES[name]


@pytest.mark.parametrize("mode", EXPECTED)
def test_modes_have_no_unknowns(mode):
    assert read_environment(mode).unknowns == ()


CREDENTIALS = {
    "kube-scheduler@master -> kube-apiserver@master:6443": "system:kube-scheduler",
    "kube-controller-manager@master -> kube-apiserver@master:6443": (
        "system:kube-controller-manager"
    ),
    "kubelet@worker2 -> kube-apiserver@master:6443": "system:node:worker2",
    "kube-proxy@worker1 -> kube-apiserver@master:6443": "system:kube-proxy",
    "kubectl/admin@master -> kube-apiserver@master:6443": "kubernetes-admin",
    "kubectl/super-admin@master -> kube-apiserver@master:6443": "kubernetes-super-admin",
    "kube-apiserver@master -> kubelet@worker1:10250": "kube-apiserver-kubelet-client",
    "kube-apiserver@master -> etcd@etcd2:2379": "kube-apiserver",
    "etcd@etcd1 -> etcd@etcd3:2380": "etcd-peer",
    "flanneld@worker1 -> etcd@etcd1:2379": "flanneld-worker1",
    "docker@master -> dockerd@worker2:2376": "docker-client",
    "local-users@worker1 -> dockerd@worker1:/run/docker.sock": None,
    "anyone@network -> kubelet@worker1:10255": None,
}


def test_hardened_channels_use_the_expected_credentials():
    graph = read_model("hardened")
    by_id = {channel.id: channel for channel in graph.channels}
    for name, common_name in CREDENTIALS.items():
        found = client_credential(graph, by_id[name])
        assert (found and found.common_name) == common_name, name
    found = client_credential(graph, by_id["kubelet@worker2 -> kube-apiserver@master:6443"])
    assert found is not None
    assert (found.certificate, found.key) == (
        "/etc/kubernetes/pki/kubelet.crt",
        "/etc/kubernetes/pki/kubelet.key",
    )
    assert found.organizations == ("system:nodes",)


def test_plaintext_channel_carries_no_credential():
    graph = read_model("insecure")
    held = {c.credential for c in graph.channels if c.protocol == "http"}
    assert held == {None}


@pytest.mark.parametrize("mode", EXPECTED)
def test_graph_edges_equal_the_channels(mode):
    graph = read_model(mode).graph
    assert len(graph.edges) == len(read_model(mode).channels)
    for client, server, key, data in graph.edges(keys=True, data=True):
        channel = data["channel"]
        assert (client, server, key) == (channel.client, channel.server, channel.id)
        assert [data[name] for name in PROPERTIES] == [
            getattr(channel, name).value for name in PROPERTIES
        ]
        assert graph.nodes[client]["zone"] == channel.client_zone
        assert graph.nodes[server]["zone"] == channel.server_zone


def test_components_are_in_their_trust_zones():
    graph = read_model("insecure").graph
    zones = {name: graph.nodes[name]["zone"] for name in graph}
    assert zones["kube-apiserver@master"] == zones["etcd@etcd1"] == "master node"
    assert zones["kubelet@worker1"] == zones["local-users@worker1"] == "worker node"
    assert zones["anyone@network"] == "cluster network"
