"""The smaller programs, with replaced commands or, where possible, the real ones."""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit import agents
from labkit.agents import (
    _apiserver,
    arp_poison,
    capture,
    in_pod,
    objects_ready,
    secret_hashes,
)
from labkit.lab.capacity import parse_capacity
from labkit.lab.pki import Authority

MINE, VICTIM = bytes.fromhex("02420a000009"), bytes.fromhex("02420a000005")


def run(name: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = agents.argv(name, *arguments)
    if argv[0] == "python3":
        argv[0] = sys.executable
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=60)


# -- redirecting and capturing packets ------------------------------------------------------------


def test_false_packet_claims_the_address_of_the_other_machine() -> None:
    sent = arp_poison.frame(MINE, VICTIM, "10.0.0.5", "10.0.0.1")
    to, own, kind = struct.unpack("!6s6sH", sent[:14])
    assert (to, own, kind) == (VICTIM, MINE, 0x0806)
    # RFC 826: hardware and protocol, the lengths of their addresses, the operation
    assert struct.unpack("!HHBBH", sent[14:22]) == (1, 0x0800, 6, 4, 1)
    sender, source, target, destination = struct.unpack("!6s4s6s4s", sent[22:])
    assert (sender, socket.inet_ntoa(source)) == (MINE, "10.0.0.1")
    assert (target, socket.inet_ntoa(destination)) == (bytes(6), "10.0.0.5")


def test_hardware_address_is_read_from_the_kernels_table() -> None:
    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "10.0.0.4         0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "10.0.0.5         0x1         0x2         02:42:0a:00:00:05     *        eth0\n"
    )
    assert arp_poison.known(table, "10.0.0.5") == VICTIM
    assert arp_poison.known(table, "10.0.0.4") is None, "nobody has answered yet"
    assert arp_poison.known(table, "10.0.0.6") is None


def test_victims_and_other_machines_are_paired() -> None:
    assert arp_poison.pairs(["a", "b", "b", "a"]) == [("a", "b"), ("b", "a")]
    with pytest.raises(ValueError, match="shorter"):
        arp_poison.pairs(["a", "b", "c"])


TCPDUMP = """
while [ $# -gt 0 ]; do
  [ "$1" != -w ] || printf packets >"$2"
  shift
done
exec sleep 60
"""


