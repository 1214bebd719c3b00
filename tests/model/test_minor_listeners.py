"""Listeners that no component calls: of the controllers, kube-proxy, kubelets and etcd's members.

Ports and defaults are those of Kubernetes' reference of flags and of configuration, and "Ports and
Protocols"; who is let in by an always allowed path is in apiserver/pkg/server/options.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from labkit.analysis import attack_paths, find_threats
from labkit.cluster import read_cluster, read_environment
from labkit.cluster.edits import Whole
from labkit.model import Channel, Model, read_model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
MANIFESTS = "cp1/etc/kubernetes/manifests"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(KUBEADM, tmp_path / "c")
    return tmp_path / "c"


def flags(folder: Path, component: str, *given: str) -> None:
    file = folder / f"{MANIFESTS}/{component}.yaml"
    text = file.read_text()
    for flag in given:
        name = flag.partition("=")[0]
        text = re.sub(rf"\n    - {name}=\S*", "", text)
        text = text.replace(f"    - {component}\n", f"    - {component}\n    - {flag}\n", 1)
        assert flag in text
    file.write_text(text)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def channel(folder: Path, end: str) -> Channel:
    found = [it for it in read_model(read_cluster(folder)).channels if it.id.endswith(end)]
    assert len(found) == 1, [it.id for it in found]
    return found[0]


def states(found: Model, end: str) -> dict[str, str]:
    return {it.rule: it.state for it in find_threats(found) if it.id.endswith(end)}


CONTROLLERS = [("kube-controller-manager", 10257), ("kube-scheduler", 10259)]


@pytest.mark.parametrize(("component", "port"), CONTROLLERS)
@pytest.mark.parametrize(
    ("given", "authorization"),
    [
        (["--bind-address=0.0.0.0"], "enforced"),
        (["--bind-address=::"], "enforced"),
        (["--bind-address=192.168.56.10"], "enforced"),
        (["--bind-address=0.0.0.0", "--authorization-always-allow-paths=/*"], "allow-all"),
        (["--bind-address=0.0.0.0", "--authorization-always-allow-paths=/metrics*"], "allow-all"),
        (["--bind-address=0.0.0.0", "--authorization-always-allow-paths=/healthz"], "enforced"),
        (["--bind-address=0.0.0.0", "--authorization-always-allow-paths=/livez*"], "enforced"),
    ],
)
def test_controllers_listen(
    folder: Path, component: str, port: int, given: list[str], authorization: str
) -> None:
    flags(folder, component, *given)
    found = channel(folder, f"{component}@cp1:{port}")
    assert found.open
    assert (found.client, found.protocol) == ("anyone@network", "https")
    assert found.client_authentication.value == "anonymous"
    assert found.authorization.value == authorization
    open_ = states(read_model(read_cluster(folder)), f"{component}@cp1:{port}")
    assert open_["caller-unauthenticated"] == "open"
    assert (open_["caller-unrestricted"] == "open") is (authorization == "allow-all")


@pytest.mark.parametrize(("component", "port"), CONTROLLERS)
@pytest.mark.parametrize(
    "flag", ["--bind-address=127.0.0.1", "--bind-address=::1", "--secure-port=0"]
)
def test_controllers_on_loopback_are_closed(
    folder: Path, component: str, port: int, flag: str
) -> None:
    flags(folder, component, flag)
    assert not channel(folder, f"{component}@cp1:{port}").open


def test_controllers_without_whom_to_ask_authenticate_nobody(folder: Path) -> None:
    file = folder / f"{MANIFESTS}/kube-scheduler.yaml"
    kept = [it for it in file.read_text().splitlines() if "--authentication-kubeconfig" not in it]
    file.write_text("\n".join(kept))
    flags(folder, "kube-scheduler", "--bind-address=0.0.0.0")
    assert channel(folder, "kube-scheduler@cp1:10259").client_authentication.value == "none"


def proxy(folder: Path, **keys: object) -> None:
    """Write the ConfigMap of kubeadm's kube-proxy."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **keys,
    }
    item = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
        "data": {"config.conf": yaml.safe_dump(config)},
    }
    for file in folder.glob("*.yaml"):
        if "kube-proxy" in file.read_text():
            file.unlink()
    (folder / "proxy.yaml").write_text(yaml.safe_dump(item))


