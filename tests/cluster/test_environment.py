"""Read a whole environment: layers, drop-ins, missing files, unknowns."""

from __future__ import annotations

import pytest

from labkit.cluster import read_environment
from labkit.cluster.edits import Whole
from labkit.errors import ConfigError

API = "hardened/master/etc/systemd/system/kube-apiserver.service"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_environment_has_the_files_of_its_layers(modes):
    env = read_environment(modes / "insecure")
    assert [(n.name, n.role, n.zone, n.host) for n in env.nodes][3] == (
        "master",
        "master",
        "master node",
        10,
    )
    worker = env.node("worker2")
    assert worker.files["/etc/containerd/config.toml"].layer == "common"
    assert worker.files["/etc/kubernetes/kubelet.yaml"].source == (
        "insecure/worker/etc/kubernetes/kubelet.yaml"
    )
    assert [(g.name, g.member) for g in worker.groups if g.member] == [("docker", "bob")]
    assert {a.name for a in worker.accounts} == {"alice", "bob"}
    assert [s.name for s in env.secrets] == ["db-credentials", "card-processor"]


def test_later_layer_overrides_by_path(modes):
    target = modes / "insecure/worker/etc/containerd/config.toml"
    target.parent.mkdir(parents=True)
    target.write_text("[grpc]\ngid = 7\n")
    env = read_environment(modes / "insecure")
    assert env.node("worker1").files["/etc/containerd/config.toml"].layer == "insecure"
    assert env.component("containerd@worker1").setting("grpc.gid").value == "7"


def test_drop_in_replaces_the_command(modes):
    folder = modes / "hardened/master/etc/systemd/system/kube-apiserver.service.d"
    folder.mkdir()
    (folder / "10-flip.conf").write_text(
        "[Service]\nExecStart=\nExecStart=/usr/local/bin/kube-apiserver --anonymous-auth=true\n"
    )
    found = read_environment(modes / "hardened").component("kube-apiserver@master")
    setting = found.setting("anonymous-auth")
    assert (setting.value, setting.source.line) == ("true", 3)
    assert setting.source.path.endswith("kube-apiserver.service.d/10-flip.conf")
    assert found.setting("client-ca-file").source.default


def test_empty_unit_file_masks_the_unit(modes):
    (modes / "insecure/master/etc/systemd/system/kubectl-proxy.service").write_text("")
    env = read_environment(modes / "insecure")
    assert env.component("kube-apiserver@master")
    with pytest.raises(KeyError, match="kubectl-proxy@master"):
        env.component("kubectl-proxy@master")


def test_etcd_flags_override_its_environment_variables(modes):
    unit = modes / "insecure/etcd/etc/systemd/system/etcd.service"
    change(unit, "[Service]", "[Service]\nEnvironment=ETCD_CLIENT_CERT_AUTH=true ETCD_NAME=x")
    etcd = read_environment(modes / "insecure").component("etcd@etcd1")
    assert etcd.setting("client-cert-auth").value == "true"
    # the command line wins
    assert etcd.setting("name").value == "etcd1"


def test_unknown_flag_is_an_unknown(modes):
    change(modes / API, "  --profiling=false", "  --profilng=false")
    [unknown] = read_environment(modes / "hardened").unknowns
    assert (unknown.path, unknown.line, unknown.text) == (API, 32, "--profilng=false")


def test_misspelt_role_folder_is_an_unknown(modes):
    (modes / "hardened/worker").rename(modes / "hardened/wroker")
    env = read_environment(modes / "hardened")
    assert "hardened/wroker" in [item.path for item in env.unknowns]


def test_command_started_by_a_shell_is_an_unknown(modes):
    unit = modes / "insecure/worker/etc/systemd/system/flanneld.service"
    unit.write_text("[Service]\nExecStart=/bin/sh -c 'exec flanneld $(cat /flags)'\n")
    env = read_environment(modes / "insecure")
    assert {item.why for item in env.unknowns} == {
        "it starts flanneld, but labkit cannot read with which flags"
    }
    assert not env.component("flanneld@worker1").complete


BROKEN = [
    (API, "[Service]", "[Service", r"kube-apiserver\.service:6: a section header"),
    (API, "/usr/local/bin/kube-apiserver", "'open", r"kube-apiserver\.service:9: a quote"),
    (API, "encryption.yaml", "none.yaml", r"kube-apiserver\.service:25: .*master has no such file"),
    (
        "hardened/worker/etc/kubernetes/kubelet.yaml",
        "port: 10250",
        "port: [",
        r"hardened/worker/etc/kubernetes/kubelet\.yaml:\d+: no valid YAML",
    ),
    (
        "hardened/master/etc/kubernetes/admin.conf",
        "current-context: hardened",
        "current-context: soft",
        r"admin\.conf:9: no entry named 'soft'",
    ),
    (
        "hardened/master/etc/systemd/system/kube-scheduler.service",
        "scheduler.conf",
        "sched.conf",
        r"kube-scheduler\.service:8: .*no file /etc/kubernetes/sched\.conf",
    ),
    ("topology.yaml", "role: master,", "role: boss,", r"topology\.yaml:17: .*unknown role 'boss'"),
    (
        "topology.yaml",
        "  worker2:",
        "  worker1:",
        r"topology\.yaml:19: 'worker1' stands here twice",
    ),
    (
        "hardened/pki.yaml",
        "signed_by: etcd-peer-ca",
        "signed_by: nobody",
        r"pki\.yaml:151: .*no authority named 'nobody'",
    ),
    (
        "hardened/pki.yaml",
        "[etcd-ca, kubernetes-ca]",
        "[etcd-ca, nobody]",
        r"pki\.yaml:36: .*no authority named 'nobody'",
    ),
    ("hardened/environment.yaml", "../common", "../nowhere", r"environment\.yaml:4: extends"),
    (
        "hardened/environment.yaml",
        "../topology",
        "../none",
        r"^none\.yaml: cannot be read: .*\n.*environment\.yaml$",
    ),
    (
        "hardened/etcd-auth.yaml",
        "[flannel-worker1]",
        "[fennel]",
        r"etcd-auth\.yaml:17: .*'fennel'",
    ),
]


