"""The fingerprint of a lab: equal to itself, and different where the lab is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import fingerprint
from labkit.errors import LabError
from labkit.lab.fingerprint import _etcd, differences, keep_fingerprint, set_by_people
from labkit.lab.machine import Output
from labkit.verification.content import contains, content_rows

RULE = ("-t", "nat", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
PEERS = "http://127.0.0.1:23800"


def test_files_are_known_by_mode_owner_content_and_target(tmp_path: Path) -> None:
    for folder in ("etc", "tmp", "var/log", "run"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/hosts").write_text("Docker's")
    (tmp_path / "var/log/syslog").write_text("grows")
    (tmp_path / "var/log/labkit-1").symlink_to("/etc/shadow")
    secret = tmp_path / "etc/secret"
    secret.write_text("one")
    before = fingerprint.files(tmp_path)
    assert set(before) == {"/etc", "/etc/secret", "/tmp", "/var/log/labkit-1"}
    assert before["/var/log/labkit-1"] == "-> /etc/shadow"
    secret.chmod(0o600)
    assert fingerprint.files(tmp_path)["/etc/secret"] != before["/etc/secret"]
    secret.chmod(0o644)
    assert fingerprint.files(tmp_path) == before
    secret.write_text("two")
    assert fingerprint.files(tmp_path)["/etc/secret"] != before["/etc/secret"]


def test_what_changed_in_the_images_folders_is_named(tmp_path: Path) -> None:
    old, new = tmp_path / "usr/bin/old", tmp_path / "usr/bin/new"
    for folder in ("usr/bin", "usr/lib/x/__pycache__", "usr/local/bin", "opt", "var/lib/labkit"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("old", "replaced", "made-executable"):
        (tmp_path / "usr/bin" / name).write_text("as in the image")
    time.sleep(0.02)
    (tmp_path / fingerprint.SAVED).touch()
    assert list(fingerprint.changed_programs(tmp_path)) == []
    time.sleep(0.02)
    (tmp_path / "usr/bin/replaced").write_text("another program")
    (tmp_path / "usr/bin/made-executable").chmod(0o755)
    new.write_text("x")
    (tmp_path / "opt/tool").write_text("x")
    (tmp_path / "usr/lib/x/__pycache__/y.pyc").touch()
    (tmp_path / "usr/local/bin/z").touch()
    # a time that somebody sets is not that of the change
    for each in (old, new):
        os.utime(each, (0, 0))
    changed = {"usr/bin/old", "usr/bin/replaced", "usr/bin/made-executable"}
    assert set(fingerprint.changed_programs(tmp_path)) == changed | {"usr/bin/new", "opt/tool"}
    found = fingerprint.files(tmp_path)
    assert found["/usr/bin/replaced"].startswith("0644 ")
    assert "/usr/local/bin/z" in found


def test_programs_of_others_are_named_and_own_ones_are_not() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        own = fingerprint.family(Path("/proc"))
        assert os.getpid() in own
        assert process.pid not in own
        process.kill()


def test_ports_of_the_kernels_choice_are_told_apart_by_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Docker's DNS, whose process is outside, listens on such a port as well as containerd."""
    lines = [
        'tcp LISTEN 0 4096 127.0.0.1:42781 0.0.0.0:* users:(("containerd",pid=90,fd=14))',
        "tcp LISTEN 0 4096 127.0.0.11:43695 0.0.0.0:*",
        "tcp LISTEN 0 4096 0.0.0.0:9 0.0.0.0:*",
    ]
    for each in (lines, lines[::-1]):
        monkeypatch.setattr(fingerprint, "output", lambda *_, each=each: each)
        assert fingerprint.listeners() == {
            "tcp 127.0.0.1:any of containerd": "listens",
            "tcp 127.0.0.1:any of the kernel": "listens",
            "tcp 0.0.0.0:9": "the kernel",
        }


