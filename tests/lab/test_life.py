"""A lab comes up, is looked into, breaks, comes back and goes without a trace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from labkit import controls
from labkit.errors import (
    CommandFailed,
    LabError,
    LabkitError,
    NameTaken,
    NoSuchLab,
    StartTimeout,
)
from labkit.lab import Lab, list_labs
from labkit.lab.engine import connect, lab_filter
from labkit.resources import environments_dir
from labkit.verification.plan import authority_of

pytestmark = pytest.mark.lab
OTHER = f"other-{os.getpid()}"


def left_of(client: docker.DockerClient, name: str) -> list[Any]:
    wanted: dict[str, Any] = {"label": f"labkit.lab={name}"}
    return [
        *client.containers.list(all=True, filters=wanted),
        *client.volumes.list(filters=wanted),
        *client.networks.list(filters=wanted),
    ]


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    for mode in ("insecure", "hardened"):
        Lab(mode, name=OTHER, client=client).down()
    client.close()


def test_second_lab_of_a_mode_is_created_repaired_and_removed(
    client: docker.DockerClient, lab_insecure: Lab
) -> None:
    lab = Lab("insecure", name=OTHER, client=client)
    assert lab.status().state == "absent"
    lab.up()
    assert lab.status().state == "ready"
    assert lab_insecure.status().state == "ready"
    assert not set(lab.addresses.values()) & set(lab_insecure.addresses.values())
    assert {(s.name, s.mode) for s in list_labs(client)} >= {
        (OTHER, "insecure"),
        (lab_insecure.name, "insecure"),
    }
    assert client.networks.list(filters=lab_filter(OTHER, "insecure"))[0].attrs["Internal"]
    for container in client.containers.list(filters=lab_filter(OTHER, "insecure")):
        assert not container.attrs["HostConfig"]["Privileged"]
        assert not container.ports  # nothing is published
    lab.container("etcd2").remove(force=True, v=True)
    assert Lab("insecure", name=OTHER, client=client).status().state == "incomplete"
    (listed,) = (s for s in list_labs(client) if s.name == OTHER)
    assert (listed.state, listed.problems["etcd2"]) == ("incomplete", ("is gone",))
    Lab("insecure", name=OTHER, client=client).up()
    assert lab.status().state == "ready"
    assert lab.down() == 16  # seven machines, seven volumes, one network, the lock
    assert left_of(client, OTHER) == []
    assert lab.down() == 0
    assert lab_insecure.status().state == "ready"


def test_foreign_container_of_the_same_name_is_not_touched(client: docker.DockerClient) -> None:
    image = client.images.list("labkit/node")[0]
    name = f"labkit-{OTHER}-insecure-etcd1"
    foreign = client.containers.create(image, name=name, entrypoint="", command=["true"])
    try:
        with pytest.raises(NameTaken, match="does not belong to this lab"):
            Lab("insecure", name=OTHER, client=client).up()
        foreign.reload()
        assert left_of(client, OTHER) == []
    finally:
        foreign.remove(force=True)


def test_broken_unit_is_reported_with_its_log_and_the_lab_removed(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(environments_dir(), tmp_path / "environments")
    monkeypatch.setenv("LABKIT_ENVIRONMENTS", str(tmp_path / "environments"))
    unit = "insecure/etcd/etc/systemd/system/etcd.service"
    file = tmp_path / "environments" / unit
    file.write_text(file.read_text().replace("--data-dir=", "--no-such-flag="))
    lab = Lab("insecure", name=OTHER, client=client)
    with pytest.raises(StartTimeout) as caught:
        lab.up()
    assert "etcd" in caught.value.message
    assert any("no-such-flag" in line for line in caught.value.evidence)
    assert caught.value.hint == (
        f"labkit up --retain --name {OTHER} --mode insecure; "
        f"then labkit logs etcd1 --name {OTHER} --mode insecure etcd.service"
    )
    assert left_of(client, OTHER) == []
    with pytest.raises(StartTimeout):
        lab.up(retain=True)
    assert lab.status().state == "incomplete"
    with pytest.raises(LabError, match=r"the start of lab .* did not end") as reset:
        lab.reset()
    assert reset.value.hint.startswith("labkit up")
    assert "no-such-flag" in lab.logs("etcd1", "etcd.service", 200)


def test_kubelet_that_cannot_start_is_named_and_not_what_waits_for_it(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(environments_dir(), tmp_path / "environments")
    monkeypatch.setenv("LABKIT_ENVIRONMENTS", str(tmp_path / "environments"))
    file = tmp_path / "environments/insecure/worker/etc/kubernetes/kubelet.yaml"
    file.write_text(file.read_text() + "maxOpenFiles: -1\n")
    lab = Lab("insecure", name=OTHER, client=client)
    with pytest.raises(StartTimeout, match="kubelet") as caught:
        lab.up()
    assert any("maxOpenFiles" in line for line in caught.value.evidence)


def test_kubelet_sees_the_kernel_settings_that_it_wants(lab_insecure: Lab) -> None:
    settings = {"kernel/panic": 10, "kernel/panic_on_oops": 1, "vm/overcommit_memory": 1}
    for setting, wanted in settings.items():
        shown = lab_insecure.exec("worker1", ["cat", f"/proc/sys/{setting}"]).text
        assert int(shown) == wanted
        of_host = lab_insecure.exec("master", ["cat", f"/proc/sys/{setting}"]).text
        assert of_host == lab_insecure.exec("etcd1", ["cat", f"/proc/sys/{setting}"]).text


def test_commands_and_files_pass_bytes_unchanged(lab_insecure: Lab) -> None:
    binary = bytes(range(256)) * 400
    assert lab_insecure.exec("worker1", ["cat"], stdin=binary).stdout == binary
    output = lab_insecure.exec("worker1", ["sh", "-c", "echo a; echo b >&2; exit 3"], check=False)
    assert (output.exit_code, output.stdout, output.stderr) == (3, b"a\n", b"b\n")
    assert lab_insecure.exec("worker1", ["id", "-un"], user="alice").text == "alice\n"
    lab_insecure.write_file("worker1", "/tmp-file", binary, 0o600)
    assert lab_insecure.read_file("worker1", "/tmp-file") == binary
    lab_insecure.exec("worker1", ["rm", "/tmp-file"])
    # /run is a tmpfs, which the engine does not see
    lab_insecure.write_file("worker1", "/run/a-folder/file", b"x")
    assert lab_insecure.exec("worker1", ["cat", "/run/a-folder/file"]).stdout == b"x"
    lab_insecure.exec("worker1", ["rm", "-r", "/run/a-folder"])


def test_file_that_exists_keeps_its_mode_and_owner(lab_insecure: Lab) -> None:
    lab, path = lab_insecure, "/root/own-file"

    def state() -> str:
        return lab.exec("worker1", ["stat", "--format=%a %U", path]).text.strip()

    try:
        lab.write_file("worker1", path, "äh", 0o640)
        lab.exec("worker1", ["chown", "alice", path])
        lab.write_file("worker1", path, b"shorter"[:3])
        assert (state(), lab.read_file("worker1", path)) == ("640 alice", b"sho")
        lab.write_file("worker1", path, "äh", 0o600)
        assert (state(), lab.read_file("worker1", path)) == ("600 root", "äh".encode())
    finally:
        lab.exec("worker1", ["rm", path])
    lab.write_file("worker1", path, "new")
    assert state() == "644 root"
    lab.exec("worker1", ["rm", path])


def test_failed_command_is_reported_with_its_evidence(lab_insecure: Lab) -> None:
    with pytest.raises(CommandFailed, match="exited with 3") as caught:
        lab_insecure.exec("worker1", ["sh", "-c", "echo because >&2; exit 3"])
    assert caught.value.evidence == ("because",)
    with pytest.raises(CommandFailed, match="did not end within 1 s"):
        lab_insecure.exec("worker1", ["sleep", "30"], timeout=1)
    with pytest.raises(LabError, match="no machine 'nobody'"):
        lab_insecure.exec("nobody", ["true"])
    with pytest.raises(LabError, match="has no file"):
        lab_insecure.read_file("worker1", "/no/such/file")
    with pytest.raises(LabkitError, match="key of authority"):
        authority_of(lab_insecure, "no-such-ca")


def test_missing_lab_is_reported_with_the_up_command(client: docker.DockerClient) -> None:
    with pytest.raises(NoSuchLab) as caught:
        Lab("hardened", name=OTHER, client=client).kubectl("get", "nodes")
    assert caught.value.hint == f"labkit up --name {OTHER} --mode hardened"


def test_reset_restores_files_objects_units_and_pods(lab_insecure: Lab) -> None:
    lab = lab_insecure
    before = lab.kubectl(
        "get", "pods,nodes,namespaces,clusterrolebindings", "-A", "-o", "name"
    ).text
    password = lab.kubectl(
        "get", "secret", "db-credentials", "-n", "shop", "-o", "jsonpath={.data}"
    ).text
    drop_in = "/etc/systemd/system/kube-scheduler.service.d/10-drift.conf"
    lab.write_file("master", drop_in, b"[Service]\nNice=5\n")
    lab.write_file("worker1", "/etc/kubernetes/kubelet.conf", b"broken")
    lab.exec("master", ["systemctl", "daemon-reload"])
    lab.exec("master", ["systemctl", "stop", "kube-scheduler"])
    lab.kubectl("create", "namespace", "drift")
    lab.kubectl("delete", "secret", "db-credentials", "-n", "shop")
    lab.kubectl("create", "clusterrolebinding", "drift", "--clusterrole=cluster-admin", "--user=x")
    lab.reset()
    after = lab.kubectl("get", "pods,nodes,namespaces,clusterrolebindings", "-A", "-o", "name").text
    assert after == before
    assert password == lab.kubectl(
        "get", "secret", "db-credentials", "-n", "shop", "-o", "jsonpath={.data}"
    ).text  # fmt: skip
    assert lab.exec("master", ["test", "-e", drop_in], check=False).exit_code == 1
    assert lab.exec("master", ["systemctl", "is-active", "kube-scheduler"]).text == "active\n"
    assert b"kind: Config" in lab.read_file("worker1", "/etc/kubernetes/kubelet.conf")


def test_machine_is_reset_alone(lab_insecure: Lab) -> None:
    """As after a participant's edits, of which those on one machine stop its etcd."""
    lab, file = lab_insecure, "/etc/systemd/system/etcd.service.d/10-hand.conf"
    try:
        lab.write_file("etcd2", file, b"[Service]\nNice=5\n")
        lab.write_file("etcd3", file, b"[Service]\nExecStart=\nExecStart=/bin/false\n")
        lab.exec("etcd3", ["systemctl", "daemon-reload"])
        lab.exec("etcd3", ["systemctl", "restart", "etcd"], check=False)
        assert set(lab.status().problems) == {"etcd3"}
        lab.reset_machine("etcd3")
        assert lab.status().state == "ready"
        assert lab.exec("etcd3", ["test", "-e", file], check=False).exit_code == 1
        assert lab.exec("etcd2", ["test", "-e", file]).exit_code == 0
    finally:
        lab.reset()
    assert lab.exec("etcd2", ["test", "-e", file], check=False).exit_code == 1


