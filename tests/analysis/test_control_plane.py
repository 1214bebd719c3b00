"""The control plane that the peers were given too: what is found is true, and all there is."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis import find_threats, reach
from labkit.model import PROPERTIES, Draft, Model

SAID: dict[str, dict[str, Any]] = {
    "insecure": dict(zip(PROPERTIES, ("none", "none", "none", "allow-all"), strict=True)),
    "hardened": dict(zip(PROPERTIES, ("tls1.3", "verified", "required", "enforced"), strict=True)),
}
OWN = {
    "insecure": {"audit": "none", "secrets at rest": "none"},
    "hardened": {"audit": "on", "secrets at rest": "encrypted"},
}
#: From, to, the server's port as Kubernetes has it, and what is said.
CALLS = (
    ("kube-apiserver@master", "etcd@master", 2379, "secrets"),
    ("kube-scheduler@master", "kube-apiserver@master", 6443, "pod specs"),
    ("kube-controller-manager@master", "kube-apiserver@master", 6443, "pod specs"),
    ("kubelet@worker", "kube-apiserver@master", 6443, "pod specs"),
    ("kube-proxy@worker", "kube-apiserver@master", 6443, "pod specs"),
    ("flanneld@worker", "etcd@master", 2379, "pod specs"),
    ("kube-apiserver@master", "kubelet@worker", 10250, "exec sessions"),
    ("kubectl@laptop", "kube-apiserver@master", 6443, "secrets"),
)
LISTENERS = ("etcd@master:2379", "kube-apiserver@master:6443", "kubelet@worker:10250")
STAYS = "caller-unrestricted@containerd@worker:/run/containerd/containerd.sock"


def control_plane(name: str) -> Model:
    draft = Draft(name)
    zones = {"master": "control plane", "worker": "node", "laptop": "operator network"}
    ends = dict.fromkeys(end for call in CALLS for end in call[:2])
    for end in [*ends, "containerd@worker"]:
        claims = OWN[name] if end.startswith("kube-apiserver") else {}
        draft.component(end, zone=zones[end.partition("@")[2]], claims=claims)
    protocol = "https" if name == "hardened" else "http"
    for client, server, _, data in CALLS:
        draft.channel(client, server, data=[data], protocol=protocol, **SAID[name])
    draft.channel("kubelet", "containerd")
    return draft.model()


def ids(name: str, state: str) -> set[str]:
    return {item.id for item in find_threats(control_plane(name)).state(state)}


def test_insecure_has_exactly_the_expected_findings() -> None:
    channels = [f"{client} -> {server}:{port}" for client, server, port, _ in CALLS]
    assert ids("insecure", "open") == {
        *(f"{gap}@{channel}" for gap in ("plaintext", "server-unverified") for channel in channels),
        *(f"caller-{gap}@{it}" for gap in ("unauthenticated", "unrestricted") for it in LISTENERS),
        "no-audit@kube-apiserver@master",
        "secrets-at-rest@kube-apiserver@master",
    }


@pytest.mark.parametrize(
    ("audit", "state"),
    [("none", "open"), ("partial", "open"), ("on", "mitigated"), ("unknown", "unknown")],
)
def test_audit_log_that_misses_requests_is_a_finding(audit: str, state: str) -> None:
    draft = Draft("by hand")
    draft.component("kube-apiserver", claims={"audit": audit})
    found = [it for it in find_threats(draft.model()) if it.id.startswith("no-audit")]
    assert [it.state for it in found] == [state]


@pytest.mark.parametrize("name", SAID)
def test_residual_finding_is_explained(name: str) -> None:
    [stays] = find_threats(control_plane(name)).state("residual")
    assert stays.id == STAYS
    assert "only the socket's mode restricts them" in stays.explanation
    assert ids(name, "unknown") == set()


def test_hardened_has_no_open_finding_and_one_path() -> None:
    assert ids("hardened", "open") == set()
    usual = ["network", "pod", "user:master", "user:worker", "root:worker"]
    found = reach(control_plane("hardened"), usual)
    goals = {(str(start), str(goal)) for start in found.paths for goal in found.paths[start]}
    # who is root on a worker is root on a node
    assert goals == {("root on worker", "root on a node")}
    everywhere = reach(control_plane("insecure"), usual)
    assert [len(paths) for paths in everywhere.paths.values()] == [3] * len(usual)
