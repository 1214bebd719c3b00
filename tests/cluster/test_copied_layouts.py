"""Files of machines in other places and forms than kubeadm's: read as systemd and kubelets do.

The right answers are in systemd.unit(5), systemd.exec(5), systemd.service(5), in Kubernetes'
"Create static Pods" and its reference of flags, and in pkg/kubelet/config/file.go.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import Environment, read_cluster
from labkit.model import Model, read_model

KUBEADM = Path(__file__).parent / "data/kubeadm"
UNITS = "worker1/usr/lib/systemd/system"
MANIFESTS = "cp1/etc/kubernetes/manifests"
OPEN = "--anonymous-auth=true --authorization-mode=AlwaysAllow"
CONFIG = "--config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf"
TO_KUBELET = "-> kubelet@worker1:10250"
TO_API = "-> kube-apiserver@cp1:6443"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(KUBEADM, tmp_path / "c")
    return tmp_path / "c"


def write(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def unit(folder: Path, text: str, at: str = UNITS) -> None:
    """Replace the worker's kubelet.service and its drop-ins by one unit."""
    for found in (folder / "worker1").rglob("kubelet.service*"):
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()
    write(folder, f"{at}/kubelet.service", f"[Service]\n{text}\n")


def values(folder: Path, end: str) -> tuple[str, str]:
    """Return client authentication and authorization of the channels that end so."""
    found = {
        (it.client_authentication.value, it.authorization.value)
        for it in read_model(read_cluster(folder)).channels
        if it.id.endswith(end)
    }
    assert len(found) == 1, found
    return found.pop()


def said(env: Environment, *words: str) -> list[str]:
    return [str(it) for it in env.unknowns if all(word in str(it) for word in words)]


ANYONE, UNKNOWN = ("anonymous", "allow-all"), ("unknown", "unknown")


@pytest.mark.parametrize(
    "at",
    [
        "worker1/usr/local/lib/systemd/system",
        "worker1/etc/systemd/system",
        "worker1/etc/systemd/system.control",
        "worker1/run/systemd/system",
        "worker1/lib/systemd/system",
    ],
)
def test_units_are_read_in_every_folder_of_systemd(folder: Path, at: str) -> None:
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} {OPEN}", at)
    assert values(folder, TO_KUBELET) == ANYONE


def test_the_administrators_unit_wins_over_the_packages(folder: Path) -> None:
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} {OPEN}")
    write(
        folder,
        "worker1/usr/local/lib/systemd/system/kubelet.service",
        f"[Service]\nExecStart=/usr/bin/kubelet {CONFIG}\n",
    )
    assert values(folder, TO_KUBELET) == ("required", "enforced")


@pytest.mark.parametrize(
    "command",
    [
        f'/bin/bash -c "exec /usr/bin/kubelet {CONFIG} {OPEN}"',
        f"/usr/bin/env GOMAXPROCS=2 /usr/bin/kubelet {CONFIG} {OPEN}",
        "/opt/start-kubelet",
    ],
)
def test_wrapped_kubelet_is_read(folder: Path, command: str) -> None:
    unit(folder, f"ExecStart={command}")
    write(folder, "worker1/opt/start-kubelet", f"#!/bin/sh\nexec kubelet {CONFIG} {OPEN}\n")
    assert values(folder, TO_KUBELET) == ANYONE


@pytest.mark.parametrize(
    "text",
    [
        'ExecStart=/bin/bash -c "exec /usr/bin/kubelet $(cat /args)"',
        # not among the files
        "ExecStart=/opt/start-kubelet",
        f"EnvironmentFile=/etc/kubelet.env\nExecStart=/usr/bin/kubelet {CONFIG} $ARGS",
    ],
)
def test_unreadable_flags_leave_claims_unknown(folder: Path, text: str) -> None:
    unit(folder, text)
    # a flag wins over the configuration: what it says may not count
    assert values(folder, TO_KUBELET) == UNKNOWN
    env = read_cluster(folder)
    assert not env.component("kubelet@worker1").complete
    assert said(env, "kubelet.service")


