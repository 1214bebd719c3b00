"""Users of copied machines: what they do by the modes of its files, by sudo and by sockets.

path_resolution(7), sudoers(5); https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/:
the kubelet runs every manifest of its folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.analysis import attack_paths
from labkit.loading import load_model
from labkit.model import Model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
PASSWD = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/bash\n"
GROUP = "root:x:0:\nann:x:1000:\nops:x:1500:bob\n"
FOLDERS = (
    *("/", "/etc", "/etc/kubernetes", "/etc/kubernetes/manifests", "/etc/systemd", "/home"),
    *("/etc/systemd/system", "/home/bob", "/home/bob/.kube", "/opt", "/run", "/run/containerd"),
    *("/var", "/var/backups", "/var/lib", "/var/lib/kubelet"),
)
CLOSED = (
    "/etc/kubernetes/pki",
    "/var/lib/etcd",
    "/var/lib/etcd/member",
    "/var/lib/etcd/member/snap",
)


def line(kind: str, mode: str, path: str, owner: str = "root", group: str = "root") -> str:
    return "\t".join((kind, mode, owner, group, path, ""))


def model(
    path: Path, *listed: str, sudoers: dict[str, str] | None = None, group: str = GROUP
) -> Model:
    """Return the model of a kubeadm cluster whose users get nowhere, with some more lines."""
    shutil.copytree(KUBEADM, path)
    machine = path / "cp1"
    kept = [f"/{it.relative_to(machine)}" for it in sorted(machine.rglob("*")) if it.is_file()]
    lines = {it: line("d", "755", it) for it in FOLDERS}
    lines |= {it: line("d", "700", it) for it in CLOSED}
    kept += [f"/etc/kubernetes/{it}.conf" for it in ("controller-manager", "kubelet", "scheduler")]
    lines |= {it: line("f", "600", it) for it in kept}
    lines |= {it.split("\t")[4]: it for it in listed}
    (machine / "modes.txt").write_text("\n".join(lines.values()))
    files = {"etc/passwd": PASSWD, "etc/group": group, **(sudoers or {})}
    for name, text in files.items():
        (machine / name).parent.mkdir(parents=True, exist_ok=True)
        (machine / name).write_text(text)
    return load_model(path)


def value(found: Model, goal: str) -> str:
    paths = attack_paths(found, "user:cp1", goal)
    return "known" if paths.paths else "possible" if paths.possible else "none"


def test_closed_machine_gives_its_users_nothing(tmp_path: Path) -> None:
    found = model(tmp_path / "c")
    assert {goal: value(found, goal) for goal in ("node", "root:cp1")} == {
        "node": "none",
        "root:cp1": "none",
    }


MANIFESTS, UNITS = "/etc/kubernetes/manifests", "/etc/systemd/system"
SOCKET = "/run/containerd/containerd.sock"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (line("d", "777", MANIFESTS), "known"),
        (line("d", "775", MANIFESTS, group="ann"), "known"),
        (line("d", "775", MANIFESTS, group="ops"), "none"),
        (line("d", "755", MANIFESTS, owner="ann"), "known"),
        (line("f", "666", f"{MANIFESTS}/etcd.yaml"), "known"),
        # one who may not search a folder reaches nothing in it
        (f"{line('f', '666', f'{MANIFESTS}/etcd.yaml')}\n{line('d', '700', MANIFESTS)}", "none"),
        (line("f", "622", "/var/lib/kubelet/config.yaml"), "known"),
        (line("f", "646", f"{UNITS}/kubelet.service"), "known"),
        (line("f", "646", "/etc/hosts"), "none"),
        (line("s", "666", SOCKET), "known"),
        (line("s", "660", SOCKET), "none"),
        (line("s", "660", SOCKET, group="ann"), "known"),
    ],
)
def test_who_writes_what_root_runs_is_root(tmp_path: Path, listed: str, expected: str) -> None:
    found = model(tmp_path / "c", *listed.splitlines())
    assert value(found, "root:cp1") == expected


@pytest.mark.parametrize(
    ("path", "goal"),
    [
        ("/home/bob/.kube/config", "admin"),
        ("/etc/kubernetes/admin.conf.bak", "admin"),
        ("/opt/ca.key", "admin"),
        ("/opt/prod-kubeconfig.yaml", "admin"),
        ("/var/backups/etcd-snapshot.db", "secrets"),
    ],
)
@pytest.mark.parametrize(("mode", "expected"), [("644", "possible"), ("600", "none")])
def test_listed_file_that_was_not_copied_may_open_the_cluster(
    tmp_path: Path, path: str, goal: str, mode: str, expected: str
) -> None:
    found = model(tmp_path / "c", line("f", mode, path))
    before = value(model(tmp_path / "d"), goal)
    paths = attack_paths(found, "user:cp1", goal)
    assert (path in str(paths)) == (expected == "possible")
    assert not paths.paths
    assert before in ("none", "possible")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann ALL=(ALL) NOPASSWD: ALL", "known"),
        ("%ann ALL=(ALL:ALL) NOPASSWD:ALL", "known"),
        # the password has to be known, or the program to give a shell
        ("ann ALL=(ALL) ALL", "possible"),
        ("ann ALL=(root) NOPASSWD: /usr/bin/systemctl", "possible"),
        ("bob ALL=(ALL) NOPASSWD: ALL", "none"),
        ("%ops ALL=(ALL) NOPASSWD: ALL", "none"),
        ("# ann ALL=(ALL) NOPASSWD: ALL", "none"),
        ("Defaults env_keep = ALL", "none"),
        ("root ALL=(ALL:ALL) ALL", "none"),
        # the next ones are sudoers(5): lists, aliases, numbers, netgroups, other users, more lines
        ("bob, ann ALL=(ALL) NOPASSWD: ALL", "known"),
        ("User_Alias ADMINS = ann\nADMINS ALL=(ALL) NOPASSWD: ALL", "possible"),
        ("#1000 ALL=(ALL) NOPASSWD: ALL", "possible"),
        ("+admins ALL=(ALL) NOPASSWD: ALL", "possible"),
        ("ALL, !ann ALL=(ALL) NOPASSWD: ALL", "possible"),
        ("ann ALL=(www-data) NOPASSWD: ALL", "possible"),
        ("ann \\\n  ALL=(ALL) NOPASSWD: ALL", "known"),
        ("ann host1, host2 = (ALL) NOPASSWD: ALL", "possible"),
        ("ann cp1=(ALL) NOPASSWD: ALL", "known"),
        ("ann what is this", "possible"),
        ("@include /opt/sudoers", "possible"),
        ("#includedir /etc/sudoers.more", "possible"),
        # every file of the folder counts, and labkit reads those of sudoers.d alone
        ("@includedir /etc", "possible"),
        ("ann ALL=(ALL, !root) NOPASSWD: ALL", "possible"),
    ],
)
def test_sudo_gives_root(tmp_path: Path, text: str, expected: str) -> None:
    for number, name in enumerate(("etc/sudoers", "etc/sudoers.d/ops")):
        found = model(tmp_path / str(number), sudoers={name: f"Defaults env_reset\n{text}\n"})
        assert value(found, "root:cp1") == expected


def test_folder_that_sudo_includes_is_read_if_it_was_copied(tmp_path: Path) -> None:
    files = {"etc/sudoers": "@includedir /etc/sudoers.d\n"}
    assert value(model(tmp_path / "c", sudoers=files), "root:cp1") == "possible"
    files["etc/sudoers.d/README"] = "# nothing\n"
    assert value(model(tmp_path / "d", sudoers=files), "root:cp1") == "none"


def test_group_of_sudo_may_be_root_where_its_files_were_not_copied(tmp_path: Path) -> None:
    group = f"{GROUP}sudo:x:27:ann\n"
    assert value(model(tmp_path / "c", group=group), "root:cp1") == "possible"
    closed = {"etc/sudoers": "root ALL=(ALL:ALL) ALL\n"}
    assert value(model(tmp_path / "d", group=group, sudoers=closed), "root:cp1") == "none"