@pytest.mark.parametrize(
    ("address", "port", "is_open"),
    [
        ("0.0.0.0:10249", 10249, True),
        ("[::]:10249", 10249, True),
        ("192.168.56.10:9999", 9999, True),
        ("0.0.0.0", 10249, True),
        ("::", 10249, True),
        ("127.0.0.1:10249", 10249, False),
        ("[::1]:10249", 10249, False),
        ("", 10249, False),
    ],
)
def test_metrics_of_kube_proxy(folder: Path, address: str, port: int, is_open: bool) -> None:
    proxy(folder, metricsBindAddress=address)
    found = channel(folder, f"kube-proxy@worker1:{port}")
    assert found.open is is_open
    if is_open:
        assert (found.protocol, found.encryption.value) == ("http", "none")
        assert found.client_authentication.value == "none"
        open_ = states(read_model(read_cluster(folder)), f"kube-proxy@worker1:{port}")
        assert open_["caller-unauthenticated"] == "open"


@pytest.mark.parametrize("address", ["worker1:metrics", "[::", "1.2.3.4:99999"])
def test_a_malformed_address_is_an_unknown(folder: Path, address: str) -> None:
    proxy(folder, metricsBindAddress=address)
    env = read_cluster(folder)
    assert [it for it in env.unknowns if address in str(it)]


def test_health_is_for_everybody(folder: Path) -> None:
    proxy(folder)
    assert channel(folder, "kube-proxy@worker1:10256").open
    of_health = states(read_model(read_cluster(folder)), "kube-proxy@worker1:10256")
    assert set(of_health.values()) == {"residual"}


@pytest.mark.parametrize(
    ("keys", "port", "is_open"),
    [
        ({}, 10248, False),
        ({"healthzBindAddress": "0.0.0.0"}, 10248, True),
        ({"healthzBindAddress": "::"}, 10248, True),
        ({"healthzBindAddress": "0.0.0.0", "healthzPort": 9999}, 9999, True),
        ({"healthzBindAddress": "0.0.0.0", "healthzPort": 0}, 10248, False),
    ],
)
def test_health_of_the_kubelet(
    folder: Path, keys: dict[str, object], port: int, is_open: bool
) -> None:
    file = folder / "worker1/var/lib/kubelet/config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **keys}))
    assert channel(folder, f"kubelet@worker1:{port}").open is is_open


def test_the_port_for_members_of_a_single_etcd_is_a_listener(folder: Path) -> None:
    file = folder / f"{MANIFESTS}/etcd.yaml"
    kept = [it for it in file.read_text().splitlines() if "--peer-" not in it]
    text = re.sub(
        r"--listen-peer-urls=\S*", "--listen-peer-urls=http://0.0.0.0:2380", "\n".join(kept)
    )
    file.write_text(text)
    found = channel(folder, "etcd@cp1:2380")
    assert found.open
    assert (found.protocol, found.client_authentication.value) == ("http", "none")
    model = read_model(read_cluster(folder))
    open_ = states(model, "etcd@cp1:2380")
    assert {open_["caller-unauthenticated"], open_["plaintext"]} == {"open"}
    # who speaks raft to it needs its client port to become a member
    assert not attack_paths(model, "network", "admin").paths