#: What a program of the machine prints, the section that reads it, and what it makes of it.
READ: dict[str, tuple[Callable[[], dict[str, str]], list[str], dict[str, str]]] = {
    "a route": (
        fingerprint.routes,
        ["default via 10.1.2.254  dev eth0 ", "blackhole 10.99.7.0/24"],
        {"default via 10.1.2.254 dev eth0": "set", "blackhole 10.99.7.0/24": "set"},
    ),
    "an address that another machine claims": (
        fingerprint.neighbours,
        [
            "10.1.2.66 lladdr 02:42:0a:01:02:42 STALE",
            "10.1.2.10 lladdr 02:42:0a:01:02:42 REACHABLE",
            "10.1.2.11 lladdr 02:42:0a:01:02:0b REACHABLE",
            "10.1.2.12 FAILED",
        ],
        {"10.1.2.10 10.1.2.66": "one address"},
    ),
    "a failed unit, and one that is just starting": (
        fingerprint.units,
        [
            "etcd.service loaded active running etcd",
            "left.service loaded failed failed left",
            "kubelet.service loaded activating start kubelet",
            "systemd-logind.service loaded active running x",
        ],
        {"etcd.service": "active", "left.service": "failed"},
    ),
}


@pytest.mark.parametrize("what", READ)
def test_section_reads_what_a_program_prints(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    section, lines, expected = READ[what]
    monkeypatch.setattr(fingerprint, "output", lambda *_: lines)
    assert section() == expected


def test_every_section_of_a_machine_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the units, the failed ones have no program that counts."""
    lines = ["a.service loaded active running A", "b.service loaded failed failed B"]
    monkeypatch.setattr(fingerprint, "output", lambda *_: lines)
    monkeypatch.setattr(fingerprint, "processes", lambda active: dict.fromkeys(active, "runs"))
    read = dict.fromkeys(fingerprint.SECTIONS, lambda: {"x": "set"})
    monkeypatch.setattr(fingerprint, "SECTIONS", read)
    others = (
        *("listeners", "firewall", "network", "routes", "neighbours", "files", "docker"),
        "accounts",
    )
    assert json.loads(fingerprint.answer()) == {
        "units": {"a.service": "active", "b.service": "failed"},
        "processes": {"a.service": "runs"},
        **{section: {"x": "set"} for section in others},
    }


def test_members_keys_and_users_of_etcd_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that an attack added has no name until it has started."""
    listed = {
        "members": [
            {"name": "etcd1", "peerURLs": ["https://etcd1:2380"]},
            {"peerURLs": ["http://attacker:23800"], "isLearner": True},
        ]
    }
    module = "labkit.lab.fingerprint"
    monkeypatch.setattr(f"{module}.call", lambda *_, **__: '{"/registry/x": "0123"}')
    told = Output(0, json.dumps(listed).encode(), b"")
    monkeypatch.setattr(f"{module}.bootstrap.etcdctl", lambda *_: told)
    monkeypatch.setattr(f"{module}.bootstrap.etcd_users", lambda _: {"user root": "root"})
    etcd: Any = None
    assert _etcd(etcd) == {
        "keys": {"/registry/x": "0123"},
        "members": {"https://etcd1:2380": "etcd1", "http://attacker:23800": "a learner"},
        "users": {"user root": "root"},
    }


def test_server_of_another_client_is_no_difference(tmp_path: Path) -> None:
    server = agents.argv("run_commands")
    for number, argv in (("41", server), ("42", ["python3", "-c", "import socket"])):
        entry = tmp_path / number
        entry.mkdir()
        entry.joinpath("cmdline").write_text("\0".join(argv))
        entry.joinpath("comm").write_text("python3\n")
        entry.joinpath("cgroup").write_text("0::/\n" if number == "41" else "0::/a.service\n")
        entry.joinpath("stat").write_text(f"{number} (python3) S 0{' 0' * 17} 0 0\n")
    (tmp_path / "uptime").write_text("100 100\n")
    assert fingerprint.processes((), tmp_path) == {"python3 of a.service": "runs"}


@pytest.mark.parametrize(
    ("states", "value"),
    [
        ("S", "runs"),
        ("T", "stopped by a signal"),
        ("TS", "stopped by a signal"),
        ("ST", "stopped by a signal"),
    ],
)
def test_program_that_is_frozen_is_no_program_that_runs(
    tmp_path: Path, states: str, value: str
) -> None:
    for number, state in enumerate(states, 41):
        entry = tmp_path / str(number)
        entry.mkdir()
        entry.joinpath("cmdline").write_text("etcd")
        entry.joinpath("comm").write_text("etcd\n")
        entry.joinpath("cgroup").write_text("0::/system.slice/etcd.service\n")
        entry.joinpath("stat").write_text(f"{number} (etcd) {state} 1{' 0' * 17} 0 0\n")
    (tmp_path / "uptime").write_text("100 100\n")
    assert fingerprint.processes((), tmp_path) == {"etcd of etcd.service": value}


@pytest.mark.parametrize(
    ("name", "place", "counts"),
    [
        ("containerd-shim", "containerd.service", True),  # of a pod of a lab that is just up
        ("containerd-shim", "docker.service", False),
        ("python3", "containerd.service", False),
    ],
)
def test_young_process_counts_only_if_every_pod_has_one(
    tmp_path: Path, name: str, place: str, counts: bool
) -> None:
    entry = tmp_path / "41"
    entry.mkdir()
    entry.joinpath("cmdline").write_text(name)
    entry.joinpath("comm").write_text(f"{name}\n")
    entry.joinpath("cgroup").write_text(f"0::/system.slice/{place}\n")
    ticks = 99 * os.sysconf("SC_CLK_TCK")
    entry.joinpath("stat").write_text(f"41 ({name}) S 0{' 0' * 17} {ticks} 0\n")
    (tmp_path / "uptime").write_text("100 100\n")
    assert bool(fingerprint.processes((), tmp_path)) is counts


@pytest.mark.parametrize(
    ("active", "parent", "session", "counts"),
    [
        ("prometheus.service", "1", "41", True),
        ("prometheus.service", "40", "41", False),  # what the unit's program starts
        ("prometheus.service", "1", "40", False),  # what such a program left behind
        ("other.service", "1", "41", False),  # a command before the unit's program
    ],
)
def test_program_of_an_active_unit_counts_at_once(
    tmp_path: Path, active: str, parent: str, session: str, counts: bool
) -> None:
    """A lab is up when its units are active, and some have run for a second then."""
    entry = tmp_path / "41"
    entry.mkdir()
    entry.joinpath("cmdline").write_text("prometheus")
    entry.joinpath("comm").write_text("prometheus\n")
    entry.joinpath("cgroup").write_text("0::/system.slice/prometheus.service\n")
    ticks = 99 * os.sysconf("SC_CLK_TCK")
    rest = f"{parent} 41 {session}{' 0' * 15} {ticks} 0"
    entry.joinpath("stat").write_text(f"41 (prometheus) S {rest}\n")
    (tmp_path / "uptime").write_text("100 100\n")
    assert bool(fingerprint.processes({active}, tmp_path)) is counts


@pytest.mark.parametrize(
    ("parent", "program", "counts"),
    [
        ("a shim", "/bin/nginx", True),
        ("a pod", "/bin/sh", False),  # what the pod's own program starts
        ("a shim", "/memfd:runc_cloned:/proc/self/exe (deleted)", False),  # before its program runs
        ("a shim", "/usr/local/sbin/runc", False),
        ("a shim", None, False),  # it has ended
    ],
)
def test_process_of_a_pod_counts_if_the_runtime_started_it(
    tmp_path: Path, parent: str, program: str | None, counts: bool
) -> None:
    """Whatever its age: a pod's program may run for a moment only, or for ever."""
    pod = "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope\n"
    groups = {"40": pod if parent == "a pod" else "0::/system.slice/a.service\n", "41": pod}
    for number, group in groups.items():
        entry = tmp_path / number
        entry.mkdir()
        entry.joinpath("cmdline").write_text("")
        entry.joinpath("comm").write_text("x\n")
        entry.joinpath("cgroup").write_text(group)
        entry.joinpath("stat").write_text(f"{number} (x) S 40 0{' 0' * 16} 9999 0\n")
    if program is not None:
        (tmp_path / "41" / "exe").symlink_to(program)
    (tmp_path / "uptime").write_text("100 100\n")
    assert ("x of a pod" in fingerprint.processes((), tmp_path)) is counts


def test_difference_is_named_with_its_machine() -> None:
    old = {"master": {"routes": {"a": "set"}, "processes": {"etcd of a": "runs"}}}
    new = {"master": {"routes": {"b": "set"}, "processes": {"sh of b": "runs"}}}
    assert list(map(str, differences(old, new))) == [
        "master: processes: sh of b is new",
        "master: routes: a is gone",
        "master: routes: b is new",
    ]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("key", "is_own"),
    [
        ("node.kubernetes.io/not-ready", True),
        ("node.kubernetes.io/unreachable", True),
        ("node.kubernetes.io/network-unavailable", True),
        ("node.kubernetes.io/memory-pressure", True),
        ("node.kubernetes.io/pid-pressure", True),
        ("node.kubernetes.io/unschedulable", False),
        ("node-role.kubernetes.io/control-plane", False),
        ("example.com/not-ready", False),
    ],
)
def test_taint_of_the_node_lifecycle_controller_is_no_difference(key: str, is_own: bool) -> None:
    """A node that comes back keeps its taint for some seconds after its pods run again."""
    node: dict[str, Any] = {"metadata": {"name": "worker1"}, "spec": {}}
    taint = {"key": key, "effect": "NoExecute", "timeAdded": "2026-11-26T23:14:57Z"}
    tainted = {**node, "spec": {"taints": [taint]}}
    assert (set_by_people(tainted) == set_by_people(node)) is is_own


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ({"a": 1, "default": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": {}}, True),
        ({"rules": [{"verbs": ["get", "*"]}]}, {"rules": [{"verbs": ["get"]}]}, False),
        ({"v": [{"name": "a"}, {"name": "kube-api-access-x"}]}, {"v": [{"name": "a"}]}, True),
        ({"v": [{"name": "a"}, {"name": "b"}]}, {"v": [{"name": "a"}]}, False),
        (None, {"a": 1}, False),
    ],
)
def test_content_is_compared_without_defaults(found: Any, wanted: Any, expected: bool) -> None:
    assert contains(found, wanted) == expected


