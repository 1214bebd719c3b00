"""One setting flipped at a time: the claim must follow, and nothing else be assumed."""

from __future__ import annotations

import pytest

from labkit.errors import ConfigError
from labkit.model import read_model

API_UNIT = "master/etc/systemd/system/kube-apiserver.service"
ETCD_UNIT = "etcd/etc/systemd/system/etcd.service"
KUBELET = "worker/etc/kubernetes/kubelet.yaml"
SOCKET = "worker/etc/systemd/system/docker.socket"
DOCKER = "worker/etc/systemd/system/docker.service"
PROXY = "master/etc/systemd/system/kubectl-proxy.service"
ABAC = "master/etc/kubernetes/abac.jsonl"
RBAC = "manifests/rbac.yaml"
SCHEDULER = "master/etc/kubernetes/scheduler.conf"
AUTHORITY = "certificate-authority: /etc/kubernetes/pki/ca.crt"
KUBELET_CA = "  --kubelet-certificate-authority=/etc/kubernetes/pki/kubelet-ca.crt \\\n"
MASTERS = "organization: system:masters\n    "
ADMIN = "usages: [client]\n    certificate: /etc/kubernetes/pki/admin.crt"

TO_API = "-> kube-apiserver@master:6443"
TO_KUBELET = "kube-apiserver@master -> kubelet@worker1:10250"
TO_ETCD = "kube-apiserver@master -> etcd@etcd1:2379"
PEERS = "etcd@etcd1 -> etcd@etcd2:2380"
TO_SOCKET = "local-users@worker1 -> dockerd@worker1:/run/docker.sock"
TO_DOCKER = "anyone@network -> dockerd@worker1"
TO_PROXY = "anyone@network -> kubectl-proxy@master:8080"

ENCRYPTION, SERVER, CLIENT, RIGHTS = (
    "encryption",
    "server_authentication",
    "client_authentication",
    "authorization",
)