def captured(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Capture until there is something, then say stop."""

    def stop() -> None:
        for _ in range(3000):
            if (folder / "pcap").exists():
                break
            time.sleep(0.02)
        (folder / "stop").touch()

    thread = threading.Thread(target=stop)
    thread.start()
    done = run("capture", str(folder), *arguments)
    thread.join(60)
    return done


def test_capture_ends_on_stop_and_removes_its_folder(commands: Any, tmp_path: Path) -> None:
    tcpdump = commands("tcpdump", TCPDUMP)
    folder = tmp_path / "capture"
    done = captured(folder, "tcp port 2379")
    assert (done.returncode, done.stdout) == (0, b"packets")
    assert tcpdump.read_text().endswith(f"-w {folder}/pcap tcp port 2379\n")
    assert not folder.exists()


def test_redirection_runs_during_the_capture(commands: Any, tmp_path: Path) -> None:
    lead = commands("lead", f"echo $$ >{tmp_path}/pid; exec sleep 60")
    # until it has led something here, there is nothing to capture
    commands("tcpdump", f"while [ ! -s {tmp_path}/pid ]; do sleep 0.02; done; {TCPDUMP}")
    done = captured(tmp_path / "capture", "tcp", "lead", "10.0.0.5", "10.0.0.1")
    assert (done.returncode, lead.read_text()) == (0, "10.0.0.5 10.0.0.1\n")
    pid = (tmp_path / "pid").read_text().strip()
    assert subprocess.run(["kill", "-0", pid], capture_output=True).returncode


@pytest.mark.parametrize("ended", ["tcpdump", "lead"])
def test_capture_reports_why_a_helper_ended(commands: Any, tmp_path: Path, ended: str) -> None:
    commands("tcpdump", TCPDUMP)
    commands("lead", "exec sleep 60")
    commands(ended, "echo 'eth0: no such device' >&2; exit 1")
    done = run("capture", str(tmp_path / "capture"), "tcp", "lead")
    assert (done.returncode, done.stdout) == (capture.HELPER_ENDED, b"")
    assert done.stderr == b"eth0: no such device\n"
    assert not (tmp_path / "capture").exists()


def test_capture_ends_its_helpers_on_sigterm(commands: Any, tmp_path: Path) -> None:
    commands("tcpdump", f"touch {tmp_path}/capture/pcap; echo $$ >{tmp_path}/pid; exec sleep 60")
    argv = [sys.executable, *agents.argv("capture", str(tmp_path / "capture"), "tcp")[1:]]
    with subprocess.Popen(argv) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        process.terminate()
        assert process.wait(60) == 0
    pid = (tmp_path / "pid").read_text().strip()
    assert subprocess.run(["kill", "-0", pid], capture_output=True).returncode
    assert not (tmp_path / "capture").exists()


# -- pods, nodes and manifests ---------------------------------------------------------------------

TASKS = (
    "echo 'TASK PID STATUS'; echo 'abc 4711 RUNNING'; echo 'abd 12 STOPPED'; echo 'zzz 13 RUNNING'"
)


def containerd(commands: Any, containers: str, tasks: str = TASKS) -> Path:
    listed = f"echo {containers}" if containers else "true"
    calls: Path = commands("ctr", f'case "$*" in *containers*) {listed};; *) {tasks};; esac')
    return calls


def test_pod_is_found_by_the_label_of_its_container(commands: Any) -> None:
    calls = containerd(commands, "abc abd")
    done = run("in_pod", "web")
    assert (done.returncode, done.stdout) == (0, b"4711\n")
    assert calls.read_text().splitlines()[0] == (
        '--namespace k8s.io containers list --quiet labels."io.kubernetes.container.name"==web'
    )


def test_command_runs_in_the_pods_network_as_its_user(commands: Any) -> None:
    containerd(commands, "abc")
    nsenter = commands("nsenter", "cat; exit 3")
    done = run("in_pod", "web", "1000", "curl", "-s", "http://a b/", stdin=b"body")
    assert (done.returncode, done.stdout) == (3, b"body")
    said = nsenter.read_text()
    assert said.startswith("--net=/proc/4711/ns/net setpriv --reuid 1000 --regid 1000 ")
    assert "--no-new-privs --bounding-set=-all --inh-caps=-all -- curl -s http://a b/" in said


@pytest.mark.parametrize("containers", ["", "abd", "abc zzz"], ids=["none", "ended", "two"])
def test_pod_without_exactly_one_container_is_not_found(
    commands: Any, capsys: pytest.CaptureFixture[str], containers: str
) -> None:
    containerd(commands, containers)
    with pytest.raises(SystemExit) as caught:
        in_pod.wait("web", attempts=2)
    assert caught.value.code == in_pod.NOT_THERE
    assert capsys.readouterr().err == "the pod web does not run\n"


def test_pod_that_starts_later_is_found(commands: Any, tmp_path: Path) -> None:
    first = f"[ -e {tmp_path}/second ] && {{ {TASKS}; }}; touch {tmp_path}/second"
    containerd(commands, "abc", first)
    assert in_pod.wait("web") == 4711


def nodes_and_pods(states: str) -> list[dict[str, Any]]:
    """Return objects by their names and the states of their condition Ready: "Pod/web True"."""
    found = []
    for kind, name, state in (it.replace("/", " ").split(" ") for it in states.split("\n") if it):
        conditions = [{"type": "Ready", "status": state}] if state else []
        found.append(
            {"kind": kind, "metadata": {"name": name}, "status": {"conditions": conditions}}
        )
    return found


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("Node/worker1 True\nPod/web True\n", []),
        ("Node/worker1 False\nPod/web True\n", ["Node/worker1 is not ready"]),
        ("Node/worker1 Unknown\nPod/web True\n", ["Node/worker1 is not ready"]),
        ("Node/worker1 True\nPod/web \n", ["Pod/web is not ready"]),
        ("Node/worker1 True\nPod/web2 True\n", ["there is no Pod/web"]),
        ("Node/worker1 True\nPod/web True\nPod/more False\n", ["Pod/more is not ready"]),
        # of two namespaces
        ("Node/worker1 True\nPod/web False\nPod/web True\n", ["Pod/web is not ready"]),
        ("", ["there is no Node/worker1", "there is no Pod/web"]),
    ],
)
def test_missing_and_unready_objects_are_listed(states: str, said: list[str]) -> None:
    assert objects_ready.missing(nodes_and_pods(states), ["Node/worker1", "Pod/web"]) == said


# -- requests to the apiserver --------------------------------------------------------------------

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
clusters:
  - name: lab
    cluster:
      server: https://master:6443
      certificate-authority: /pki/ca.crt
contexts:
  - name: lab
    context: {cluster: lab, user: admin}
users:
  - name: admin
    user:
      client-certificate: /pki/admin.crt
      client-key: "/pki/admin.key"
"""
PROOF = ["--cert", "/pki/admin.crt", "--key", "/pki/admin.key"]


@pytest.mark.parametrize(
    ("old", "new", "trust"),
    [
        ("", "", ["--cacert", "/pki/ca.crt"]),
        ("certificate-authority: /pki/ca.crt", "insecure-skip-tls-verify: true", ["--insecure"]),
        # neither: both commands verify with the certificates of the machine
        ("      certificate-authority: /pki/ca.crt\n", "", []),
    ],
)
def test_apiserver_is_asked_by_curl_as_the_kubeconfig_says(
    old: str, new: str, trust: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG.replace(old, new) if old else KUBECONFIG)
    command, *options = _apiserver.request(str(config), ["/readyz", "/version"], 3)
    assert command == "curl"
    assert options[-2:] == ["https://master:6443/readyz", "https://master:6443/version"]
    assert options[options.index("--max-time") + 1] == "3"
    assert [it for it in options if it in {*trust, *PROOF, "--insecure", "--cacert"}] == (
        PROOF + trust if trust == ["--insecure"] else trust + PROOF
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("client-certificate: /pki/admin.crt", "client-certificate-data: aGVsbG8="),
        ("client-certificate: /pki/admin.crt", "client-certificate: admin.crt"),
        ("certificate-authority: /pki/ca.crt", "certificate-authority: ca.crt"),
        ("certificate-authority: /pki/ca.crt", "certificate-authority-data: aGVsbG8="),
        ('client-key: "/pki/admin.key"', "token: secret"),
        ('client-key: "/pki/admin.key"', 'client-key: "/pki/admin.key"\n      as: somebody'),
        ("server: https://master:6443", "server: https://master:6443 # the first of two"),
        ("server: https://master:6443", "server: https://a\n      tls-server-name: b"),
        ("clusters:", "clusters:\n  - {name: other, cluster: {server: https://other}}"),
        ("users:", "users:\n  - {name: other, user: {client-certificate: /other}}"),
        (KUBECONFIG, "{}"),
        (KUBECONFIG, ""),
    ],
)
def test_kubeconfig_that_curl_might_misread_is_left_to_kubectl(
    old: str, new: str, tmp_path: Path
) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG.replace(old, new))
    asked = _apiserver.request(str(config), ["/readyz"], 3)
    assert asked == [
        "kubectl",
        f"--kubeconfig={config}",
        "--request-timeout=3s",
        "get",
        "--raw=/readyz",
    ]