@pytest.mark.parametrize(("other", "complete"), [("grub", True), ("", False)])
def test_optional_file_is_absent_only_if_its_folder_was_copied(
    folder: Path, other: str, complete: bool
) -> None:
    unit(
        folder, f"EnvironmentFile=-/etc/default/kubelet\nExecStart=/usr/bin/kubelet {CONFIG} $ARGS"
    )
    if other:
        write(folder, f"worker1/etc/default/{other}", "A=b\n")
    env = read_cluster(folder)
    assert env.component("kubelet@worker1").complete is complete
    # what the configuration says stays: few machines have the optional file
    assert values(folder, TO_KUBELET) == ("required", "enforced")
    # the port for reading only is off by default
    read_only = values(folder, "anyone@network -> kubelet@worker1:10255")
    assert read_only == (("closed", "closed") if complete else ("unknown", "unknown"))


@pytest.mark.parametrize(
    "pattern", ["/etc/default/kubelet*", "/etc/default/kube?et", "/etc/*/kubelet"]
)
def test_wildcards_of_environment_files_are_followed(folder: Path, pattern: str) -> None:
    unit(folder, f"EnvironmentFile=-{pattern}\nExecStart=/usr/bin/kubelet {CONFIG} $ARGS")
    write(folder, "worker1/etc/default/kubelet", f'ARGS="{OPEN}"\n')
    assert values(folder, TO_KUBELET) == ANYONE


def test_a_wildcard_does_not_cross_folders(folder: Path) -> None:
    unit(folder, f"EnvironmentFile=-/etc/*\nExecStart=/usr/bin/kubelet {CONFIG} $ARGS")
    write(folder, "worker1/etc/default/kubelet", f'ARGS="{OPEN}"\n')
    write(folder, "worker1/etc/hostname", "worker1\n")
    assert values(folder, TO_KUBELET) == ("required", "enforced")


@pytest.mark.parametrize("extra", ["default", "sysconfig"])
def test_extra_flags_count_without_a_copied_unit(folder: Path, extra: str) -> None:
    unit(folder, "", at="worker1/opt")
    write(folder, f"worker1/etc/{extra}/kubelet", f'KUBELET_EXTRA_ARGS="{OPEN}"\n')
    assert values(folder, TO_KUBELET) == ANYONE


def test_flags_of_kubeadm_that_were_not_copied_may_override_the_configuration(
    folder: Path,
) -> None:
    unit(folder, "", at="worker1/opt")
    assert values(folder, TO_KUBELET) == ("required", "enforced")
    assert said(read_cluster(folder), "/etc/default/kubelet", "not all copied")
    (folder / "worker1/var/lib/kubelet/kubeadm-flags.env").unlink()
    assert values(folder, TO_KUBELET) == UNKNOWN


def test_demanded_file_that_was_not_copied_may_override_the_configuration(folder: Path) -> None:
    for prefix, found in (("-", ("required", "enforced")), ("", UNKNOWN)):
        unit(
            folder,
            f"EnvironmentFile={prefix}/etc/kubelet.env\nExecStart=/usr/bin/kubelet {CONFIG} $ARGS",
        )
        assert values(folder, TO_KUBELET) == found


@pytest.mark.parametrize(
    ("unit_text", "drop_in"),
    [
        (f"[Service]\noops\nExecStart=/usr/bin/kubelet {CONFIG} {OPEN}\n", ""),
        ("[Service]\n", f"[Service]\noops\nExecStart=/usr/bin/kubelet {CONFIG} {OPEN}\n"),
        (
            f"[Service]\nExecStart=/usr/bin/kubelet {CONFIG} $MORE\n",
            f'[Service]\nEnvironment=oops "MORE={OPEN}"\n',
        ),
    ],
)
def test_lines_that_systemd_ignores_are_left_out(
    folder: Path, unit_text: str, drop_in: str
) -> None:
    unit(folder, "")
    write(folder, f"{UNITS}/kubelet.service", unit_text)
    write(folder, f"{UNITS}/kubelet.service.d/20.conf", drop_in)
    assert values(folder, TO_KUBELET) == ANYONE
    assert said(read_cluster(folder), "oops")


