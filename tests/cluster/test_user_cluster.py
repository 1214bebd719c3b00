"""Read a user's own files: kubeadm's layout, "the hard way", broken and missing files."""

from __future__ import annotations

import base64
import datetime
import errno
import ipaddress
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.analysis import attack_paths, find_threats
from labkit.cluster import read_cluster
from labkit.errors import ConfigError
from labkit.model import Model, read_model
from labkit.model.footholds import ADMIN

DATA = Path(__file__).parent / "data"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class Authority:
    """A certificate authority for tests; its key stays in memory."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self.name, self.key.public_key())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = self._pem(builder.add_extension(constraint, critical=True))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(START + datetime.timedelta(days=3650))
        )

    def _pem(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def sign(self, common_name: str, groups: str = "", hosts: str = "", usages=(CLIENT,)) -> bytes:
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups.split()]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        builder = self._builder(subject, key).add_extension(
            x509.ExtendedKeyUsage(list(usages)), critical=False
        )
        if hosts:
            found = [
                x509.IPAddress(ipaddress.ip_address(host))
                if host[0].isdigit()
                else x509.DNSName(host)
                for host in hosts.split()
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
        return self._pem(builder)


CA, ETCD_CA, FRONT_CA = Authority("kubernetes"), Authority("etcd-ca"), Authority("front-proxy-ca")
SANS = "cp1 kubernetes kubernetes.default 10.96.0.1 192.168.56.10 lb.example.org"


def kubeconfig(server: str, user: str, **credential: str) -> str:
    authority = base64.b64encode(CA.pem).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "kubernetes",
                    "cluster": {"certificate-authority-data": authority, "server": server},
                }
            ],
            "contexts": [{"name": "c", "context": {"cluster": "kubernetes", "user": user}}],
            "current-context": "c",
            "users": [{"name": user, "user": credential}],
        }
    )


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def inline(name: str, groups: str = "") -> dict[str, str]:
    data = base64.b64encode(CA.sign(name, groups)).decode()
    return {"client-certificate-data": data, "client-key-data": "UkVNT1ZFRA=="}


@pytest.fixture
def kubeadm(tmp_path: Path) -> Path:
    """Return a folder with kubeadm's files of a control plane and a worker."""
    folder = tmp_path / "prod"
    shutil.copytree(DATA / "kubeadm", folder)
    pki = folder / "cp1/etc/kubernetes/pki"
    for name, content in {
        "ca.crt": CA.pem,
        "ca.key": b"",
        "front-proxy-ca.crt": FRONT_CA.pem,
        "etcd/ca.crt": ETCD_CA.pem,
        "apiserver.crt": CA.sign("kube-apiserver", hosts=SANS, usages=(SERVER,)),
        "apiserver-etcd-client.crt": ETCD_CA.sign("kube-apiserver-etcd-client"),
        "apiserver-kubelet-client.crt": CA.sign(
            "kube-apiserver-kubelet-client", "kubeadm:cluster-admins"
        ),
        "front-proxy-client.crt": FRONT_CA.sign("front-proxy-client"),
        "etcd/server.crt": ETCD_CA.sign("cp1", hosts="cp1 localhost", usages=(SERVER, CLIENT)),
        "etcd/peer.crt": ETCD_CA.sign("cp1", hosts="cp1", usages=(SERVER, CLIENT)),
        "sa.key": b"",
        "sa.pub": b"",
    }.items():
        write(pki / name, content)
    conf, server = folder / "cp1/etc/kubernetes", "https://192.168.56.10:6443"
    for name, user, groups in (
        ("admin.conf", "kubernetes-admin", "kubeadm:cluster-admins"),
        ("super-admin.conf", "kubernetes-super-admin", "system:masters"),
        ("scheduler.conf", "system:kube-scheduler", ""),
        ("controller-manager.conf", "system:kube-controller-manager", ""),
    ):
        write(conf / name, kubeconfig(server, user, **inline(user, groups)))
    current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    for node, address in (("cp1", server), ("worker1", "https://lb.example.org:6443")):
        credential = {"client-certificate": current, "client-key": current}
        name = f"system:node:{node}"
        write(
            folder / node / "etc/kubernetes/kubelet.conf", kubeconfig(address, name, **credential)
        )
        rotated = folder / node / "var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem"
        write(rotated, CA.sign(name, "system:nodes"))
        link = rotated.with_name("kubelet-client-current.pem")
        link.symlink_to(f"/var/lib/kubelet/pki/{rotated.name}")
    write(folder / "worker1/etc/kubernetes/pki/ca.crt", CA.pem)
    return folder