#: A lab would not start with it, so the environment is refused.
REFUSED = "refused"
# mode, file, old, new, channel, property, value that it must have then
FLIPS = [
    # kube-apiserver
    (
        "hardened",
        API_UNIT,
        "--anonymous-auth=false",
        "--anonymous-auth=true",
        TO_API,
        CLIENT,
        "anonymous",
    ),
    ("hardened", API_UNIT, "  --anonymous-auth=false \\\n", "", TO_API, CLIENT, "anonymous"),
    ("hardened", API_UNIT, "VersionTLS13", "VersionTLS12", TO_API, ENCRYPTION, "tls1.2"),
    ("hardened", API_UNIT, "VersionTLS13", "VersionTLS99", TO_API, ENCRYPTION, REFUSED),
    ("hardened", API_UNIT, "=Node,RBAC", "=Node,AlwaysAllow", TO_API, RIGHTS, "allow-all"),
    (
        "hardened",
        API_UNIT,
        "  --authorization-mode=Node,RBAC \\\n",
        "",
        TO_API,
        RIGHTS,
        "allow-all",
    ),
    ("hardened", API_UNIT, "=Node,RBAC", "=Node,Webhook", TO_API, RIGHTS, "unknown"),
    ("hardened", API_UNIT, "=Node,RBAC", "=Node,Majority", TO_API, RIGHTS, REFUSED),
    (
        "hardened",
        API_UNIT,
        "authorization-mode=Node,RBAC",
        "authorization-config=/x",
        TO_API,
        RIGHTS,
        "unknown",
    ),
    (
        "hardened",
        RBAC,
        '"labkit:cluster-admins"}]',
        '"labkit:cluster-admins"}]',
        TO_API,
        RIGHTS,
        "enforced",
    ),
    (
        "hardened",
        RBAC,
        '"labkit:cluster-admins"}]',
        '"system:authenticated"}]',
        TO_API,
        RIGHTS,
        "allow-all",
    ),
    # AlwaysAllow makes the apiserver refuse the anonymous, whatever the flag says
    ("insecure", API_UNIT, "=ABAC", "=AlwaysAllow", TO_API, CLIENT, "required"),
    ("insecure", API_UNIT, "=ABAC", "=AlwaysAllow", TO_API, RIGHTS, "allow-all"),
    # ABAC is evaluated line by line
    ("insecure", ABAC, "system:unauthenticated", "ops", TO_API, RIGHTS, "enforced"),
    (
        "insecure",
        ABAC,
        '"group": "system:authenticated"',
        '"user": "*"',
        TO_API,
        RIGHTS,
        "allow-all",
    ),
    # who leaves their credential out is one of system:unauthenticated, who may do everything
    (
        "insecure",
        ABAC,
        '"group": "system:authenticated"',
        '"user": "alice"',
        TO_API,
        RIGHTS,
        "allow-all",
    ),
    ("insecure", ABAC, '"resource": "*"', '"resource": "pods"', TO_API, RIGHTS, "enforced"),
    (
        "insecure",
        ABAC,
        '"apiGroup": "*"',
        '"apiGroup": "*", "readonly": true',
        TO_API,
        RIGHTS,
        "enforced",
    ),
    # kubelet
    ("hardened", API_UNIT, KUBELET_CA, "", TO_KUBELET, SERVER, "unverified"),
    (
        "hardened",
        KUBELET,
        "anonymous: {enabled: false}",
        "anonymous: {enabled: true}",
        TO_KUBELET,
        CLIENT,
        "anonymous",
    ),
    ("hardened", KUBELET, "  anonymous: {enabled: false}\n", "", TO_KUBELET, CLIENT, "required"),
    ("hardened", KUBELET, "mode: Webhook", "mode: AlwaysAllow", TO_KUBELET, RIGHTS, "allow-all"),
    (
        "insecure",
        KUBELET,
        "authorization: {mode: AlwaysAllow}\n",
        "",
        TO_KUBELET,
        RIGHTS,
        "allow-all",
    ),
    ("hardened", KUBELET, "tlsMinVersion: VersionTLS13\n", "", TO_KUBELET, ENCRYPTION, "tls1.2"),
    ("insecure", KUBELET, "readOnlyPort: 10255\n", "", "kubelet@worker1:10255", RIGHTS, "closed"),
    (
        "hardened",
        KUBELET,
        "port: 10250",
        "port: 10250\nenableServer: false",
        TO_KUBELET,
        CLIENT,
        "closed",
    ),
    # etcd: a CA for clients alone makes it demand their certificates
    ("hardened", ETCD_UNIT, "  --client-cert-auth=true \\\n", "", TO_ETCD, CLIENT, "required"),
    (
        "hardened",
        ETCD_UNIT,
        "  --peer-cert-allowed-cn=etcd-peer \\\n",
        "",
        PEERS,
        RIGHTS,
        "allow-all",
    ),
    ("hardened", ETCD_UNIT, "  --tls-min-version=TLS1.3 \\\n", "", PEERS, ENCRYPTION, "tls1.2"),
    (
        "hardened",
        API_UNIT,
        "  --etcd-cafile=/etc/etcd/pki/ca.crt \\\n",
        "",
        TO_ETCD,
        SERVER,
        "verified",
    ),
    ("hardened", API_UNIT, "https://etcd1", "http://etcd1", TO_ETCD, SERVER, "unknown"),
    # docker
    ("hardened", SOCKET, "SocketMode=0600\n", "", TO_SOCKET, CLIENT, "none"),
    ("insecure", SOCKET, "SocketMode=0666", "SocketMode=0660", TO_SOCKET, CLIENT, "file-mode"),
    ("insecure", DOCKER, "tcp://0.0.0.0:2375", "tcp://127.0.0.1:2375", TO_DOCKER, CLIENT, "closed"),
    ("insecure", DOCKER, "2375 \\", "2376 --tlsverify \\", f"{TO_DOCKER}:2376", CLIENT, "required"),
    ("hardened", DOCKER, "verify=true", "verify=false", "docker@master -> ", CLIENT, "none"),
    ("hardened", DOCKER, "verify=true", "verify=false", f"{TO_DOCKER}:2376", SERVER, "unverified"),
    # --tls alone asks for certificates, and --tlsverify is TLS whatever it says
    ("hardened", DOCKER, "--tlsverify=true", "--tls", "docker@master -> ", CLIENT, "required"),
    ("insecure", DOCKER, "2375 \\", "2375 --tlsverify=false \\", TO_DOCKER, ENCRYPTION, "tls1.2"),
    ("insecure", DOCKER, "2375 \\", "2376 --tls \\", TO_DOCKER, CLIENT, "none"),
    # kubectl proxy: as whom it acts decides
    ("insecure", PROXY, "  --address=0.0.0.0 \\\n", "", TO_PROXY, CLIENT, "closed"),
    ("insecure", "pki.yaml", MASTERS + ADMIN, ADMIN, TO_PROXY, RIGHTS, "allow-all"),
    # kubeconfigs
    (
        "hardened",
        SCHEDULER,
        AUTHORITY,
        "insecure-skip-tls-verify: true",
        "kube-scheduler@master ->",
        SERVER,
        "unverified",
    ),
    ("hardened", SCHEDULER, AUTHORITY, "", "kube-scheduler@master ->", SERVER, "verified"),
    (
        "hardened",
        SCHEDULER,
        "https://master:6443",
        "https://lb.example:6443",
        "kube-scheduler@master ->",
        CLIENT,
        REFUSED,
    ),
    (
        "hardened",
        SCHEDULER,
        "https://master:6443",
        "http://master:8080",
        "kube-scheduler@master ->",
        CLIENT,
        "closed",
    ),
]


def claims(folder, wanted, name):
    found = [c for c in read_model(folder).channels if wanted in c.id]
    assert found, wanted
    return {getattr(channel, name).value for channel in found}