@pytest.mark.parametrize("text", ["[Service\nExecStart=/usr/bin/kubelet\n", "[Service]\nA=b\n"])
def test_a_unit_that_cannot_be_read_leaves_claims_unknown(folder: Path, text: str) -> None:
    unit(folder, "")
    write(folder, f"{UNITS}/kubelet.service", text)
    assert values(folder, TO_KUBELET) == UNKNOWN


def test_a_script_of_the_kubelets_name_is_read(folder: Path) -> None:
    unit(folder, f"ExecStart=/usr/local/bin/kubelet {CONFIG}")
    path = "worker1/usr/local/bin/kubelet"
    write(folder, path, f'#!/bin/sh\nexec /opt/kubelet {OPEN} "$@"\n')
    assert values(folder, TO_KUBELET) == UNKNOWN
    write(folder, path, f"#!/bin/sh\nexec /opt/kubelet {CONFIG} {OPEN}\n")
    assert values(folder, TO_KUBELET) == ANYONE


def test_flags_end_at_two_dashes(folder: Path) -> None:
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} {OPEN} -- --anonymous-auth=false")
    assert values(folder, TO_KUBELET) == ANYONE


DROP_IN = '{"kind": "KubeletConfiguration", "authentication": {"anonymous": {"enabled": true}}}'


def test_drop_ins_of_the_kubelet_that_were_not_copied_leave_claims_unknown(folder: Path) -> None:
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} --config-dir=/etc/kubelet.d")
    assert values(folder, TO_KUBELET) == UNKNOWN
    write(folder, "worker1/etc/kubelet.d/10.conf", DROP_IN)
    assert values(folder, TO_KUBELET) == ("anonymous", "enforced")
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} --config-dir=/etc/none.d {OPEN}")
    assert values(folder, TO_KUBELET) == ANYONE


KUBELET = (
    '{"kind": "KubeletConfiguration", "authentication": {"anonymous": {"enabled": true}, '
    '"x509": {"clientCAFile": "pki/ca.crt"}}, "authorization": {"mode": "AlwaysAllow"}}'
)


def test_relative_paths_start_in_the_working_directory(folder: Path) -> None:
    flags = "--kubeconfig=kubelet.conf --config=k.json"
    unit(folder, f"WorkingDirectory=/etc/kubernetes\nExecStart=/usr/bin/kubelet {flags}")
    write(folder, "worker1/etc/kubernetes/k.json", KUBELET)
    assert values(folder, TO_KUBELET) == ANYONE
    kubelet = read_cluster(folder).component("kubelet@worker1")
    # paths in the kubelet's configuration start in the folder of that file
    assert kubelet.setting("authentication.x509.clientCAFile").value == "/etc/kubernetes/pki/ca.crt"


def moved(folder: Path, to: str) -> None:
    """Move the static pods of the control plane to another folder."""
    target = folder / f"cp1{to}"
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / MANIFESTS).rename(target)


def control_plane(folder: Path) -> set[str]:
    return {it.kind for it in read_cluster(folder).components if it.node == "cp1"}


ALL = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"}
STATIC_POD_PATH = "staticPodPath: /etc/kubernetes/manifests"


def test_static_pods_are_where_the_configuration_says(folder: Path) -> None:
    moved(folder, "/opt/static")
    file = folder / "cp1/var/lib/kubelet/config.yaml"
    assert STATIC_POD_PATH in file.read_text()
    file.write_text(file.read_text().replace(STATIC_POD_PATH, "staticPodPath: /opt/static"))
    assert control_plane(folder) >= ALL