@pytest.mark.parametrize(("path", "old", "new", "message"), BROKEN, ids=lambda p: str(p)[:40])
def test_broken_file_gives_one_message_with_its_line(modes, path, old, new, message):
    change(modes / path, old, new)
    with pytest.raises(ConfigError, match=message) as caught:
        read_environment(modes / "hardened")
    assert caught.value.hint


def test_corrupt_certificate_names_its_file(modes):
    target = modes / "hardened/master/etc/kubernetes/pki/ca.crt"
    target.parent.mkdir()
    target.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"hardened/master/etc/kubernetes/pki/ca\.crt:1: no cert"):
        read_environment(modes / "hardened")


def test_file_that_is_not_utf8_is_refused_with_its_line(modes):
    (modes / API).write_bytes(b"[Unit]\n\xff\xfe")
    with pytest.raises(ConfigError, match=r"kube-apiserver\.service:2: not UTF-8"):
        read_environment(modes / "hardened")


def test_unknown_environment_is_refused_with_the_known_ones(modes, monkeypatch):
    monkeypatch.setenv("LABKIT_ENVIRONMENTS", str(modes))
    with pytest.raises(ConfigError, match="one of hardened, insecure"):
        read_environment("soft")


def test_environment_that_extends_itself_is_refused(modes):
    change(modes / "hardened/environment.yaml", "../common", "../hardened")
    with pytest.raises(ConfigError, match="extends itself"):
        read_environment(modes / "hardened")


@pytest.mark.parametrize(
    "value",
    ["''", "", "~", "'  '", "7", "true", "[a]", "{a: b}", "a b", "a/b", "'../x'", "-a", "a,b=c"],
)
def test_invalid_name_is_refused_with_its_line(modes, value):
    file = modes / "insecure/environment.yaml"
    text = file.read_text()
    assert text.splitlines()[1] == "name: insecure"
    file.write_text(text.replace("name: insecure", f"name: {value}"))
    with pytest.raises(ConfigError, match=r"insecure/environment\.yaml:2: name: .* cannot name"):
        read_environment(modes / "insecure")


def test_environment_without_a_name_has_its_folders_name(modes):
    file = modes / "insecure/environment.yaml"
    file.write_text(file.read_text().replace("name: insecure\n", ""))
    assert read_environment(modes / "insecure").name == "insecure"
    (modes / "insecure").rename(modes / "my cluster")
    with pytest.raises(ConfigError, match=r"'my cluster' cannot name an environment"):
        read_environment(modes / "my cluster")


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("/usr/sbin/ip route get 169.254.169.254", True),
        ("/usr/bin/logger started", True),
        ("-/bin/sleep 5", True),
        # ip starts a program in a namespace, and takes short words for it, or commands of a file
        ("/usr/sbin/ip netns exec blue etcd", False),
        ("/usr/sbin/ip net e blue etcd", False),
        ("/usr/sbin/ip -batch /etc/routes", False),
        ("/usr/sbin/ip", False),
        ("/usr/sbin/nginx", False),
        ("/bin/sh -c 'sleep 5'", False),
        # a program of that name from elsewhere, and one that systemd looks for
        ("/opt/bin/logger started", False),
        ("logger started", False),
        # every command of a oneshot service is started
        ("/usr/local/bin/etcd\nExecStart=/bin/sleep 5", False),
        ("/bin/sleep 5\nExecStart=/bin/true", True),
        ("/usr/local/bin/etcd\nExecStart=\nExecStart=/bin/sleep 5", True),
        ("/bin/sleep 5\nExecStartPost=/usr/sbin/nginx", False),
        ("/bin/sleep 5\nExecStartPost=/usr/bin/logger started", True),
        # systemd ends what this one starts before it goes on: systemd.service(5)
        ("/bin/sleep 5\nExecStartPre=/usr/sbin/nginx", True),
    ],
)
def test_unit_that_starts_no_component_is_not_unknown(command: str, known: bool) -> None:
    unit = f"[Service]\nType=oneshot\nExecStart={command}\n"
    edit = Whole("worker", "/etc/systemd/system/other.service", unit)
    assert (read_environment("insecure", [edit]).unknowns == ()) is known


def test_script_with_the_name_of_a_tool_is_unknown() -> None:
    unit = Whole("worker", "/etc/systemd/system/other.service", "[Service]\nExecStart=/bin/sleep\n")
    script = Whole("worker", "/bin/sleep", "#!/bin/sh\nexec $SERVER\n")
    assert read_environment("insecure", [unit]).unknowns == ()
    [found] = read_environment("insecure", [unit, script]).unknowns
    assert found.text == "ExecStart=/bin/sleep"


@pytest.mark.parametrize("profile", ["cloud", "hook", "light", "logs", "oidc"])
@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_environment_of_a_profile_is_wholly_understood(profile: str, mode: str) -> None:
    assert read_environment(f"{profile}-{mode}").unknowns == ()