def test_missing_kubeconfig_is_left_to_kubectl_which_names_it() -> None:
    asked = _apiserver.request("/no/such", ["/readyz"], 3)
    assert asked[:2] == ["kubectl", "--kubeconfig=/no/such"]


def reply(kind: str, items: list[dict[str, Any]]) -> str:
    """Return a list as the apiserver sends it: the objects do not say of what kind they are."""
    bare = [{key: it[key] for key in it if key != "kind"} for it in items if it["kind"] == kind]
    return json.dumps({"kind": f"{kind}List", "apiVersion": "v1", "items": bare})


def test_objects_are_read_with_one_command(commands: Any, tmp_path: Path) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG)
    replies = reply("Node", nodes_and_pods("Node/worker1 True")) + "\n" + reply("Pod", [])
    curl = commands("curl", f"echo '{replies}'")
    assert run("objects_ready", str(config), "Node/worker1").returncode == 0
    (asked,) = curl.read_text().splitlines()
    kinds = ("v1/nodes", "v1/pods", "v1/services", "discovery.k8s.io/v1/endpointslices")
    assert [it.partition("/api")[2] for it in asked.split() if "/api" in it] == [
        f"{'s' if 'discovery' in kind else ''}/{kind}" for kind in kinds
    ]
    done = run("objects_ready", str(config), "Node/worker2")
    assert (done.returncode, done.stderr) == (1, b"there is no Node/worker2\n")
    shown = json.loads(run("objects", str(config), "nodes,pods").stdout)
    assert [it["kind"] for it in shown] == ["Node"]