@pytest.mark.parametrize(
    "flag", ["--pod-manifest-path=/opt/static", "--pod_manifest_path=/opt/static/"]
)
def test_static_pods_are_where_the_flag_says(folder: Path, flag: str) -> None:
    moved(folder, "/opt/static")
    write(folder, "cp1/var/lib/kubelet/kubeadm-flags.env", f'KUBELET_KUBEADM_ARGS="{flag}"\n')
    assert control_plane(folder) >= ALL


def test_static_pods_follow_a_configuration_in_another_place(folder: Path) -> None:
    moved(folder, "/opt/static")
    text = (folder / "cp1/var/lib/kubelet/config.yaml").read_text()
    (folder / "cp1/var/lib/kubelet/config.yaml").unlink()
    write(folder, "cp1/etc/k.yaml", text.replace(STATIC_POD_PATH, "staticPodPath: /opt/static"))
    start = (
        "ExecStart=/usr/bin/kubelet --config=/etc/k.yaml --kubeconfig=/etc/kubernetes/kubelet.conf"
    )
    write(folder, "cp1/etc/systemd/system/kubelet.service", f"[Service]\n{start}\n")
    for drop in (folder / "cp1").rglob("kubelet.service.d"):
        shutil.rmtree(drop)
    assert control_plane(folder) >= ALL


@pytest.mark.parametrize(
    "name", ["kube-apiserver.yaml.backup", "old", "kube-apiserver.json.1", "z.yml"]
)
def test_every_file_of_the_folder_is_a_static_pod(folder: Path, name: str) -> None:
    text = (folder / MANIFESTS / "kube-apiserver.yaml").read_text()
    weak = text.replace("--authorization-mode=Node,RBAC", "--authorization-mode=AlwaysAllow")
    assert weak != text
    write(folder, f"{MANIFESTS}/{name}", weak)
    env = read_cluster(folder)
    later = max(name, "kube-apiserver.yaml")
    assert said(env, later, "the same pod as in", min(name, "kube-apiserver.yaml"))
    # which of the two runs, nothing says
    assert values(folder, f"kube-proxy@worker1 {TO_API}") == ("unknown", "unknown")


def test_files_that_begin_with_a_dot_are_not_run(folder: Path) -> None:
    text = (folder / MANIFESTS / "kube-apiserver.yaml").read_text()
    write(folder, f"{MANIFESTS}/.kube-apiserver.yaml.swp", text.replace("Node,RBAC", "AlwaysAllow"))
    assert not said(read_cluster(folder), "swp")
    assert values(folder, TO_API)[1] == "enforced"


def test_underscores_in_flags_are_dashes(folder: Path) -> None:
    file = folder / MANIFESTS / "kube-apiserver.yaml"
    text = file.read_text()
    line = "    - kube-apiserver\n"
    text = text.replace(line, f"{line}    - --anonymous_auth=false\n")
    file.write_text(text.replace("--authorization-mode=", "--authorization_mode="))
    assert values(folder, TO_API) == ("required", "enforced")
    assert not said(read_cluster(folder), "no such flag of kube-apiserver")


def test_etcd_does_not_know_underscores(folder: Path) -> None:
    file = folder / MANIFESTS / "etcd.yaml"
    file.write_text(file.read_text().replace("--client-cert-auth=", "--client_cert_auth="))
    assert said(read_cluster(folder), "client_cert_auth", "no such flag of etcd")


@pytest.mark.parametrize("value", ["off", "yes", "nein"])
def test_a_flag_that_is_not_boolean_is_reported(folder: Path, value: str) -> None:
    file = folder / MANIFESTS / "kube-apiserver.yaml"
    line = "    - kube-apiserver\n"
    file.write_text(file.read_text().replace(line, f"{line}    - --anonymous-auth={value}\n"))
    assert said(read_cluster(folder), f"--anonymous-auth={value}", "not a boolean")


ENVIRONMENT = """apiVersion: v1
kind: Pod
metadata: {{name: etcd, namespace: kube-system}}
spec:
  hostNetwork: true
  containers:
  - name: etcd
    image: registry.k8s.io/etcd:3.6.6-0
    command: [/usr/local/bin/etcd{flag}]
    env:
    - {{name: ETCD_LISTEN_CLIENT_URLS, value: "https://0.0.0.0:2379"}}
    - {{name: ETCD_CLIENT_CERT_AUTH, value: "{value}"}}
{more}"""


