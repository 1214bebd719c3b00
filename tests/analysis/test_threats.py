"""Findings: right in both modes, few in hardened, and each closed by the control that it names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.analysis import find_threats, with_control
from labkit.analysis.findings.finding import LEVELS, STATES
from labkit.analysis.findings.rules import COMPONENT_RULES, CREDENTIAL_RULES, RULES
from labkit.model import Draft, read_model

INSECURE, HARDENED = read_model("insecure"), read_model("hardened")
STRIDE = {
    "spoofing",
    "tampering",
    "repudiation",
    "information disclosure",
    "denial of service",
    "elevation of privilege",
}
CONTROLS = {control.name for control in controls.values()}
TECHNIQUES = {technique.name for technique in techniques.values()}


@pytest.mark.parametrize("model", [INSECURE, HARDENED], ids=["insecure", "hardened"])
def test_every_finding_is_complete(model) -> None:
    found = find_threats(model)
    assert len({item.id for item in found}) == len(found) > 50
    for item in found:
        assert item.state in STATES
        assert item.severity in LEVELS
        assert set(item.stride) <= STRIDE
        assert all(re.fullmatch(r"CWE-\d+", name) for name in item.cwe)
        assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", name) for name in item.attack)
        assert item.control in {"", *CONTROLS}
        assert item.technique in {"", *TECHNIQUES}
        assert str(item.claim.source)
        assert item.explanation


def test_rules_cover_all_of_stride() -> None:
    rules = (*RULES, *COMPONENT_RULES, *CREDENTIAL_RULES)
    assert {name for rule in rules for name in rule.stride} == STRIDE


def test_residual_findings_of_hardened_are_explained() -> None:
    left = find_threats(HARDENED).state("open", "unknown", "residual")
    assert {item.state for item in left} == {"residual"}
    assert all(item.explanation.startswith("It stays whatever is set: ") for item in left)
    assert not find_threats(HARDENED).open


def test_insecure_has_the_findings_of_the_article() -> None:
    found = {item.id: item for item in find_threats(INSECURE).open}
    for name, line in {
        "caller-unauthenticated@kubelet@worker1:10250": "kubelet.yaml",
        "caller-unauthenticated@dockerd@worker1:2375": "docker.service",
        "plaintext@etcd@etcd1 -> etcd@etcd2:2380": "etcd.service",
        "server-unverified@kube-apiserver@master -> kubelet@worker1:10250": "kube-apiserver",
        "caller-unrestricted@kube-apiserver@master:6443": "abac.jsonl",
        "credential-readable@admin@master": "pki.yaml",
    }.items():
        assert line in str(found[name].claim.source), name


# Without TLS nobody shows a certificate, and the apiserver that is asked allows everything.
NOTHING_ALONE = {"etcd-client-cert-auth", "etcd-peer-cn", "kubelet-authorization"}


@pytest.mark.parametrize(
    "control", sorted({item.control for item in find_threats(INSECURE).open if item.control})
)
def test_control_closes_something_and_opens_nothing(control: str) -> None:
    before = {item.id for item in find_threats(INSECURE).open}
    after = {item.id for item in find_threats(with_control(INSECURE, control)).open}
    assert bool(before - after) != (control in NOTHING_ALONE)
    # a certificate is worth nothing until etcd demands one, and then it opens etcd
    opened = {it for it in after - before if not it.startswith("credential-overpowered@")}
    assert control == "etcd-client-cert-auth" or opened == after - before
    assert not opened


def test_second_listener_has_findings_of_its_own() -> None:
    draft = Draft("two doors")
    draft.component("kube-apiserver")
    draft.component("etcd")
    strong: dict[str, Any] = {
        "encryption": "tls1.3",
        "server_authentication": "verified",
        "client_authentication": "required",
        "authorization": "enforced",
    }
    draft.channel("kube-apiserver", "etcd", **strong)
    draft.channel("kube-apiserver", "etcd", port=2378)
    found = find_threats(draft.model())
    assert {item.id for item in found.open} == {
        "caller-unauthenticated@etcd@master:2378",
        "caller-unrestricted@etcd@master:2378",
        "plaintext@kube-apiserver@master -> etcd@master:2378",
        "server-unverified@kube-apiserver@master -> etcd@master:2378",
    }
    assert "caller-unauthenticated@etcd@master:2379" in {i.id for i in found.state("mitigated")}


@pytest.mark.parametrize(
    ("identity", "rights", "state"),
    [("root", (), "residual"), ("backup", (), "open"), ("root", ("admin",), "open")],
)
def test_etcds_root_is_meant_to_open_etcd_and_nobody_else_is(
    identity: str, rights: tuple[str, ...], state: str
) -> None:
    draft = Draft("a store")
    draft.component("etcd")
    draft.credential(
        "stored", node="etcd1", identity=identity, rights=rights, opens=("etcd@etcd1",)
    )
    found = find_threats(draft.model())
    assert [it.state for it in found if it.id == "credential-overpowered@stored@etcd1"] == [state]


def test_unstated_claims_are_unknown_and_not_open() -> None:
    draft = Draft("unsaid")
    draft.component("billing", node="a")
    draft.component("ledger", node="b")
    draft.channel("billing", "ledger", port=443)
    found = find_threats(draft.model())
    assert {item.state for item in found} == {"unknown"}


def test_findings_are_shown_the_same_each_time() -> None:
    first, second = find_threats(INSECURE), find_threats(read_model("insecure"))
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()
    assert "<script" not in first._repr_html_()
