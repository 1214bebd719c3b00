"""Keys for a cloud in the files of labkit's own environments, and in a user's copied files.

The forms are those of the documentation of cloud-provider-azure, cloud-provider-openstack,
cloud-provider-vsphere and of AWS's programs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.cluster import read_cluster, read_environment
from labkit.model import read_model

KUBEADM = Path(__file__).parent / "data/kubeadm"
MANIFEST = "cp1/etc/kubernetes/manifests/kube-controller-manager.yaml"
OPENSTACK = """
[Global]
auth-url = https://keystone.example/v3
username = "kubernetes"
password = not-a-real-one
[BlockStorage]
bs-version
"""
AZURE = '{"cloud": "AzurePublicCloud", "aadClientId": "app-1", "aadClientSecret": "not-a-real-one"}'
IDENTITY = '{"cloud": "AzurePublicCloud", "useManagedIdentityExtension": true, "aadClientId": ""}'
VSPHERE = "global:\n  user: kubernetes\n  password: not-a-real-one\n"
AWS = "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = not-a-real-one\n"
GCE = "[Global]\nproject-id = p-1\nmultizone = true\n"


def copied(folder: Path, path: str, text: str | None, flag: str = "", mode: str = "") -> Path:
    shutil.copytree(KUBEADM, folder)
    if text is not None:
        file = folder / f"cp1{path}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if flag:
        file, line = folder / MANIFEST, "    - kube-controller-manager\n"
        assert line in file.read_text()
        file.write_text(file.read_text().replace(line, f"{line}    - {flag}\n"))
    if mode:
        folders = (f"d\t755\troot\troot\t{it}\t" for it in ("/", "/etc", "/etc/kubernetes"))
        listed = [f"f\t{mode}\troot\troot\t{path}\t", *folders]
        (folder / "cp1/modes.txt").write_text("\n".join(listed) + "\n")
    return folder


@pytest.mark.parametrize(
    ("path", "text", "user", "line"),
    [
        ("/etc/kubernetes/cloud.conf", OPENSTACK, "kubernetes", 5),
        ("/etc/kubernetes/azure.json", AZURE, "app-1", None),
        ("/etc/kubernetes/cloud-config", VSPHERE, "kubernetes", 3),
        ("/srv/backup/.aws/credentials", AWS, "AKIAEXAMPLE", 3),
    ],
)
def test_key_is_found_without_being_shown(
    tmp_path: Path, path: str, text: str, user: str, line: int | None
) -> None:
    env = read_cluster(copied(tmp_path / "c", path, text))
    [found] = env.cloud_keys
    assert (found.node, found.path, found.user) == ("cp1", path, user)
    assert found.source.line == line
    model = read_model(env)
    assert "not-a-real-one" not in f"{env.cloud_keys}{model.credentials}{model.unknowns}"
    assert [it.kind for it in model.credentials if it.name == f"cloud key {path}"] == ["cloud key"]


@pytest.mark.parametrize(("path", "text"), [("azure.json", IDENTITY), ("cloud.conf", GCE)])
def test_configuration_without_a_key_holds_none(tmp_path: Path, path: str, text: str) -> None:
    env = read_cluster(copied(tmp_path / "c", f"/etc/kubernetes/{path}", text))
    assert env.cloud_keys == ()
    assert not [it for it in env.unknowns if path in str(it)]


@pytest.mark.parametrize(
    "text",
    [
        "[Global]\napi-key = not-a-real-one\n",
        '{"cloud": "c", "login": {"clientSecret": "not-a-real-one"}}',
        "accessToken: not-a-real-one\n",
        "login: |\n  -----BEGIN RSA PRIVATE KEY-----\n  not-a-real-one\n",
        # a certificate with its key, a key in base64, a number, a password in an address
        "cert: |\n  -----BEGIN CERTIFICATE-----\n  x\n  -----BEGIN PRIVATE KEY-----\n  y\n",
        "[Global]\naccess-key = /not-a-real-one+\n",
        "[Global]\nadmin-passwd = 20261129\n",
        "[Global]\nauth-url = https://admin:not-a-real-one@keystone.example/v3\n",
    ],
)
def test_name_that_may_stand_for_a_key_is_an_unknown(tmp_path: Path, text: str) -> None:
    env = read_cluster(copied(tmp_path / "c", "/etc/kubernetes/cloud.conf", text))
    assert env.cloud_keys == ()
    [unknown] = [it for it in env.unknowns if "whether it is a key for a cloud" in str(it)]
    assert "not-a-real-one" not in str(unknown)


@pytest.mark.parametrize(
    "line",
    [
        # of a file or an object that holds the key, or a switch
        *("secret-name = vsphere-creds", "secret-namespace = kube-system", "ca-file = /etc/ca.crt"),
        *("auth-url = https://keystone.example/v3", "useManagedIdentityExtension = true"),
        *("trust-id = 7c5", "token-ttl = 3600"),
    ],
)
def test_name_that_stands_for_no_key_is_no_unknown(tmp_path: Path, line: str) -> None:
    text = f"[Global]\n{line}\n"
    env = read_cluster(copied(tmp_path / "c", "/etc/kubernetes/cloud.conf", text))
    assert env.cloud_keys == ()
    assert not [it for it in env.unknowns if "cloud.conf" in str(it)]


@pytest.mark.parametrize("text", [None, "just words", "[Global\nx", "[a]\n= 1\n"])
def test_named_file_that_cannot_be_read_is_an_unknown(tmp_path: Path, text: str | None) -> None:
    path = "/etc/kubernetes/mine.conf"
    env = read_cluster(copied(tmp_path / "c", path, text, flag=f"--cloud-config={path}"))
    assert env.cloud_keys == ()
    assert any("whether it holds a key is not known" in str(it) for it in env.unknowns)


@pytest.mark.parametrize(("mode", "said"), [("644", "user"), ("600", ""), ("", "perhaps")])
def test_mode_of_the_file_says_who_reads_the_key(tmp_path: Path, mode: str, said: str) -> None:
    path = "/etc/kubernetes/mine.conf"
    flag = f"--cloud-config={path}"
    env = read_cluster(copied(tmp_path / "c", path, OPENSTACK, flag, mode))
    [held] = [it for it in read_model(env).credentials if it.kind == "cloud key"]
    found = "user" if held.readable_by else "perhaps" if held.perhaps_readable_by else ""
    assert found == said


@pytest.mark.parametrize(
    ("mode", "readable"), [("cloud-insecure", ("user:master",)), ("cloud-hardened", ())]
)
def test_key_of_the_lab_is_a_credential_of_the_model(mode: str, readable: tuple[str, ...]) -> None:
    model = read_model(read_environment(mode))
    [held] = [it for it in model.credentials if it.kind == "cloud key"]
    assert held.id == "cloud key /etc/kubernetes/cloud-credentials@master"
    assert tuple(it.word for it in held.readable_by) == readable
    assert held.identity == "AKIALABKITCONTROLLER"