def model(folder: Path, flag: str = "", value: str = "true", more: str = "") -> Model:
    text = ENVIRONMENT.format(flag=flag, value=value, more=more)
    write(folder, f"{MANIFESTS}/etcd.yaml", text)
    return read_model(read_cluster(folder))


def client(found: Model) -> str:
    [value] = {
        it.client_authentication.value for it in found.channels if it.id.endswith("etcd@cp1:2379")
    }
    return value


def test_etcd_is_set_by_its_environment(folder: Path) -> None:
    assert client(model(folder)) == "required"
    assert client(model(folder, value="false")) == "none"
    # a flag wins over the environment
    assert client(model(folder, flag=", --client-cert-auth=true", value="false")) == "required"


def test_variables_that_the_manifest_only_names_leave_claims_unknown(folder: Path) -> None:
    more = "    envFrom: [{configMapRef: {name: etcd}}]\n"
    env = model(folder, more=more).env
    assert env is not None
    assert not env.component("etcd@cp1").complete
    assert said(env, "envFrom")


@pytest.mark.parametrize(
    "url", ["unix:///run/etcd.sock", "unix:///run/etcd.sock:0", "unixs://etcd:0"]
)
def test_a_socket_of_etcd_is_an_unknown_and_no_channel(folder: Path, url: str) -> None:
    file = folder / MANIFESTS / "kube-apiserver.yaml"
    text = file.read_text()
    assert "--etcd-servers=https://127.0.0.1:2379" in text
    file.write_text(text.replace("--etcd-servers=https://127.0.0.1:2379", f"--etcd-servers={url}"))
    env = read_cluster(folder)
    assert said(env, url, "not known")
    found = read_model(env)
    assert not [it.id for it in found.channels if it.id.startswith("kube-apiserver@cp1 -> etcd@")]
    assert "etcd@" not in {it.id for it in found.components}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("etc/rancher/k3s/config.yaml", "k3s"),
        ("etc/systemd/system/k3s-agent.service", "k3s"),
        ("etc/rancher/rke2/config.yaml", "RKE2"),
        ("etc/k0s/k0s.yaml", "k0s"),
        ("etc/systemd/system/k0scontroller.service", "k0s"),
        ("var/snap/microk8s/current/args/kube-apiserver", "MicroK8s"),
        ("etc/eks/image-credential-provider/config.json", "EKS"),
    ],
)
def test_a_distribution_that_is_not_read_is_named(folder: Path, path: str, name: str) -> None:
    assert not said(read_cluster(folder), "recognises and does not read")
    write(folder, f"worker1/{path}", "")
    [found] = said(read_cluster(folder), "recognises and does not read")
    assert f"worker1 runs {name}," in found


# docker's opts/hosts.go: an address without a scheme is tcp://, one without a host is localhost
@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("0.0.0.0:2375", ("none", "allow-all")),
        ("tcp://0.0.0.0", ("none", "allow-all")),
        ("tcp://:2375", ("closed", "closed")),
        ("tcp://", ("closed", "closed")),
    ],
)
def test_addresses_of_dockerd_are_read_as_docker_reads_them(
    folder: Path, host: str, found: tuple[str, str]
) -> None:
    unix = "unix:///var/run/docker.sock"
    text = f"[Service]\nExecStart=/usr/bin/dockerd -H {unix} -H {host}\n"
    write(folder, "worker1/etc/systemd/system/docker.service", text)
    assert values(folder, "anyone@network -> dockerd@worker1:2375") == found
    text = f'{{"hosts": ["{unix}", "{host}"]}}'
    write(folder, "worker1/etc/docker/daemon.json", text)
    write(
        folder,
        "worker1/etc/systemd/system/docker.service",
        "[Service]\nExecStart=/usr/bin/dockerd\n",
    )
    assert values(folder, "anyone@network -> dockerd@worker1:2375") == found


