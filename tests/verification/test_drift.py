"""After one setting is changed by hand in a running lab, its rows disagree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from labkit.lab import Lab
from labkit.verification import run, verify

SYSTEMD, KUBERNETES = "/etc/systemd/system", "/etc/kubernetes"


#: systemd reports a kubelet as active before it listens.
LISTENS = 'until ss -tlnH "sport = :$1" | grep -q .; do sleep 0.1; done'


def edit(
    node: str, path: str, old: str, new: str, unit: str, port: int = 0
) -> Callable[[Lab], None]:
    """Return a function that changes a line of a file and restarts its unit."""

    def change(lab: Lab) -> None:
        text = lab.read_file(node, path).decode()
        assert re.search(old, text), f"{path} does not say {old}"
        lab.write_file(node, path, re.sub(old, new, text).encode())
        lab.exec(node, ["systemctl", "daemon-reload"])
        lab.exec(node, ["systemctl", "restart", unit], timeout=60)
        if port:
            lab.exec(node, ["sh", "-c", LISTENS, "-", str(port)], timeout=30)

    return change


@dataclass(frozen=True)
class Drift:
    """A change by hand, and the channel and properties that must differ from the model."""

    mode: str
    change: Callable[[Lab], object]
    channel: str
    expected: dict[str, str]


DRIFTS = {
    "apiserver takes anonymous callers": Drift(
        "hardened",
        edit("master", f"{SYSTEMD}/kube-apiserver.service", "anonymous-auth=false",
             "anonymous-auth=true", "kube-apiserver"),
        "kubelet@worker1 -> kube-apiserver@master:6443",
        {"client_authentication": "anonymous"},
    ),
    "apiserver takes TLS 1.2": Drift(
        "hardened",
        edit("master", f"{SYSTEMD}/kube-apiserver.service", "VersionTLS13", "VersionTLS12",
             "kube-apiserver"),
        "kube-proxy@worker1 -> kube-apiserver@master:6443",
        {"encryption": "tls1.2"},
    ),
    "scheduler does not verify the apiserver": Drift(
        "hardened",
        edit("master", f"{KUBERNETES}/scheduler.conf", "certificate-authority: .*",
             "insecure-skip-tls-verify: true", "kube-scheduler"),
        "kube-scheduler@master -> kube-apiserver@master:6443",
        {"server_authentication": "unverified"},
    ),
    "apiserver does not verify the kubelets": Drift(
        "hardened",
        edit("master", f"{SYSTEMD}/kube-apiserver.service",
             "--kubelet-certificate-authority=.*", "\\\\", "kube-apiserver"),
        "kube-apiserver@master -> kubelet@worker1:10250",
        {"server_authentication": "unverified"},
    ),
    "kubelet authorizes every caller": Drift(
        "hardened",
        edit("worker1", f"{KUBERNETES}/kubelet.yaml", "mode: Webhook", "mode: AlwaysAllow",
             "kubelet", 10250),
        "kube-apiserver@master -> kubelet@worker1:10250",
        {"authorization": "allow-all"},
    ),
    "kubelet opens its read-only port": Drift(
        "hardened",
        edit("worker1", f"{KUBERNETES}/kubelet.yaml", "readOnlyPort: 0", "readOnlyPort: 10255",
             "kubelet", 10255),
        "anyone@network -> kubelet@worker1:10255",
        {
            "encryption": "none",
            "server_authentication": "none",
            "client_authentication": "none",
            "authorization": "allow-all",
        },
    ),
    "docker's socket is open to all": Drift(
        "hardened",
        lambda lab: lab.exec("worker1", ["chmod", "0666", "/run/docker.sock"]),
        "local-users@worker1 -> dockerd@worker1:/run/docker.sock",
        {"client_authentication": "none"},
    ),
    "etcd forgets its users": Drift(
        "hardened",
        lambda lab: lab.etcdctl("auth", "disable"),
        "flanneld@worker1 -> etcd@etcd1:2379",
        {"authorization": "allow-all"},
    ),
    "docker no longer listens on tcp": Drift(
        "insecure",
        edit("worker1", f"{SYSTEMD}/docker.service", r"--host=tcp://0\.0\.0\.0:2375", "",
             "docker"),
        "anyone@network -> dockerd@worker1:2375",
        {
            "encryption": "closed",
            "server_authentication": "closed",
            "client_authentication": "closed",
            "authorization": "closed",
        },
    ),
    "kubelet wants to know who calls": Drift(
        "insecure",
        edit("worker1", f"{KUBERNETES}/kubelet.yaml", "anonymous: {enabled: true}",
             "anonymous: {enabled: false}", "kubelet", 10250),
        "kube-apiserver@master -> kubelet@worker1:10250",
        {"client_authentication": "required"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
def test_manual_change_disagrees_until_reset(labs: dict[str, Lab], drift: Drift) -> None:
    lab = labs[drift.mode]
    try:
        drift.change(lab)
        report = verify(lab, only=[drift.channel])
    finally:
        lab.reset()
    assert {row.property: row.observed for row in report.disagree} == drift.expected, report
    assert not report.unprobed, report
    assert report.exit_code == 1
    clean = verify(lab, only=[drift.channel])
    assert clean.exit_code == 0, clean


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_every_claim_agrees_and_the_lab_is_unchanged(labs: dict[str, Lab], mode: str) -> None:
    lab = labs[mode]
    before = footprint(lab)
    report = verify(lab)
    assert not report.disagree, report.select(verdict="disagree")
    assert not report.unprobed, report.select(verdict="unprobed")
    assert len(report.rows) >= 130
    assert all(row.reason and row.source for row in report.rows)
    refusals = [row for row in report.rows if row.observed in ("required", "verified", "enforced")]
    assert refusals
    if mode == "insecure":
        # these two delegate authorization to the apiserver, whatever the mode
        delegating = ("kube-controller-manager@master:10257", "kube-scheduler@master:10259")
        assert all(row.channel.endswith(delegating) for row in refusals), refusals
    assert all(row.control for row in refusals)
    assert footprint(lab) == before
    assert json.loads(report.to_json())[0]["mode"] == mode


def test_interception_is_repeated_for_an_absent_client(
    labs: dict[str, Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, carry_out = labs["insecure"], run._carry_out
    lost: list[Any] = []

    def lose_the_first(lab: Lab, agent: str, jobs: Any) -> Any:
        if agent == "intercept" and not lost:
            lost.append(jobs)
            return {node: {name: {"seen": []} for name in jobs[node]} for node in jobs}
        return carry_out(lab, agent, jobs)

    monkeypatch.setattr(run, "_carry_out", lose_the_first)
    report = verify(lab, only=["kube-apiserver@master -> kubelet@worker1:10250"])
    assert lost
    assert report.exit_code == 0, report


def footprint(lab: Lab) -> dict[str, str]:
    """Return what a verification could leave behind: rules, objects in etcd, containers."""
    left = {
        node.name: lab.exec(node.name, ["sh", "-c", "iptables-save -t nat | grep -c labkit"],
                            check=False).text
        for node in lab.environment.nodes
    }  # fmt: skip
    left["bindings"] = lab.kubectl("get", "clusterrolebindings", "-o", "name").text
    left["containers"] = lab.exec("worker1", ["docker", "ps", "-aq"]).text
    return left