def claim(lab: Any, action: str, *more: str) -> None:
    """Change what worker2 knows of two addresses that no machine has."""
    first = lab.addresses["attacker"].rpartition(".")[0]
    for address in (f"{first}.201", f"{first}.202"):
        lab.exec("worker2", ["ip", "neigh", action, address, *more, "dev", "eth0"])


def remove_member(lab: Any) -> None:
    listed = json.loads(lab.etcdctl("member", "list", "--write-out=json", "--hex").stdout)
    for member in listed["members"]:
        if member["peerURLs"] == [PEERS]:
            lab.etcdctl("member", "remove", str(member["ID"]))


#: What is done to a lab by hand, how it is undone, and the line that names it.
CHANGES: dict[str, tuple[Callable[[Any], object], Callable[[Any], object], str]] = {
    "a file": (
        lambda lab: lab.write_file("worker1", "/root/left", b"x"),
        lambda lab: lab.exec("worker1", ["rm", "/root/left"]),
        "worker1: files: /root/left is new",
    ),
    "a program of the image": (
        lambda lab: lab.exec("etcd2", ["cp", "/bin/false", "/usr/bin/labkit-left"]),
        lambda lab: lab.exec("etcd2", ["rm", "/usr/bin/labkit-left"]),
        "etcd2: files: /usr/bin/labkit-left is new",
    ),
    "a link": (
        lambda lab: lab.exec("worker1", ["ln", "-s", "/etc/shadow", "/var/log/labkit-x"]),
        lambda lab: lab.exec("worker1", ["rm", "/var/log/labkit-x"]),
        "worker1: files: /var/log/labkit-x is new",
    ),
    "a mode": (
        lambda lab: lab.exec("master", ["chmod", "0666", "/etc/passwd"]),
        lambda lab: lab.exec("master", ["chmod", "0644", "/etc/passwd"]),
        "master: files: /etc/passwd is 0666",
    ),
    "a folder of data": (
        lambda lab: lab.exec("etcd3", ["chmod", "0755", "/var/lib/etcd/data"]),
        lambda lab: lab.exec("etcd3", ["chmod", "0700", "/var/lib/etcd/data"]),
        "etcd3: files: /var/lib/etcd/data is 0755",
    ),
    "a rule": (
        lambda lab: lab.exec("worker2", ["iptables", *RULE[:2], "-I", *RULE[2:]]),
        lambda lab: lab.exec("worker2", ["iptables", *RULE[:2], "-D", *RULE[2:]]),
        "worker2: firewall: iptables nat -A PREROUTING",
    ),
    "a route": (
        lambda lab: lab.exec("worker2", ["ip", "route", "add", "blackhole", "10.99.7.0/24"]),
        lambda lab: lab.exec("worker2", ["ip", "route", "del", "blackhole", "10.99.7.0/24"]),
        "worker2: routes: blackhole 10.99.7.0/24",
    ),
    "neighbours": (
        lambda lab: claim(lab, "replace", "lladdr", "02:00:00:00:00:99"),
        lambda lab: claim(lab, "del"),
        "worker2: neighbours: ",
    ),
    "a member": (
        lambda lab: lab.etcdctl("member", "add", "left", "--learner", f"--peer-urls={PEERS}"),
        lambda lab: remove_member(lab),
        f"etcd: members: {PEERS} is new",
    ),
    "a mark of a pod": (
        lambda lab: lab.kubectl("annotate", "pod", "--namespace=shop", "web", "labkit-x=1"),
        lambda lab: lab.kubectl("annotate", "pod", "--namespace=shop", "web", "labkit-x-"),
        "objects: Pod: shop/web is",
    ),
    "a key": (
        lambda lab: lab.etcdctl("put", "/registry/x", "y"),
        lambda lab: lab.etcdctl("del", "/registry/x"),
        "etcd: keys: /registry/x is new",
    ),
    "a label": (
        lambda lab: lab.kubectl("label", "node", "worker1", "labkit-x=1"),
        lambda lab: lab.kubectl("label", "node", "worker1", "labkit-x-"),
        "objects: Node: /worker1 is",
    ),
    "a stopped unit": (
        lambda lab: lab.exec("worker1", ["systemctl", "stop", "kube-proxy"]),
        lambda lab: lab.exec("worker1", ["systemctl", "start", "kube-proxy"]),
        "worker1: units: kube-proxy.service is gone",
    ),
}