@pytest.mark.parametrize(
    ("mode", "path", "old", "new", "channel", "name", "value"),
    FLIPS,
    ids=[f"{n}-{flip[5]}-{flip[6]}" for n, flip in enumerate(FLIPS)],
)
def test_one_setting_changes_its_claim(modes, mode, path, old, new, channel, name, value):
    file = modes / mode / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    if value == REFUSED:
        with pytest.raises(ConfigError, match=rf"{file.name}:\d+: "):
            claims(modes / mode, channel, name)
    else:
        assert claims(modes / mode, channel, name) == {value}


def test_kubelet_webhook_allows_what_the_apiserver_allows(modes):
    file = modes / "insecure" / KUBELET
    file.write_text(file.read_text().replace("AlwaysAllow", "Webhook"))
    assert claims(modes / "insecure", TO_KUBELET, RIGHTS) == {"allow-all"}
    abac = modes / "insecure" / ABAC
    abac.write_text(abac.read_text().replace("system:unauthenticated", "ops"))
    assert claims(modes / "insecure", TO_KUBELET, RIGHTS) == {"enforced"}


def test_kubectl_proxy_enforces_the_rights_of_its_user(modes):
    pki = modes / "insecure/pki.yaml"
    pki.write_text(pki.read_text().replace("    organization: system:masters\n", ""))
    unit = modes / "insecure" / API_UNIT
    unit.write_text(unit.read_text().replace("=ABAC", "=RBAC"))
    assert claims(modes / "insecure", TO_PROXY, RIGHTS) == {"enforced"}


def test_etcd_without_users_allows_all(modes):
    (modes / "hardened/etcd-auth.yaml").unlink()
    assert claims(modes / "hardened", TO_ETCD, RIGHTS) == {"allow-all"}


def test_second_listener_of_etcd_has_its_own_channel(modes):
    file = modes / "hardened" / ETCD_UNIT
    file.write_text(
        file.read_text().replace("https://0.0.0.0:2379", "https://0.0.0.0:2379,http://0.0.0.0:2378")
    )
    found = "anyone@network -> etcd@etcd1:2378"
    assert claims(modes / "hardened", found, ENCRYPTION) == {"none"}
    assert claims(modes / "hardened", TO_ETCD, ENCRYPTION) == {"tls1.3"}


def test_kubelet_without_a_configuration_file_has_its_legacy_defaults(modes):
    unit = modes / "hardened/worker/etc/systemd/system/kubelet.service"
    unit.write_text(unit.read_text().replace("  --config=/etc/kubernetes/kubelet.yaml \\\n", ""))
    assert claims(modes / "hardened", TO_KUBELET, CLIENT) == {"anonymous"}
    assert claims(modes / "hardened", TO_KUBELET, RIGHTS) == {"allow-all"}
    assert claims(modes / "hardened", "kubelet@worker1:10255", CLIENT) == {"none"}


def test_flag_of_the_kubelet_wins_over_its_file(modes):
    unit = modes / "hardened/worker/etc/systemd/system/kubelet.service"
    unit.write_text(unit.read_text().replace("--node-ip", "--anonymous-auth --node-ip"))
    assert claims(modes / "hardened", TO_KUBELET, CLIENT) == {"anonymous"}


def test_dockerd_without_hosts_makes_its_own_socket(modes):
    unit = modes / "hardened" / DOCKER
    text = unit.read_text().replace("  --host=fd:// \\\n", "")
    unit.write_text(text.replace("  --host=tcp://0.0.0.0:2376 \\\n", ""))
    assert claims(modes / "hardened", TO_SOCKET, CLIENT) == {"file-mode"}


@pytest.mark.parametrize("port", ["x", "99999", "-1"])
def test_malformed_port_is_refused_with_its_line(modes, port):
    file = modes / "hardened" / API_UNIT
    file.write_text(file.read_text().replace("--secure-port=6443", f"--secure-port={port}"))
    with pytest.raises(ConfigError, match=r"kube-apiserver\.service:12: not a port"):
        read_model(modes / "hardened")


def test_malformed_endpoint_is_refused_with_its_line(modes):
    file = modes / "hardened" / API_UNIT
    file.write_text(file.read_text().replace("https://etcd1:2379", "https://etcd1:port"))
    with pytest.raises(ConfigError, match=r"kube-apiserver\.service:21: .*not a URL"):
        read_model(modes / "hardened")


def test_proxy_on_the_loopback_address_serves_only_its_own_machine(modes):
    unit = modes / "insecure" / PROXY
    unit.write_text(unit.read_text().replace("--address=0.0.0.0", "--address=127.0.0.1"))
    found = {c.id: c for c in read_model(modes / "insecure").channels}
    assert found["kubectl/alice@master -> kubectl-proxy@master:8080"].open
    # these call it by the machine's name
    for client in ("kubelet@worker1", "kube-scheduler@master"):
        channel = found[f"{client} -> kube-apiserver@master:8080"]
        assert not channel.open
        assert channel.encryption.source.text == "server: http://master:8080"
    anyone = found["anyone@network -> kubectl-proxy@master:8080"]
    assert not anyone.open
    assert anyone.encryption.source.text == "--address=127.0.0.1"