@pytest.fixture
def hardway(tmp_path: Path) -> Path:
    """Return a folder with the files of "Kubernetes the hard way"."""
    folder = tmp_path / "hardway"
    shutil.copytree(DATA / "hardway", folder)
    lib, server = folder / "server/var/lib/kubernetes", "https://server.kubernetes.local:6443"
    write(lib / "ca.crt", CA.pem)
    hosts = "127.0.0.1 kubernetes server.kubernetes.local api-server.kubernetes.local"
    write(lib / "kube-api-server.crt", CA.sign("kubernetes", hosts=hosts, usages=(SERVER, CLIENT)))
    for name in ("kube-scheduler", "kube-controller-manager"):
        user = f"system:{name}"
        text = kubeconfig("https://127.0.0.1:6443", user, **inline(user, user))
        write(lib / f"{name}.kubeconfig", text)
    node = folder / "node-0/var/lib"
    write(node / "kubelet/ca.crt", CA.pem)
    write(
        node / "kubelet/kubeconfig",
        kubeconfig(server, "n", **inline("system:node:node-0", "system:nodes")),
    )
    write(node / "kube-proxy/kubeconfig", kubeconfig(server, "p", **inline("system:kube-proxy")))
    return folder


def claims(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the four values of each channel."""
    return {
        channel.id: (
            channel.encryption.value,
            channel.server_authentication.value,
            channel.client_authentication.value,
            channel.authorization.value,
        )
        for channel in read_model(read_cluster(folder)).channels
    }


def test_kubeadm_cluster_has_the_expected_channels(kubeadm: Path):
    found = claims(kubeadm)
    api = ("tls1.2", "verified", "anonymous", "enforced")
    assert found == {
        "kubelet@cp1 -> kube-apiserver@cp1:6443": api,
        # the load balancer's name is in the apiserver's certificate
        "kubelet@worker1 -> kube-apiserver@cp1:6443": api,
        "kube-scheduler@cp1 -> kube-apiserver@cp1:6443": api,
        "kube-controller-manager@cp1 -> kube-apiserver@cp1:6443": api,
        "kube-proxy@cp1 -> kube-apiserver@cp1:6443": api,
        "kube-proxy@worker1 -> kube-apiserver@cp1:6443": api,
        "kubectl/kubernetes-admin@cp1 -> kube-apiserver@cp1:6443": api,
        "kubectl/kubernetes-super-admin@cp1 -> kube-apiserver@cp1:6443": api,
        # kubeadm gives no --kubelet-certificate-authority
        "kube-apiserver@cp1 -> kubelet@cp1:10250": ("tls1.2", "unverified", "required", "enforced"),
        # its unit reads /etc/default/kubelet, of which nobody knows whether worker1 has it
        "kube-apiserver@cp1 -> kubelet@worker1:10250": (
            "unknown",
            "unverified",
            "required",
            "enforced",
        ),
        "kube-apiserver@cp1 -> etcd@cp1:2379": ("tls1.2", "verified", "required", "allow-all"),
        "kubelet@cp1 -> runtime@cp1:/run/containerd/containerd.sock": (
            "local",
            "local",
            "unknown",
            "unknown",
        ),
        "kubelet@worker1 -> runtime@worker1:/run/containerd/containerd.sock": (
            "local",
            "local",
            "unknown",
            "unknown",
        ),
        # the apiserver calls etcd's other listener, on the loopback address
        "anyone@network -> etcd@cp1:2379": ("tls1.2", "unverified", "required", "allow-all"),
        # listen-metrics-urls: plain http, on its own machine only
        "anyone@network -> etcd@cp1:2381": ("closed",) * 4,
        # the only member: nobody calls its port for members
        "anyone@network -> etcd@cp1:2380": ("tls1.2", "unverified", "required", "allow-all"),
        # --bind-address=127.0.0.1
        "anyone@network -> kube-controller-manager@cp1:10257": ("closed",) * 4,
        "anyone@network -> kube-scheduler@cp1:10259": ("closed",) * 4,
        **{
            f"anyone@network -> {at}": ("closed",) * 4
            for node in ("cp1", "worker1")
            for at in (f"kubelet@{node}:10248", f"kube-proxy@{node}:10249")
        },
        # healthzBindAddress is 0.0.0.0:10256 by default
        **{
            f"anyone@network -> kube-proxy@{node}:10256": ("none", "none", "none", "allow-all")
            for node in ("cp1", "worker1")
        },
        "anyone@network -> kube-apiserver@cp1:8080": ("closed",) * 4,
        "anyone@network -> kubelet@cp1:10255": ("closed",) * 4,
        "anyone@network -> kubelet@worker1:10255": ("unknown",) * 4,
    }


def test_claims_of_copied_files_name_file_and_line(kubeadm: Path):
    env = read_cluster(kubeadm)
    model = read_model(env)
    by_id = {channel.id: channel for channel in model.channels}
    etcd = by_id["kube-apiserver@cp1 -> etcd@cp1:2379"]
    manifests = "cp1/etc/kubernetes/manifests"
    assert (
        str(etcd.client_authentication.source)
        == f"{manifests}/etcd.yaml:18 --client-cert-auth=true"
    )
    assert str(etcd.server_authentication.source) == (
        f"{manifests}/kube-apiserver.yaml:22 --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt"
    )
    kubelet = by_id["kube-apiserver@cp1 -> kubelet@worker1:10250"]
    assert str(kubelet.client_authentication.source) == (
        "worker1/var/lib/kubelet/config.yaml:4 authentication.anonymous.enabled: false"
    )
    assert str(kubelet.server_authentication.source) == (
        "default: --kubelet-certificate-authority absent (kube-apiserver.yaml)"
    )
    # inside the ConfigMap's text the lines are those of the file
    proxy = by_id["kube-proxy@worker1 -> kube-apiserver@cp1:6443"]
    assert str(proxy.server_authentication.source).startswith("kube-proxy.yaml:21 ")


def test_copied_credentials_have_signer_and_rights(kubeadm: Path):
    env = read_cluster(kubeadm)
    model = read_model(env)
    held = {(item.name, item.node): item for item in model.credentials}
    assert held["kubernetes-admin", "cp1"].rights == (ADMIN,)
    assert held["kubernetes-super-admin", "cp1"].rights == (ADMIN,)
    assert held["apiserver-kubelet-client", "cp1"].rights == (ADMIN,)
    assert held["system:node:worker1", "worker1"].identity == "system:node:worker1"
    assert held["system:node:worker1", "worker1"].rights == ()
    assert held["the key of CN=kubernetes", "cp1"].rights == (ADMIN,)
    # nobody holds a key that was not copied, and an unknown reports it
    assert any(u.text == "CN=etcd-ca" and "its key is not" in u.why for u in env.unknowns)
    etcd = {c.name: c.signed_by for c in env.credentials}
    assert etcd["apiserver-etcd-client"] == "CN=etcd-ca"


def test_authority_is_identified_by_key_and_not_by_name(kubeadm: Path):
    unknown = Authority("kubernetes")
    write(
        kubeadm / "cp1/etc/kubernetes/admin.conf",
        kubeconfig(
            "https://192.168.56.10:6443",
            "kubernetes-admin",
            **{
                "client-certificate-data": base64.b64encode(
                    unknown.sign("kubernetes-admin", "system:masters")
                ).decode()
            },
        ),
    )
    model = read_model(read_cluster(kubeadm))
    [held] = [item for item in model.credentials if item.name == "kubernetes-admin"]
    assert held.rights == ()
    assert "CN=kubernetes did not sign it" in "".join(model.unknowns)


def test_kubelet_without_its_unit_is_assumed_to_be_kubeadms(kubeadm: Path):
    env = read_cluster(kubeadm)
    assert any(
        item.path.startswith("cp1/") and "as kubeadm's package starts it" in item.why
        for item in env.unknowns
    )
    assert not any("as kubeadm's package" in u.why and "worker1" in u.path for u in env.unknowns)
    assert env.component("kubelet@cp1").setting("node-ip").source.line == 1
    assert {node.name: node.address for node in env.nodes} == {
        "cp1": "192.168.56.10",
        "worker1": "192.168.56.21",
    }


def test_kubelet_without_its_configuration_has_unknown_claims(kubeadm: Path):
    for node in ("cp1", "worker1"):
        (kubeadm / node / "var/lib/kubelet/config.yaml").unlink()
    found = claims(kubeadm)
    for node in ("cp1", "worker1"):
        api = found[f"kube-apiserver@cp1 -> kubelet@{node}:10250"]
        assert api == ("unknown", "unverified", "unknown", "unknown")
        assert found[f"anyone@network -> kubelet@{node}:10255"][0] == "unknown"
    unknowns = "\n".join(map(str, read_cluster(kubeadm).unknowns))
    assert "worker1 has no such file" in unknowns


def test_hard_way_cluster_has_the_expected_channels(hardway: Path):
    env = read_cluster(hardway)
    found = claims(hardway)
    # no RBAC objects are among the files
    api = ("tls1.2", "verified", "anonymous", "unknown")
    for client in (
        "kubelet@node-0",
        "kube-proxy@node-0",
        "kube-scheduler@server",
        "kube-controller-manager@server",
    ):
        assert found[f"{client} -> kube-apiserver@server:6443"] == api
    assert found["kube-apiserver@server -> etcd@server:2379"] == (
        "none",
        "none",
        "none",
        "allow-all",
    )
    assert found["kube-apiserver@server -> kubelet@node-0:10250"] == (
        "tls1.2",
        "verified",
        "required",
        "unknown",
    )
    assert env.encryption["kube-apiserver@server"].providers == (
        ("secrets", ("aescbc", "identity")),
    )
    assert env.node("node-0").address == "10.240.0.20"
    assert not [item for item in env.unknowns if "no such file" in item.why]


def test_single_machine_is_named_after_its_own_files(kubeadm: Path, tmp_path: Path):
    alone = tmp_path / "alone"
    shutil.copytree(kubeadm / "cp1", alone, symlinks=True)
    assert [node.name for node in read_cluster(alone).nodes] == ["cp1"]
    write(alone / "etc/hostname", "master\n")
    assert [node.name for node in read_cluster(alone).nodes] == ["master"]
    shutil.rmtree(alone / "etc/kubernetes/manifests")
    (alone / "etc/hostname").unlink()
    env = read_cluster(alone)
    assert [node.name for node in env.nodes] == ["node"]
    found = claims(alone)
    assert found["kubelet@node -> kube-apiserver@node:6443"][0] == "unknown"
    # a machine of which only the address is known
    away = alone / "etc/kubernetes/kubelet.conf"
    away.write_text(away.read_text().replace("192.168.56.10", "192.168.56.99"))
    assert claims(alone)["kubelet@node -> kube-apiserver@192.168.56.99:6443"][2] == "unknown"
    for kind in ("kube-apiserver", "etcd"):
        assert any(
            item.path == kind and item.text == "not among the files" for item in env.unknowns
        )


def test_link_never_leads_out_of_the_folder(kubeadm: Path, tmp_path: Path):
    outside = tmp_path / "outside.crt"
    outside.write_bytes(CA.pem)
    pki = kubeadm / "worker1/etc/kubernetes/pki"
    (pki / "away.crt").symlink_to(outside)
    (pki / "up.crt").symlink_to("../" * 20 + str(outside).lstrip("/"))
    (pki / "round.crt").symlink_to("round.crt")
    env = read_cluster(kubeadm)
    assert len([item for item in env.unknowns if item.text == "a link"]) == 3
    shown = {f"/etc/kubernetes/pki/{name}.crt" for name in ("ca", "away", "up", "round")}
    assert shown & set(env.node("worker1").files) == {"/etc/kubernetes/pki/ca.crt"}


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cp1/etc/kubernetes/manifests/etcd.yaml", "a: [", "etcd.yaml:1: no valid YAML"),
        ("cp1/etc/kubernetes/manifests/etcd.yaml", "kind: Deployment", "not a Pod"),
        ("cp1/etc/kubernetes/scheduler.conf", "kind: Config", "no current-context"),
        ("cp1/etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----", "no certificate"),
        ("worker1/var/lib/kubelet/config.yaml", "kind: Other", "its kind is Other"),
        ("worker1/usr/lib/systemd/system/kubelet.service", "nonsense", "neither a section"),
        ("kube-proxy.yaml", "x: y: z", "no valid YAML"),
        ("rbac.yaml", "\x00", "a NUL character"),
    ],
)
def test_malformed_file_is_an_unknown_and_the_rest_is_read(kubeadm: Path, file, content, said):
    write(kubeadm / file, content)
    model = read_model(read_cluster(kubeadm))
    [*found] = [item for item in model.unknowns if said in item and Path(file).name in item]
    assert found
    assert "kubelet@cp1 -> kube-apiserver@cp1:6443" in {c.id for c in model.channels}


def test_malformed_ports_and_urls_are_unknowns(kubeadm: Path):
    manifests = kubeadm / "cp1/etc/kubernetes/manifests"
    for name, old, new in (
        ("kube-apiserver.yaml", "--secure-port=6443", "--secure-port=many"),
        (
            "kube-apiserver.yaml",
            "--etcd-servers=https://127.0.0.1:2379",
            "--etcd-servers=https://[",
        ),
        ("etcd.yaml", "http://127.0.0.1:2381", "http://127.0.0.1:99999"),
        ("etcd.yaml", "cp1=https://192.168.56.10:2380", "cp2=nowhere"),
    ):
        path = manifests / name
        path.write_text(path.read_text().replace(old, new))
    model = read_model(read_cluster(kubeadm))
    unknowns = "\n".join(model.unknowns)
    for said in ("--secure-port=many", "not a URL", "99999"):
        assert said in unknowns
    assert model.component("kube-apiserver@cp1")


def test_container_paths_are_mapped_to_the_node(tmp_path: Path):
    write(
        tmp_path / "m/etc/kubernetes/manifests/api.yaml",
        "kind: Pod\nspec:\n  volumes: [{name: v, hostPath: {path: /srv/pki}}]\n  containers:\n"
        "  - image: registry.k8s.io/kube-apiserver:v1\n    env: [{name: P, value: '7443'}]\n"
        "    args: ['--client-ca-file=/pki/ca.crt', '--secure-port=$(P)', '--etcd-servers=$(E)']\n"
        "    volumeMounts: [{name: v, mountPath: /pki}]\n",
    )
    env = read_cluster(tmp_path)
    api = env.component("kube-apiserver@m")
    assert api.setting("client-ca-file").value == "/srv/pki/ca.crt"
    assert api.setting("secure-port").value == "7443"
    assert api.setting("secure-port").source.line == 7
    assert any("$(E)" in item.text for item in env.unknowns)


def test_folder_without_machine_files_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no machine's files"):
        read_cluster(tmp_path)


def test_tokens_are_not_shown(kubeadm: Path):
    write(
        kubeadm / "cp1/etc/kubernetes/admin.conf",
        kubeconfig("https://192.168.56.10:6443", "admin", token="HUNTER2"),
    )
    env = read_cluster(kubeadm)
    model = read_model(env)
    assert "HUNTER2" not in repr((env.credentials, env.kubeconfigs, env.unknowns, model))


FILES = sorted(
    p.relative_to(DATA / "kubeadm").as_posix() for p in (DATA / "kubeadm").rglob("*") if p.is_file()
)


@settings(max_examples=60)
@given(
    st.sampled_from(FILES),
    st.one_of(
        st.binary(max_size=60),
        st.tuples(st.integers(0, 4000), st.integers(0, 60), st.binary(max_size=12)),
    ),
)
def test_changed_files_raise_no_exception(tmp_path_factory, name, change):
    folder = tmp_path_factory.mktemp("f")
    shutil.copytree(DATA / "kubeadm", folder, dirs_exist_ok=True)
    path = folder / name
    data = path.read_bytes()
    if isinstance(change, tuple):
        start, length, new = change
        start %= len(data)
        change = data[:start] + new + data[start + length :]
    path.write_bytes(change)
    model = read_model(read_cluster(folder))
    "\n".join(model.unknowns).encode()
    shutil.rmtree(folder)


def test_unreadable_file_is_an_unknown(kubeadm: Path, monkeypatch: pytest.MonkeyPatch):
    shut, opened = kubeadm / "cp1/etc/kubernetes/admin.conf", os.open

    def refuse(path: Path, flags: int) -> int:
        # root can read a file of mode 0000, so a mode is no test
        if path == shut:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    said = [str(item) for item in read_cluster(kubeadm).unknowns if "cannot be read" in item.why]
    assert len(said) == 1
    assert said[0].startswith("cp1/etc/kubernetes/admin.conf")


# -- credentials that open more than they were made for ----------------------------------------
# The right answers are in Kubernetes' "Authenticating" (static token files) and "Configure the
# Aggregation Layer" (CA reusage and conflicts), and in etcd's "Transport security model".

CONF = "cp1/etc/kubernetes"
APISERVER, ETCD = (f"{CONF}/manifests/{name}.yaml" for name in ("kube-apiserver", "etcd"))
API_URL = "https://192.168.56.10:6443"
RBAC = "rbac.authorization.k8s.io"


def set_flags(file: Path, **flags: str | None) -> None:
    """Set flags of a static pod's only container; None takes one out."""
    pod = yaml.safe_load(file.read_text())
    command = pod["spec"]["containers"][0]["command"]
    for flag, value in flags.items():
        name = f"--{flag.replace('_', '-')}"
        command[:] = [word for word in command if not word.startswith(f"{name}=")]
        if value is not None:
            command.append(f"{name}={value}")
    file.write_text(yaml.safe_dump(pod))


def model_of(folder: Path) -> Model:
    return read_model(read_cluster(folder))


def opened(found: Model, rule: str = "credential-overpowered") -> set[str]:
    return {it.subject for it in find_threats(found).open if it.rule == rule}


# -- etcd ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["the flag", "the content", "a bundle"])
def test_etcd_that_trusts_the_clusters_ca_takes_a_kubelets_certificate(
    kubeadm: Path, how: str
) -> None:
    before = model_of(kubeadm)
    assert not attack_paths(before, "root:worker1", "admin")
    if how == "the flag":
        set_flags(kubeadm / ETCD, trusted_ca_file="/etc/kubernetes/pki/ca.crt")
    else:
        both = ETCD_CA.pem + CA.pem
        write(kubeadm / CONF / "pki/etcd/ca.crt", both if how == "a bundle" else CA.pem)
    found = model_of(kubeadm)
    assert attack_paths(found, "root:worker1", "admin")
    assert not attack_paths(found, "network", "admin")
    assert {it for it in opened(found) if it.startswith("system:node:worker1")}


def test_etcds_own_clients_are_no_finding(kubeadm: Path) -> None:
    assert not {it for it in opened(model_of(kubeadm)) if "etcd" in it or "peer" in it}


# -- request headers -------------------------------------------------------------------------


def version(file: Path, tag: str) -> None:
    pod = yaml.safe_load(file.read_text())
    pod["spec"]["containers"][0]["image"] = f"registry.k8s.io/kube-apiserver{tag}"
    file.write_text(yaml.safe_dump(pod))


SHARED = "/etc/kubernetes/pki/ca.crt"


@pytest.mark.parametrize(
    ("tag", "is_path"),
    [
        (":v1.34.2", True),
        (":v1.28.0", True),
        ("@sha256:0", True),
        (":v1.35.0", False),
        (":v1.37.2", False),
    ],
)
def test_a_shared_ca_for_request_headers(kubeadm: Path, tag: str, is_path: bool) -> None:
    file = kubeadm / APISERVER
    set_flags(file, requestheader_client_ca_file=SHARED, requestheader_allowed_names=None)
    version(file, tag)
    found = model_of(kubeadm)
    assert bool(attack_paths(found, "root:worker1", "admin")) is is_path
    assert [it for it in found.unknowns if "1.35 and later does not start so" in it]


@pytest.mark.parametrize(
    ("names", "is_path"),
    [("front-proxy-client", False), ("front-proxy-client,system:node:worker1", True), ("", True)],
)
def test_allowed_names_restrict_request_headers(kubeadm: Path, names: str, is_path: bool) -> None:
    file = kubeadm / APISERVER
    set_flags(file, requestheader_client_ca_file=SHARED, requestheader_allowed_names=names)
    version(file, ":v1.34.0")
    assert bool(attack_paths(model_of(kubeadm), "root:worker1", "admin")) is is_path


def test_a_separate_ca_for_request_headers_is_no_path(kubeadm: Path) -> None:
    set_flags(kubeadm / APISERVER, requestheader_allowed_names=None)
    found = model_of(kubeadm)
    assert not attack_paths(found, "root:worker1", "admin")
    assert not [it for it in found.unknowns if "1.35" in it]


def test_a_bundle_with_the_front_proxys_ca_counts(kubeadm: Path) -> None:
    write(kubeadm / CONF / "pki/front.crt", FRONT_CA.pem + CA.pem)
    set_flags(
        kubeadm / APISERVER,
        requestheader_client_ca_file="/etc/kubernetes/pki/front.crt",
        requestheader_allowed_names=None,
    )
    version(kubeadm / APISERVER, ":v1.30.0")
    assert attack_paths(model_of(kubeadm), "root:worker1", "admin")


# -- tokens ----------------------------------------------------------------------------------

TOKENS = "/etc/kubernetes/tokens.csv"
SECRET = "correct-horse-battery"


def tokens(folder: Path, text: str) -> None:
    write(folder / f"cp1{TOKENS}", text)
    set_flags(folder / APISERVER, token_auth_file=TOKENS)


def held(found: Model, name: str) -> set[str]:
    return {str(right) for it in found.credentials if it.id == name for right in it.rights}


@pytest.mark.parametrize(
    ("line", "rights"),
    [
        (f'{SECRET},root,1,"system:masters"', {"cluster-admin"}),
        (f'{SECRET},root,1,"ops,system:masters"', {"cluster-admin"}),
        (f"{SECRET},kubernetes-admin,1", set()),
        (f'{SECRET},nobody,1,"kubeadm:cluster-admins"', {"cluster-admin"}),
        (f"{SECRET},system:kube-controller-manager,1", {"reads the secrets"}),
    ],
)
def test_a_static_token_has_the_rights_of_its_user(
    kubeadm: Path, line: str, rights: set[str]
) -> None:
    tokens(kubeadm, f"# tokens\n\n{line}\n")
    found = model_of(kubeadm)
    user = line.split(",")[1]
    assert held(found, f"token of {user}@cp1") == rights
    assert SECRET not in repr(found)
    assert SECRET not in " ".join(found.unknowns)


def test_a_kubeconfig_with_a_static_token_has_its_rights_where_it_lies(kubeadm: Path) -> None:
    write(kubeadm / "worker1/root/.kube/config", kubeconfig(API_URL, "bot", token=SECRET))
    assert not attack_paths(model_of(kubeadm), "root:worker1", "admin")
    tokens(kubeadm, f'{SECRET},robot,1,"system:masters"\n')
    found = model_of(kubeadm)
    assert held(found, "bot@worker1") == {"cluster-admin"}
    assert attack_paths(found, "root:worker1", "admin")
    # another token is another user
    tokens(kubeadm, f'{SECRET}2,robot,1,"system:masters"\n')
    assert held(model_of(kubeadm), "bot@worker1") == set()


@pytest.mark.parametrize(
    "path", ["root/kubeconfig", "home/ci/.kube/prod", "etc/kubernetes/admin.conf.bak", "opt/x.old"]
)
def test_a_kubeconfig_is_one_whatever_its_name_is(kubeadm: Path, path: str) -> None:
    tokens(kubeadm, f'{SECRET},robot,1,"system:masters"\n')
    assert not attack_paths(model_of(kubeadm), "root:worker1", "admin")
    write(kubeadm / "worker1" / path, kubeconfig(API_URL, "bot", token=SECRET))
    assert attack_paths(model_of(kubeadm), "root:worker1", "admin").paths


def test_a_kubeconfig_that_is_too_large_is_an_unknown(kubeadm: Path) -> None:
    text = kubeconfig(API_URL, "bot", token=SECRET)
    write(kubeadm / "worker1/root/large", text + "#" * 1_500_000)
    write(kubeadm / "worker1/root/other", "#" * 1_500_000)
    said = [it for it in model_of(kubeadm).unknowns if "too large" in it]
    assert len(said) == 1
    assert "worker1/root/large" in said[0]


def test_a_user_of_another_context_is_an_unknown(kubeadm: Path) -> None:
    one = yaml.safe_load(kubeconfig(API_URL, "bot", token="nothing"))
    one["users"].append({"name": "boss", "user": {"token": SECRET}})
    write(kubeadm / "worker1/root/.kube/config", yaml.safe_dump(one))
    said = [it for it in model_of(kubeadm).unknowns if "user boss" in it]
    assert len(said) == 1
    assert SECRET not in said[0]


def test_a_token_opens_kubelets_as_well(kubeadm: Path) -> None:
    tokens(kubeadm, f'{SECRET},robot,1,"system:masters"\n')
    [it] = [it for it in model_of(kubeadm).credentials if it.name == "token of robot"]
    assert set(it.opens) == {"kubelet@cp1", "kubelet@worker1"}


@pytest.mark.parametrize("text", ["one,two\n", ",user,1\n", '"unclosed\n'])
def test_a_malformed_line_is_an_unknown(kubeadm: Path, text: str) -> None:
    tokens(kubeadm, text)
    assert [it for it in model_of(kubeadm).unknowns if "tokens.csv" in it]


def test_a_missing_token_file_is_an_unknown(kubeadm: Path) -> None:
    set_flags(kubeadm / APISERVER, token_auth_file="/nowhere.csv")
    assert [it for it in model_of(kubeadm).unknowns if "/nowhere.csv" in it]


def token_of(subject: object) -> str:
    parts = ({"alg": "RS256"}, {"iss": "https://kubernetes.default.svc", "sub": subject})
    encoded = [
        base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts
    ]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


@pytest.mark.parametrize(
    ("subject", "rights"),
    [
        ("system:serviceaccount:ops:deployer", {"cluster-admin"}),
        ("system:serviceaccount:ops:other", set()),
        ("somebody@example.org", set()),
        (["list"], set()),
    ],
)
def test_a_kubeconfig_with_a_service_accounts_token(
    kubeadm: Path, subject: object, rights: set[str]
) -> None:
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "ops"}],
    }
    write(kubeadm / "deployer.yaml", yaml.safe_dump(binding))
    text = kubeconfig(API_URL, "bot", token=token_of(subject))
    write(kubeadm / "worker1/home/ci/.kube/config", text)
    assert held(model_of(kubeadm), "bot@worker1") == rights