def test_lab_that_nobody_touched_is_equal_to_itself(
    labs: dict[str, Any], settled: Callable[[Any], list[str]]
) -> None:
    for lab in labs.values():
        lab.reset()
        assert settled(lab) == []


@pytest.mark.parametrize("what", CHANGES)
def test_change_by_hand_is_named(what: str, lab_insecure: Any) -> None:
    change, undo, line = CHANGES[what]
    change(lab_insecure)
    try:
        found = lab_insecure.drift()
        assert any(each.startswith(line) for each in found), found
    finally:
        undo(lab_insecure)


def test_reset_undoes_what_somebody_did_on_a_terminal(
    lab_insecure: Any, settled: Callable[[Any], list[str]]
) -> None:
    lab_insecure.exec("worker1", ["useradd", "--create-home", "eve"])
    lab_insecure.exec("worker1", ["tee", "/root/.bash_history"], stdin=b"useradd eve")
    lab_insecure.exec("etcd2", ["chmod", "a+rwx", "/var/lib/etcd/data"])
    lab_insecure.exec("worker1", ["cp", "/bin/true", "/usr/local/bin/tool"])
    lab_insecure.exec("worker1", ["sh", "-c", "tar -c /bin/true | docker import - left"])
    lab_insecure.exec("worker1", ["docker", "volume", "create", "left"])
    lab_insecure.exec("worker1", ["docker", "network", "create", "left"])
    lab_insecure.exec("worker1", ["systemd-run", "--unit=left", "sleep", "inf"])
    lab_insecure.exec("worker1", ["systemd-run", "--unit=later", "--on-active=1h", "true"])
    lab_insecure.exec("worker1", ["sh", "-c", "setsid sleep inf >/dev/null 2>&1 &"])
    time.sleep(3.5)  # a younger process is not counted
    found = " ".join(lab_insecure.drift())
    files = ("/home/eve", "/root/.bash_history", "/usr/local/bin/tool")
    at_docker = ("image left:latest", "volume left", "network left")
    programs = ("sleep of left.service", "sleep of no unit")
    assert [each for each in (*files, *at_docker, *programs) if each not in found] == []
    lab_insecure.reset()
    assert settled(lab_insecure) == []


