"""In a lab: attacks that the log shows, attacks that it does not, and a log that was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit import techniques
from labkit.cluster.edits import Edit, Flag, Whole
from labkit.detection import detect
from labkit.detection.audit_log import parse_events
from labkit.detection.event_fields import is_field
from labkit.detection.sigma_rules import own_rules

pytestmark = pytest.mark.lab
POLICY, LOG = "/etc/kubernetes/audit-policy.yaml", "/var/log/kubernetes/audit.log"
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
#: For each technique, whether its events are in the log, and the rules that find them there.
EXPECTED = {
    "agent-token": ("seen", {"service-account-binds-role"}),
    "csr-self-approve": (
        "seen",
        {"nobody-writes", "node-is-refused", "certificate-request-is-approved-by-its-sender"},
    ),
    "scheduler-credential": ("seen", {"scheduler-reads-secrets"}),
    "token-replay": ("seen", {"nobody-asks-for-secrets"}),
    # lists of pods are in no rule of the policy
    "node-reads-pods": ("none", set()),
    # these ask no apiserver
    "etcd-read": ("none", set()),
    "kubelet-exec": ("none", set()),
}


def leaves(inside: Any, name: str = "") -> Iterator[str]:
    """Yield the names of all fields of an event."""
    if isinstance(inside, dict):
        for key, value in inside.items():
            yield from leaves(value, f"{name}.{key}".lstrip("."))
    elif isinstance(inside, list):
        for value in inside:
            yield from leaves(value, name)
    else:
        yield name


def test_events_and_rules_are_as_expected(lab_hardened: Any) -> None:
    known = [techniques[name] for name in EXPECTED]
    found = detect(lab_hardened, known, own_rules().rules, traffic=5.0)
    assert found.differences == ()
    assert found.exit_code == 0
    for name, (word, rules) in EXPECTED.items():
        cells = [it for it in found.cells if it.technique == name]
        assert {it.observed for it in cells} == {word}, name
        assert {rule for it in cells for rule in it.fires} == rules, name
        assert [it.on_ordinary for it in cells if it.on_ordinary] == [], name
    text = lab_hardened.exec("master", ["cat", LOG]).stdout
    names = {name for event in parse_events(text) for name in leaves(event)}
    assert {name for name in names if not is_field(name)} == set()


def test_flipped_control_brings_an_attack_into_the_log(
    lab_hardened: Any, settled: Callable[..., list[str]]
) -> None:
    known = [techniques["pod-token"], techniques["etcd-read"]]
    found = detect(lab_hardened, known, flipped=["service-account-automount", "etcd-peer-cn"])
    assert found.exit_code == 0
    # without a token in the pod, nothing is asked; the other flip and technique change nothing
    seen = {(it.technique, it.control): it.observed for it in found.cells}
    assert seen.pop(("pod-token", "service-account-automount")) == "seen"
    assert set(seen) == {("pod-token", None), ("etcd-read", None)}
    assert set(seen.values()) == {"none"}
    assert settled(lab_hardened) == []


def test_policy_that_was_changed_by_hand_disagrees(lab_hardened: Any) -> None:
    text = lab_hardened.read_file("master", POLICY).decode()
    assert "verbs: [create, " in text
    try:
        lab_hardened.write_file("master", POLICY, text.replace("[create, ", "[").encode())
        lab_hardened.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=60)
        lab_hardened.wait()
        found = detect(lab_hardened, [techniques["agent-token"]])
    finally:
        lab_hardened.reset()
    [cell] = found.cells
    assert (cell.verdict, found.exit_code) == ("disagree", 1)
    assert cell.reason.startswith("not in the log: create clusterrolebindings by system:service")


def test_attacks_that_succeed_are_seen_once_there_is_a_policy(lab_insecure: Any) -> None:
    known = [techniques[name] for name in ("insecure-port", "csr-self-approve", "etcd-forge")]
    assert {it.observed for it in detect(lab_insecure, known).cells} == {"none"}
    edits: list[Edit] = [
        Flag("master", "kube-apiserver.service", "audit-policy-file", POLICY),
        Flag("master", "kube-apiserver.service", "audit-log-path", LOG),
        Whole("master", POLICY, EVERYTHING),
    ]
    try:
        lab_insecure.apply(edits)
        lab_insecure.wait()
        found = detect(lab_insecure, known)
    finally:
        lab_insecure.reset()
    assert found.differences == ()
    assert {(it.outcome, it.observed) for it in found.cells} == {("succeeded", "seen")}