@pytest.mark.parametrize(("other", "found"), [("", "unknown"), ("key.json", "closed")])
def test_configuration_that_dockerd_reads_by_default_may_not_have_been_copied(
    folder: Path, other: str, found: str
) -> None:
    text = "[Service]\nExecStart=/usr/bin/dockerd\n"
    write(folder, "worker1/etc/systemd/system/docker.service", text)
    if other:
        write(folder, f"worker1/etc/docker/{other}", "{}")
    assert values(folder, "anyone@network -> dockerd@worker1:2375")[0] == found
    assert bool(said(read_cluster(folder), "/etc/docker/daemon.json")) is not bool(other)


def test_flags_beside_a_configuration_of_etcd_that_was_not_copied_do_not_count(
    folder: Path,
) -> None:
    file = folder / MANIFESTS / "etcd.yaml"
    line = "    - etcd\n"
    file.write_text(file.read_text().replace(line, f"{line}    - --config-file=/etc/etcd.yml\n"))
    model = read_model(read_cluster(folder))
    found = {it.client_authentication.value for it in model.channels if "-> etcd@cp1" in it.id}
    assert found == {"unknown"}
    assert attack_paths(model, "network", "admin").possible


SAFE = "--anonymous-auth=false --authorization-mode=Webhook"
#: kube-apiserver started by a unit, as "Kubernetes the hard way" and older packages do it.
API = "/usr/bin/kube-apiserver --anonymous-auth=false --authorization-mode=Node,RBAC \
--client-ca-file=/etc/kubernetes/pki/ca.crt"


@pytest.mark.parametrize(
    ("before", "line", "found"),
    [
        # pflag calls Set for each flag in turn, and the last value stays (pflag's flag.go)
        ("", f"{SAFE} $EXTRA", UNKNOWN),
        ("EnvironmentFile=/etc/kubelet.env\n", f"{SAFE} $EXTRA", UNKNOWN),
        ("EnvironmentFile=/etc/kubelet.env\n", f"$EXTRA {SAFE}", ("required", "enforced")),
        ("EnvironmentFile=/etc/kubelet.env\n", f"--v=2 ${{EXTRA}} {OPEN}", ANYONE),
        # systemd.exec(5): the file wins over Environment=
        ('Environment="EXTRA=--v=2"\nEnvironmentFile=/etc/k.env\n', f"{SAFE} $EXTRA", UNKNOWN),
        ('Environment="EXTRA=--v=2"\n', f"{SAFE} $EXTRA", ("required", "enforced")),
    ],
)
def test_flags_before_a_variable_that_was_not_read_may_be_overridden(
    folder: Path, before: str, line: str, found: tuple[str, str]
) -> None:
    unit(folder, f"{before}ExecStart=/usr/bin/kubelet {CONFIG} {line}")
    assert values(folder, TO_KUBELET) == found


@pytest.mark.parametrize("before", ["", "EnvironmentFile=/etc/a.env\n", "EnvironmentFile=-/a/b\n"])
def test_an_apiservers_flags_before_an_unread_variable_are_unknown(
    folder: Path, before: str
) -> None:
    (folder / MANIFESTS / "kube-apiserver.yaml").unlink()
    path = "cp1/etc/systemd/system/kube-apiserver.service"
    write(folder, path, f"[Service]\n{before}ExecStart={API} $EXTRA\n")
    assert values(folder, TO_API) == UNKNOWN
    model = read_model(read_cluster(folder))
    assert attack_paths(model, "network", "admin").possible
    # a list is that of all flags (pflag's StringSlice): AlwaysAllow before it counts as well
    write(folder, path, f"[Service]\n{before}ExecStart={API.replace(' ', ' $EXTRA ', 1)}\n")
    assert values(folder, TO_API) == ("required", "unknown")
    write(folder, path, f"[Service]\nExecStart={API}\n")
    assert values(folder, TO_API) == ("required", "enforced")