#: What somebody sets of a machine's network on a terminal, and the start of the line that names it.
OF_THE_NETWORK = {
    "iptables -I INPUT -p tcp --dport 9 -m comment --comment DOCKER -j DROP": (
        "firewall: iptables filter -A INPUT -p tcp"
    ),
    "iptables -I FORWARD -j KUBE-FIREWALL": "firewall: iptables filter -A FORWARD -j KUBE-FIREWALL",
    "iptables -A FLANNEL-FWD -s 10.9.0.0/16 -j DROP": "firewall: iptables filter -A FLANNEL-FWD",
    "iptables -t nat -I DOCKER_OUTPUT -p tcp --dport 9 -j ACCEPT": (
        "firewall: iptables nat -A DOCKER_OUTPUT -p tcp"
    ),
    "iptables -D OUTPUT -j KUBE-FIREWALL": (
        "firewall: iptables filter -A OUTPUT -j KUBE-FIREWALL is gone"
    ),
    "iptables -t raw -A PREROUTING -p tcp --dport 9 -j DROP": "firewall: iptables raw -A",
    "ip6tables -P FORWARD DROP": "firewall: ip6tables filter :FORWARD DROP",
    "nft add table inet left": None,
    "nft add chain inet left in { type filter hook input priority 5 ; }": (
        "firewall: nft inet left chain in: type filter hook input"
    ),
    "nft add rule inet left in tcp dport 9 drop": (
        "firewall: nft inet left chain in: tcp dport 9 drop"
    ),
    "nft add chain ip mangle left { type filter hook input priority 5 ; }": None,
    "nft add rule ip mangle left meta skuid 3 drop": (
        "firewall: nft ip mangle chain left: meta skuid 3 drop"
    ),
    "nft insert rule ip kube-proxy filter-input tcp dport 9 drop": (
        "firewall: nft ip kube-proxy chain filter-input: tcp dport 9 drop"
    ),
    "nft flush chain ip kube-proxy nat-output": (
        "firewall: nft ip kube-proxy chain nat-output: jump services is gone"
    ),
    "ip addr add 10.99.9.9/32 dev lo": "network: addr 10.99.9.9/32 dev lo is new",
    "ip rule add pref 9 from 10.99.0.0/16 blackhole": "network: rule pref 9",
    "ip route add blackhole 10.99.7.0/24": "routes: blackhole 10.99.7.0/24",
    "ip neigh add 10.99.9.8 lladdr 02:00:00:00:00:99 dev eth0": "network: neigh 10.99.9.8 dev eth0",
    "tc qdisc add dev eth0 root pfifo limit 99": "network: queue dev eth0 root is new",
    "sysctl -qw net.ipv4.conf.all.route_localnet=1": "network: conf/all/route_localnet is 1, was 0",
    "sysctl -qw net.ipv4.conf.eth0.forwarding=0": "network: conf/eth0/forwarding is 0, was 1",
}