@pytest.mark.parametrize(
    ("suites", "minimum", "expected"),
    [
        ("TLS_RSA_WITH_RC4_128_SHA", "VersionTLS12", "weak"),
        ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "VersionTLS10", "weak"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "VersionTLS12", "weak"),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_RC4_128_SHA", "VersionTLS12", "weak"),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "VersionTLS12", "sound"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "VersionTLS12", "sound"),
        # TLS 1.3 has suites of its own
        ("TLS_RSA_WITH_RC4_128_SHA", "VersionTLS13", "sound"),
    ],
)
@pytest.mark.parametrize("component", ["kube-apiserver", "kube-scheduler"])
def test_cipher_suites(
    folder: Path, component: str, suites: str, minimum: str, expected: str
) -> None:
    flags(folder, component, f"--tls-cipher-suites={suites}", f"--tls-min-version={minimum}")
    model = read_model(read_cluster(folder))
    claim = model.component(f"{component}@cp1").claim("cipher suites")
    assert claim is not None
    assert claim.value == expected
    state = states(model, f"{component}@cp1")["weak-cipher-suites"]
    assert state == ("open" if expected == "weak" else "mitigated")


OLD, NEW = "[grpc]\n", '[plugins."io.containerd.server.v1.grpc-tcp"]\n'


def containerd(folder: Path, text: str) -> None:
    write(folder / "worker1/etc/containerd/config.toml", text)
    unit = "[Service]\nExecStart=/usr/bin/containerd\n"
    write(folder / "worker1/etc/systemd/system/containerd.service", unit)


@pytest.mark.parametrize(
    ("text", "encryption", "clients", "answer"),
    [
        # containerd-config.toml(5), and cmd/containerd/server: a CA asks for client certificates
        (f'{OLD}tcp_address = "0.0.0.0:1234"\n', "none", "none", "known"),
        (f'{NEW}address = ":1234"\n', "none", "none", "known"),
        (
            f'{OLD}tcp_address = "[::]:1234"\ntcp_tls_cert = "/c"\ntcp_tls_key = "/k"\n',
            "tls1.2",
            "none",
            "known",
        ),
        (
            f'{NEW}address = "0.0.0.0:1234"\ntls_cert = "/c"\ntls_key = "/k"\ntls_ca = "/a"\n',
            "tls1.2",
            "required",
            "closed",
        ),
        (f'{NEW}address = "127.0.0.1:1234"\n', "closed", "closed", "closed"),
    ],
)
def test_port_of_containerd(
    folder: Path, text: str, encryption: str, clients: str, answer: str
) -> None:
    containerd(folder, text)
    found = channel(folder, "anyone@network -> containerd@worker1:1234")
    assert (found.encryption.value, found.client_authentication.value) == (encryption, clients)
    paths = attack_paths(read_model(read_cluster(folder)), "network", "node")
    assert bool(paths.paths) == (answer == "known")


@pytest.mark.parametrize("text", ["", OLD, NEW, f'{OLD}tcp_address = ""\n'])
def test_containerd_without_a_port(folder: Path, text: str) -> None:
    containerd(folder, text)
    found = read_model(read_cluster(folder))
    assert not [it.id for it in found.channels if "containerd@worker1:1" in it.id]


IMPORTS = 'version = 2\nimports = ["{}"]\n'