def test_objects_are_read_by_kubectl_with_a_token(commands: Any, tmp_path: Path) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG.replace("client-key: ", "token: "))
    kubectl = commands("kubectl", f"echo '{reply('Node', nodes_and_pods('Node/worker1 True'))}'")
    assert run("objects", str(config), "nodes,pods").returncode == 0
    asked = [line.split()[-1] for line in kubectl.read_text().splitlines()]
    assert asked == ["--raw=/api/v1/nodes", "--raw=/api/v1/pods"]


def secret(**changes: Any) -> dict[str, Any]:
    about = {"name": "db", "namespace": "shop", "resourceVersion": "7", "labels": {"a": "b"}}
    plain = {"metadata": about, "type": "Opaque", "data": {"password": "cGFzcw=="}}
    return {**plain, **changes, "metadata": {**about, **changes.get("metadata", {})}}


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"metadata": {"resourceVersion": "8", "managedFields": [{"manager": "x"}]}}, True),
        ({"metadata": {"annotations": {}}}, True),
        ({"metadata": {"labels": {"a": "b", secret_hashes.LAST_USED: "2026-11-28"}}}, True),
        ({"metadata": {"labels": {}}}, False),
        ({"metadata": {"annotations": {"x": "y"}}}, False),
        ({"data": {"password": "bm90"}}, False),
        ({"data": {}}, False),
        ({"type": "kubernetes.io/tls"}, False),
    ],
)
def test_secret_counts_by_what_a_person_may_set(changes: dict[str, Any], is_same: bool) -> None:
    assert (secret_hashes.hashed(secret(**changes)) == secret_hashes.hashed(secret())) is is_same


def test_content_of_a_secret_is_not_printed(commands: Any, tmp_path: Path) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG)
    curl = commands("curl", f"echo '{reply('Secret', [{'kind': 'Secret', **secret()}])}'")
    shown = run("secret_hashes", str(config)).stdout
    assert json.loads(shown) == {"shop/db": secret_hashes.hashed(secret())}
    assert b"cGFzcw" not in shown
    assert curl.read_text().rstrip().endswith("/api/v1/secrets")