def test_reset_takes_away_what_somebody_set_of_the_network(
    lab_insecure: Any, settled: Callable[[Any], list[str]]
) -> None:
    """One machine after the other: a worker, whose network kube-proxy and flanneld share."""
    for command in OF_THE_NETWORK:
        lab_insecure.exec("worker2", command.split())
    found = [it.removeprefix("worker2: ") for it in lab_insecure.drift()]
    named = {
        start
        for start in OF_THE_NETWORK.values()
        for line in found
        if start and line.startswith(start)
    }
    missing = [it for it in OF_THE_NETWORK.values() if it and it not in named]
    assert missing == [], found
    lab_insecure.reset()
    assert settled(lab_insecure) == []


def test_attackers_machine_that_was_changed_is_created_again(
    lab_insecure: Any, settled: Callable[[Any], list[str]]
) -> None:
    of_machine = lab_insecure.container("attacker").id
    lab_insecure.reset()
    assert lab_insecure.container("attacker").id == of_machine
    lab_insecure.exec("attacker", ["tee", "/usr/bin/tool"], stdin=b"x")
    lab_insecure.exec("attacker", ["tee", "/root/notes"], stdin=b"x")
    lab_insecure.reset()
    assert lab_insecure.container("attacker").id != of_machine
    assert settled(lab_insecure) == []