@pytest.mark.parametrize(
    ("config", "more", "answer"),
    [
        # containerd-config.toml(5): imports, "a list of additional configuration files"
        (IMPORTS.format("/etc/containerd/conf.d/*.toml"), None, "possible"),
        (IMPORTS.format("conf.d/*.toml"), None, "possible"),
        (IMPORTS.format("/etc/containerd/more.toml"), None, "possible"),
        (IMPORTS.format("/etc/containerd/conf.d/*.toml"), "", "none"),
        (IMPORTS.format("conf.d/*.toml"), f'{OLD}tcp_address = "0.0.0.0:1234"\n', "known"),
        (IMPORTS.format("/etc/containerd/*.toml"), None, "none"),
        (f'{OLD}tcp_address = ""\n', None, "none"),
        # the file was not copied
        (None, None, "possible"),
    ],
)
def test_port_of_containerd_in_a_file_that_was_not_read_is_unknown(
    folder: Path, config: str | None, more: str | None, answer: str
) -> None:
    containerd(folder, config or "")
    if config is None:
        shutil.rmtree(folder / "worker1/etc/containerd")
    if more is not None:
        write(folder / "worker1/etc/containerd/conf.d/10-port.toml", more)
    found = attack_paths(read_model(read_cluster(folder)), "network", "root:worker1")
    ways = [it for path in (*found.paths, *found.possible) for it in path if "port" in it.name]
    said = "known" if found.paths else "possible" if ways else "none"
    assert said == answer


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ('[metrics]\naddress = "0.0.0.0:1338"\n', 1338),
        ('[debug]\naddress = "0.0.0.0:6060"\n', 6060),
        ('[debug]\naddress = "/run/containerd/debug.sock"\n', None),
    ],
)
def test_containerd_serves_metrics_and_profiles_to_everybody(
    folder: Path, text: str, port: int | None
) -> None:
    """containerd-config.toml(5), [debug] and [metrics]; cmd/containerd/command/main.go."""
    containerd(folder, text)
    found = [
        it
        for it in read_model(read_cluster(folder)).channels
        if it.server == "containerd@worker1" and it.protocol == "http"
    ]
    assert [it.port for it in found] == ([port] if port else [])
    assert not attack_paths(read_model(read_cluster(folder)), "network", "root:worker1").paths


@pytest.mark.parametrize("table", ["grpc", "debug", "metrics"])
def test_malformed_address_of_containerd_is_an_unknown(folder: Path, table: str) -> None:
    key = "tcp_address" if table == "grpc" else "address"
    containerd(folder, f'[{table}]\n{key} = "10.0.0.1"\n')
    env = read_cluster(folder)
    assert [it for it in env.unknowns if "10.0.0.1" in it.text + it.why]
    found = attack_paths(read_model(env), "network", "root:worker1")
    assert not found.paths
    assert found.possible or table != "grpc"


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ("listen-client-urls=https://127.0.0.1:2379,unix:///run/etcd.sock", "/run/etcd.sock"),
        ("listen-client-urls=https://127.0.0.1:2379,unixs:///run/etcd.sock", "/run/etcd.sock"),
        # host and path together are the name, in the working directory (server/embed/etcd.go)
        ("listen-client-urls=https://127.0.0.1:2379,unix://run/etcd.sock", "/run/etcd.sock"),
        ("listen-client-urls=https://127.0.0.1:2379,unix://localhost:2377", "/localhost:2377"),
        ("listen-peer-urls=https://127.0.0.1:2380,unix:///run/etcd.sock", "/run/etcd.sock"),
        ("listen-metrics-urls=unix:///run/etcd.sock", "/run/etcd.sock"),
    ],
)
def test_unix_socket_of_etcd_is_a_listener(folder: Path, flag: str, path: str) -> None:
    """Who connects needs the right to write (unix(7)), which the umask leaves to the owner."""
    flags(folder, "etcd", f"--{flag}")
    model = read_model(read_cluster(folder))
    found = [it for it in model.channels if it.path == path and it.server.startswith("etcd@")]
    assert {it.protocol for it in found} == {"unix"}
    assert {it.client_authentication.value for it in found} == {"file-mode"}
    assert all(it.open for it in found)


@pytest.mark.parametrize(("umask", "value"), [("", "file-mode"), ("UMask=0000\n", "unknown")])
def test_umask_of_a_unit_decides_who_connects_to_the_socket_of_etcd(umask: str, value: str) -> None:
    """With 0000 everybody does (systemd.exec, "UMask"): labkit does not reckon with it."""
    path = "/etc/systemd/system/etcd.service"
    text = read_environment("insecure").node("etcd1").files[path].read_text()
    text = text.replace("http://0.0.0.0:2378", "unix:///run/etcd.sock")
    text = text.replace("[Service]\n", f"[Service]\n{umask}")
    model = read_model(read_environment("insecure", [Whole("etcd", path, text)]))
    found = [it for it in model.channels if it.path == "/run/etcd.sock"]
    assert {it.client_authentication.value for it in found} == {value}