def test_apiserver_s_own_reason_is_passed_on(commands: Any, tmp_path: Path) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG)
    failure = json.dumps({"kind": "Status", "message": "unable to transform key"})
    commands("curl", f"echo '{failure}'; exit 22")
    done = run("secret_hashes", str(config))
    assert (done.returncode, done.stderr, done.stdout) == (22, b"unable to transform key\n", b"")
    commands("curl", "exit 7")
    assert run("secret_hashes", str(config)).returncode == 7


def test_default_objects_of_all_namespaces_are_asked_for_at_once(
    commands: Any, tmp_path: Path
) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG)
    there = [("ServiceAccount", "default", "shop"), ("ConfigMap", "kube-root-ca.crt", "shop")]
    there += [("ServiceAccount", "other", "ci"), ("ConfigMap", "kube-root-ca.crt", "ci")]
    items = [{"kind": k, "metadata": {"name": n, "namespace": s}} for k, n, s in there]
    curl = commands("curl", f"echo '{reply('ServiceAccount', items)}{reply('ConfigMap', items)}'")
    assert run("default_objects", str(config), "shop").returncode == 0
    (asked,) = curl.read_text().splitlines()
    assert asked.endswith("/api/v1/serviceaccounts https://master:6443/api/v1/configmaps")
    done = run("default_objects", str(config), "ci", "shop")
    assert (done.returncode, done.stderr) == (1, b"ci has no ServiceAccount/default\n")


@pytest.mark.parametrize("command", ["curl", "kubectl"])
@pytest.mark.parametrize("program", ["objects_ready", "default_objects", "apiserver_ready"])
def test_failed_request_is_an_error(
    commands: Any, program: str, command: str, tmp_path: Path
) -> None:
    config = tmp_path / "admin.conf"
    config.write_text(KUBECONFIG if command == "curl" else "")
    commands(command, "echo 'connection refused' >&2; exit 4")
    done = run(program, str(config))
    assert (done.returncode, done.stderr) == (4, b"connection refused\n")


# -- keys -----------------------------------------------------------------------------------------


def test_certificate_is_signed_by_the_key_of_the_authority(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    authority = Authority.create("kubernetes")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "ca.key").write_bytes(authority.key)
    folder = tmp_path / "stolen"
    made = run("make_key", str(folder), "labkit", "system:masters")
    assert made.returncode == 0, made.stderr
    files = (str(tmp_path / name) for name in ("ca.crt", "ca.key", "stolen"))
    signed = run("sign_certificate", *files, stdin=made.stdout)
    assert signed.returncode == 0, signed.stderr
    certificate = x509.load_pem_x509_certificate(signed.stdout)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    named = {it.oid: it.value for it in certificate.subject}
    assert named == {
        NameOID.ORGANIZATION_NAME: "system:masters",
        NameOID.COMMON_NAME: "labkit",
    }


def test_key_is_for_its_owner_only_and_a_request_needs_no_group(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path / "key"
    made = run("make_key", str(folder), "alice", "")
    subject = x509.load_pem_x509_csr(made.stdout).subject
    assert [(it.oid, it.value) for it in subject] == [(NameOID.COMMON_NAME, "alice")]
    assert (folder.stat().st_mode | (folder / "key").stat().st_mode) & 0o077 == 0
    assert run("make_key", str(folder), "alice", "").returncode, "nothing is overwritten"


# -- shell programs --------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Stand in for /run, where only root may write."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def shell(name: str, folder: Path, *arguments: str, stdin: bytes = b"") -> Any:
    """Run a program with another folder in the place of /run."""
    text = agents.load(name).replace("/run/", f"{folder}/")
    argv = ["sh", "-c", text, name, *arguments]
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=60)


def test_waiting_ends_when_the_command_succeeds(here: Path) -> None:
    script = f'echo x >>{here}/asked; [ "$(wc -l <{here}/asked)" -ge 3 ]'
    assert shell("wait_until", here, "", "sh", "-c", script).returncode == 0
    assert [file.name for file in here.iterdir()] == ["asked"], "its own file is gone"


