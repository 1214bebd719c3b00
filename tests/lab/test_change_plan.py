"""What a change does on each machine, from two environments: no engine is needed."""

from __future__ import annotations

import pytest

from labkit.cluster import read_environment
from labkit.cluster.edits import Whole
from labkit.controls import with_controls
from labkit.lab import bootstrap, change
from labkit.lab.wait import telling

INSECURE = read_environment("insecure")


def steps(control: str) -> dict[str, change._Step]:
    """Return the steps of putting a control in place in insecure, by machine."""
    new = with_controls(INSECURE, {control: True})
    found = {node.name: change._step(INSECURE.node(node.name), node) for node in new.nodes}
    return {name: step for name, step in found.items() if step}


def test_changed_configuration_restarts_the_unit_that_names_it() -> None:
    found = steps("kubelet-anonymous")
    assert set(found) == {"worker1", "worker2"}
    for step in found.values():
        assert step.written == ("/etc/kubernetes/kubelet.yaml",)
        assert step.restarted == ("kubelet.service",)
        assert (step.gone, step.removed, step.accounts) == ((), (), ())
        assert step.rules, "a written file has lost the mode of its rule"
        assert step.systemd == (), "systemd need not read its own files again: none changed"


def test_docker_service_is_restarted_with_its_socket() -> None:
    assert steps("docker-socket-mode")["worker1"].restarted == ("docker.service", "docker.socket")


def test_unit_that_the_new_environment_lacks_is_removed() -> None:
    master = steps("insecure-port")["master"]
    assert master.removed == ("kubectl-proxy.service",)
    assert "/etc/systemd/system/kubectl-proxy.service" in master.gone
    assert "kubectl-proxy.service" not in master.restarted
    assert "/etc/systemd/system/kubectl-proxy.service" in master.systemd


def test_systemd_reads_its_files_again_if_one_was_written() -> None:
    assert steps("docker-socket-mode")["worker1"].systemd == ("/etc/systemd/system/docker.socket",)


def test_changed_accounts_are_applied() -> None:
    assert steps("docker-group")["worker1"].accounts == ("/etc/sysusers.d/docker.conf",)


def test_equal_environments_change_nothing() -> None:
    again = read_environment("insecure")
    found = [change._step(INSECURE.node(node.name), node) for node in again.nodes]
    assert not any(found)


def test_file_named_by_a_named_file_is_read_by_the_unit() -> None:
    text = "users:\n- name: x\n  user: {tokenFile: /etc/kubernetes/deep.conf}\n"
    edits = (
        Whole("worker", "/etc/kubernetes/more.conf", text),
        Whole("worker", "/etc/kubernetes/deep.conf", "x"),
        Whole("worker", "/etc/kubernetes/alone.conf", "x"),
        Whole("worker", "/etc/systemd/system/more.service", "[Service]\n"
              "ExecStart=/usr/bin/more --config=/etc/kubernetes/more.conf\n"),
    )  # fmt: skip
    node = read_environment("insecure", edits).node("worker1")
    unit = "/etc/systemd/system/more.service"
    read = {unit, "/etc/kubernetes/more.conf", "/etc/kubernetes/deep.conf"}
    assert change._reads(node, unit) == read


@pytest.mark.parametrize(
    ("control", "moved"), [("etcd-peer-tls", True), ("etcd-client-tls", False)]
)
def test_peer_urls_change_with_peer_tls_only(control: str, moved: bool) -> None:
    before = dict(change._peer_urls(INSECURE))
    after = dict(change._peer_urls(with_controls(INSECURE, {control: True})))
    assert before["etcd1"] == "http://etcd1:2380"
    assert (after != before) is moved


@pytest.mark.parametrize(
    ("mode", "control", "differs"),
    [
        ("insecure", "encryption-at-rest", True),
        ("hardened", "encryption-at-rest", True),
        ("hardened", "kubelet-anonymous", False),
    ],
)
def test_secrets_are_rewritten_if_their_encryption_changes(
    mode: str, control: str, differs: bool
) -> None:
    old = read_environment(mode)
    new = with_controls(old, {control: mode == "insecure"})
    assert change._encryption(old, new) is differs


def test_units_are_files_directly_in_the_folder_of_systemd() -> None:
    edit = Whole("etcd", "/etc/systemd/system/etcd.service.d/more.conf", "[Service]\n")
    node = read_environment("insecure", (edit,)).node("etcd1")
    assert edit.path in node.files
    assert bootstrap.units(node) == ["etcd.service"]


def test_secret_has_new_random_values_for_each_key() -> None:
    first, second = (bootstrap._secret("shop", "db", ["user", "password"]) for _ in range(2))
    assert first["metadata"] == {"namespace": "shop", "name": "db"}
    one, two = first["stringData"], second["stringData"]
    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert set(one) == {"user", "password"}
    assert len({*one.values(), *two.values()}) == 4


def test_evidence_has_the_last_complaints_and_the_last_lines_in_order() -> None:
    log = [f"error {number}" for number in range(5)] + [f"line {number}" for number in range(5)]
    assert telling(log, most=2) == ["error 3", "error 4", "line 3", "line 4"]
    assert telling(log[:5], most=2) == ["error 3", "error 4"], "no line is there twice"
    assert telling([]) == []