def test_machine_whose_files_must_fit_the_others_is_not_reset_alone(lab_insecure: Lab) -> None:
    lab = lab_insecure
    with pytest.raises(LabError, match="no state of its own") as caught:
        lab.reset_machine("attacker")
    assert caught.value.hint == f"labkit reset --name {lab.name} --mode insecure"
    lab.apply(controls["etcd-single-listener"].flip(lab.environment, on=True))
    try:
        with pytest.raises(LabError, match="labkit has changed the configuration"):
            lab.reset_machine("etcd1")
    finally:
        lab.reset()


def test_hardened_lab_runs_nodes_pods_and_etcd(lab_hardened: Lab) -> None:
    nodes = lab_hardened.kubectl("get", "nodes", "-o", "wide").text
    assert nodes.count(" Ready ") == 2
    assert "v1.37" in nodes
    pods = lab_hardened.kubectl("get", "pods", "-A", "-o", "wide").text
    assert pods.count("Running") == 6
    said = lab_hardened.kubectl("exec", "-n", "shop", "web", "--", "wget", "-qO-", "localhost:8080")
    assert said.text == "shop\n"
    members = lab_hardened.etcdctl("member", "list").text
    assert members.count("started") == 3
    assert (
        "10.244." in lab_hardened.exec("worker1", ["ip", "route", "show", "dev", "flannel.1"]).text
    )