@pytest.mark.parametrize(
    ("systemd", "code", "said"),
    [
        ("echo not-found", 3, b"systemd says: not-found\n"),
        ("case $* in *LoadState*) echo loaded;; esac", 4, b"systemd gave up on it\n"),
    ],
)
def test_waiting_ends_where_the_unit_cannot_start(
    commands: Any, here: Path, systemd: str, code: int, said: bytes
) -> None:
    commands("systemctl", systemd)
    done = shell("wait_until", here, "etcd.service", "false")
    assert (done.returncode, done.stdout) == (code, said)


def test_unit_that_has_failed_while_it_is_restarted_is_waited_for(
    commands: Any, here: Path
) -> None:
    """A stop that takes too long fails the unit; the start of the same job is still to come."""
    commands("systemctl", "case $* in *LoadState*) echo loaded;; *Job*) echo 42;; esac")
    script = f'echo x >>{here}/asked; [ "$(wc -l <{here}/asked)" -ge 3 ]'
    assert shell("wait_until", here, "etcd.service", "sh", "-c", script).returncode == 0


def test_routes_return_to_those_that_were_kept(commands: Any, tmp_path: Path) -> None:
    table, kept = tmp_path / "table", tmp_path / "kept"
    default, learned = "default via 10.0.0.1 dev eth0", "10.244.1.0/24 via 10.244.1.0 dev flannel.1"
    ip = commands(
        "ip",
        f'case "$*" in "route show") cat {table};; '
        f'"route add "*) echo "${{*#route add }}" >>{table};; '
        f'"route del "*) grep -vxF "${{*#route del }}" {table} >{table}.new; '
        f"mv {table}.new {table};; esac",
    )
    table.write_text(f"{default}\n{learned}\n")
    assert run("routes", "keep", str(kept)).returncode == 0
    table.write_text(f"{default}\nblackhole 10.99.7.0/24\n")
    for _ in range(2):  # the second time there is nothing to do
        assert run("routes", "restore", str(kept)).returncode == 0
        assert table.read_text() == f"{default}\n{learned}\n"
    changes = [line for line in ip.read_text().splitlines() if line != "route show"]
    assert changes == ["route del blackhole 10.99.7.0/24", f"route add {learned}"]
    assert not (tmp_path / "kept.now").exists()


def test_restoring_routes_that_nobody_kept_changes_none(commands: Any, tmp_path: Path) -> None:
    ip = commands("ip", "echo default via 10.0.0.1 dev eth0")
    assert run("routes", "restore", str(tmp_path / "none")).returncode == 0
    assert ip.read_text() == ""


def test_free_resources_of_this_machine_are_printed() -> None:
    found = parse_capacity(run("free_resources").stdout.decode())
    assert found.memory
    assert found.disk
    assert found.threads
    assert found.inotify


def test_command_gets_the_variables_of_etcds_administrator(tmp_path: Path) -> None:
    variables = tmp_path / "etcdctl.env"
    variables.write_text("ETCDCTL_USER=root\n")
    text = agents.load("as_etcd_root").replace("/etc/etcd/etcdctl.env", str(variables))
    words = ["sh", "-c", 'echo "$ETCDCTL_USER: $*"; exit 3', "-", "user list"]
    done = subprocess.run(["sh", "-c", text, "as_etcd_root", *words], capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"root: user list\n")


def test_machine_listens_when_all_its_ports_do(commands: Any, here: Path) -> None:
    commands("ss", 'case "$2" in "sport = :22"|"sport = :80") echo LISTEN;; esac')
    for ports, code in (("22 80", 0), ("22", 0), ("22 443", 1), ("443 22", 1), ("", 0)):
        assert shell("listens", here, *ports.split()).returncode == code, ports