def test_program_on_a_port_of_etcd_does_not_keep_a_lab_down(
    lab_insecure: Any, settled: Callable[[Any], list[str]]
) -> None:
    code = "import socket, time; s = socket.create_server(('', 2379)); time.sleep(600)"
    for start in (
        ["systemd-run", "--unit=left"],
        ["sh", "-c", 'setsid "$@" >/dev/null 2>&1 &', "sh"],
    ):
        stop = "systemctl stop etcd; systemctl reset-failed etcd"
        lab_insecure.exec("etcd3", ["sh", "-c", stop])
        lab_insecure.exec("etcd3", [*start, "python3", "-c", code])
        assert lab_insecure.status().problems
        lab_insecure.reset()
        assert settled(lab_insecure) == []


def test_lab_whose_machines_hear_nobody_is_reset(
    lab_insecure: Any, settled: Callable[[Any], list[str]]
) -> None:
    """Nothing in the lab reaches the master and etcd any more; the host needs no network to."""
    for machine in ("master", "etcd1"):
        lab_insecure.exec(machine, ["iptables", "-P", "INPUT", "DROP"])
        lab_insecure.exec(machine, ["ip", "link", "set", "eth0", "down"])
    assert lab_insecure.status().problems
    lab_insecure.reset()
    assert settled(lab_insecure) == []


def test_secret_that_is_encrypted_again_is_no_difference(lab_hardened: Any) -> None:
    """Each write gives another ciphertext: an attack that marks a Secret leaves no other value."""
    about = ("--namespace=payments", "secret", "card-processor")
    before = lab_hardened.drift()
    lab_hardened.kubectl("annotate", *about, "labkit-x=1")
    try:
        assert any("Secret: payments/card-processor is" in it for it in lab_hardened.drift())
    finally:
        lab_hardened.kubectl("annotate", *about, "labkit-x-")
    assert lab_hardened.drift() == before


def test_secret_that_cannot_be_decrypted_is_a_difference(lab_hardened: Any) -> None:
    key = "/registry/secrets/default/labkit-unreadable"
    lab_hardened.etcdctl("put", key, "k8s:enc:aescbc:v1:another:x")
    try:
        found = [it for it in lab_hardened.drift() if it.startswith("objects: Secret")]
        assert len(found) == 1, found
        # the apiserver names the Secret
        assert re.fullmatch(r"objects: Secret: cannot be read: .*labkit-unreadable.*", found[0])
        # a lab whose Secrets nobody can read does not become the one to compare with
        with pytest.raises(LabError, match="does not show the Secrets"):
            keep_fingerprint(lab_hardened._containers, lab_hardened.environment)
    finally:
        lab_hardened.etcdctl("del", key)


def test_process_and_its_listener_are_named(lab_insecure: Any) -> None:
    code = "import socket, time; s = socket.create_server(('', 4444)); time.sleep(60)"
    argv = ["systemd-run", "--unit=left", "python3", "-c", code]
    lab_insecure.exec("master", argv)
    try:
        time.sleep(3.5)  # a younger process is not counted
        found = lab_insecure.drift()
        assert any("of left.service is new" in line for line in found), found
        assert "master: listeners: tcp 0.0.0.0:4444 is new" in found
    finally:
        lab_insecure.exec("master", ["systemctl", "stop", "left"], check=False)


def test_verify_reports_what_is_not_the_environments(lab_hardened: Any) -> None:
    lab = lab_hardened
    assert content_rows(lab) == []
    binding = ["clusterrolebinding", "labkit-left", "--clusterrole=view", "--user=x"]
    lab.kubectl("create", *binding)
    lab.kubectl("delete", "secret", "--namespace=shop", "db-credentials")
    try:
        found = {(row.channel, row.observed, row.verdict) for row in content_rows(lab)}
        assert found == {
            ("ClusterRoleBinding labkit-left", "not in the environment", "disagree"),
            ("Secret shop/db-credentials", "missing", "disagree"),
        }
    finally:
        lab.reset()
    assert content_rows(lab) == []