@pytest.mark.parametrize(
    ("word", "unknown"),
    [("$(EXTRA)", True), ("--$(EXTRA)", True), ("--advertise-address=$(EXTRA)", False)],
)
def test_a_static_pods_variable_without_a_value_may_be_any_flag(
    folder: Path, word: str, unknown: bool
) -> None:
    path = folder / MANIFESTS / "kube-apiserver.yaml"
    text = path.read_text()
    assert "    - --allow-privileged=true\n" in text
    path.write_text(text.replace("--allow-privileged=true\n", f'"{word}"\n'))
    before = [it for it in text.split("    - ") if it.startswith("--")][-1]
    path.write_text(path.read_text().replace(before, f'{before.strip()}\n    - "{word}"\n', 1))
    assert values(folder, TO_API)[1] == ("unknown" if unknown else "enforced")


URL = "http://192.0.2.7/pods.yaml"


@pytest.mark.parametrize("key", [False, True])
@pytest.mark.parametrize(("url", "network"), [(URL, True), (URL.replace("http:", "https:"), False)])
def test_pods_from_a_url_are_unknown(folder: Path, key: bool, url: str, network: bool) -> None:
    """Kubernetes, "Create static Pods": web-hosted manifests; KubeletConfiguration, staticPodURL.

    pkg/kubelet/config/http.go: every 20 seconds by default, and no admission is asked.
    """
    shutil.copy(KUBEADM.parent / "all-pods.yaml", folder)
    config = folder / "worker1/var/lib/kubelet/config.yaml"
    flag = f"--manifest-url={url}"
    if key:
        flag = f"staticPodURL: {url}"
        config.write_text(f"{config.read_text()}\n{flag}\n")
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG} {'' if key else flag}")
    env = read_cluster(folder)
    assert said(env, "worker1", "not known", url)
    model = read_model(env)
    assert attack_paths(model, "pod", "root:worker1").possible
    assert bool(attack_paths(model, "network", "root:worker1").possible) is network
    config.write_text(config.read_text().replace(flag, ""))
    unit(folder, f"ExecStart=/usr/bin/kubelet {CONFIG}")
    model = read_model(read_cluster(folder))
    assert not attack_paths(model, "pod", "root:worker1").possible


POD_WITH_TOKEN = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  automountServiceAccountToken: false
  nodeName: worker1
  containers: [{name: web, volumeMounts: [{name: t, mountPath: /t}]}]
  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t, audience: AUD}}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
"""


@pytest.mark.parametrize(
    ("audience", "more", "known"),
    [
        # kubeadm's issuer, and --api-audiences, whose default it is
        ("https://kubernetes.default.svc.cluster.local", "", True),
        ("vault", "", False),
        ("vault", "--api-audiences=api,vault", True),
    ],
)
def test_tokens_of_another_audience_are_for_the_apiserver_that_takes_it(
    folder: Path, audience: str, more: str, known: bool
) -> None:
    write(folder, "pod.yaml", POD_WITH_TOKEN.replace("AUD", audience))
    path = folder / MANIFESTS / "kube-apiserver.yaml"
    last = "    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key\n"
    path.write_text(path.read_text().replace(last, f'{last}    - "{more or "--v=2"}"\n'))
    found = attack_paths(read_model(read_cluster(folder)), "pod:shop/web", "admin")
    assert (bool(found.paths), bool(found.possible)) == (known, False)


def test_an_apiserver_with_a_file_of_openshift_is_not_read(folder: Path) -> None:
    """openshift/kubernetes, cmd/kube-apiserver/app: --openshift-config names a file with flags."""
    path = folder / MANIFESTS / "kube-apiserver.yaml"
    kept = [it for it in path.read_text().splitlines() if "--authorization-mode" not in it]
    text = "\n".join(kept).replace(
        "--allow-privileged=true", "--openshift-config=/etc/kubernetes/config.yaml"
    )
    path.write_text(text)
    assert values(folder, TO_API) == UNKNOWN