def test_lock_is_held_by_one_process_and_freed_when_its_input_ends(tmp_path: Path) -> None:
    def start(about: str) -> subprocess.Popen[str]:
        argv = agents.argv("hold_lock", str(tmp_path), about)
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        write_line(process)
        return process

    def write_line(process: subprocess.Popen[str]) -> None:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()

    def line(process: subprocess.Popen[str]) -> str:
        assert process.stdout
        return process.stdout.readline().strip()

    with start("one") as first:
        assert line(first) == "held"
        with start("two") as second:
            assert re.fullmatch(r"busy \d one", line(second))
            first.stdin.close()  # type: ignore[union-attr]  # as when its client is killed
            assert line(second) == "held one"
            with start("three") as third:
                assert re.fullmatch(r"busy \d two", line(third))
                write_line(second)
                assert line(second) == "free"
                assert line(third) == "held two"
                with start("four") as fourth:
                    assert re.fullmatch(r"busy \d three", line(fourth))
                    fourth.stdin.close()  # type: ignore[union-attr]
                    assert fourth.wait(60) == 0, "it does not wait on without its client"


def test_accounts_are_made_before_units_restart(commands: Any, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
        commands(name, f'echo {name} "$@" >>{order}')
    gone = tmp_path / "gone"
    gone.touch()
    units, rest = ("old.service", "a.service b.service"), (str(gone), "r.conf", "s.conf", "a.conf")
    done = run("apply_files", *units, *rest)
    assert (done.returncode, done.stderr) == (0, b"")
    assert order.read_text().splitlines() == [
        "systemctl disable --quiet --now old.service",
        "systemd-sysusers s.conf",
        "systemd-tmpfiles --create r.conf",
        "systemctl daemon-reload",
        "systemctl reset-failed",
        "systemctl restart a.service b.service",
    ]
    assert not gone.exists()


def test_nothing_to_apply_asks_systemd_for_nothing(commands: Any) -> None:
    calls = commands("systemctl")
    assert run("apply_files", "", "", "", "", "", "").returncode == 0
    assert calls.read_text() == ""


def test_docker_is_called_with_the_engine_on_its_command_line(
    commands: Any, tmp_path: Path
) -> None:
    variables = tmp_path / "worker1.env"
    variables.write_text("DOCKER_HOST=tcp://worker1:2376\nDOCKER_TLS_VERIFY=1\n")
    docker = commands("docker", 'echo "$DOCKER_TLS_VERIFY"')
    assert run("docker_version", str(variables)).stdout == b"1\n"
    assert docker.read_text() == "--host=tcp://worker1:2376 version\n"


def test_file_is_read_by_docker_and_the_image_is_removed(commands: Any, tmp_path: Path) -> None:
    commands("tar", "echo busybox")
    docker = commands("docker", 'case "$*" in *" run "*) echo "hash of it"; exit 1;; esac; cat')
    done = run("read_by_docker", "/etc/shadow", "labkit-attack-1", "--host=tcp://worker1:2375")
    assert (done.returncode, done.stdout) == (1, b"hash of it\n")
    imported, ran, removed = docker.read_text().splitlines()
    image = imported.split()[-1]
    assert imported.startswith("--host=tcp://worker1:2375 import - labkit-attack-1")
    assert ran.startswith(
        "--host=tcp://worker1:2375 run --rm --name=labkit-attack-1 --network=none "
        "--volume=/:/machine:ro"
    )
    assert ran.endswith(f"{image} /usr/bin/busybox sha256sum /machine/etc/shadow")
    assert removed == f"--host=tcp://worker1:2375 rmi --force {image}"


def test_next_request_is_awaited(tmp_path: Path) -> None:
    text = agents.load("next_request").replace("/tmp/request", str(tmp_path / "request"))
    (tmp_path / "request").write_text("an old one")
    timer = threading.Timer(0.5, (tmp_path / "request").write_text, ["GET / HTTP/1.1"])
    timer.start()
    done = subprocess.run(["sh", "-c", text], capture_output=True, timeout=60)
    assert done.stdout == b"GET / HTTP/1.1"
    timer.join()
