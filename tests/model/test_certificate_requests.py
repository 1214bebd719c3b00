"""Who may approve and sign certificate signing requests, with the plugins that ask about signers.

The right values are those of Kubernetes' source, plugin/pkg/admission/certificates: approval/
admission.go and signing/admission.go ask the authorizers about the signer, and util.go first by its
name, then by its domain and a star.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from labkit import techniques
from labkit.cluster import Environment, read_environment
from labkit.cluster.edits import PLAN, Flag, Whole
from labkit.model import read_model
from labkit.model.certificate_requests import decide_on_request
from labkit.model.decision import member_of
from labkit.model.footholds import ROOT_ON_WORKER

RBAC, GROUP = "rbac.authorization.k8s.io", "certificates.k8s.io"
SIGNER = "kubernetes.io/kube-apiserver-client"
UNIT, APISERVER = "kube-apiserver.service", "kube-apiserver@master"
ANN = member_of("dev", user="ann")
PLUGINS = {"approval": ("CertificateApproval", "approve"), "status": ("CertificateSigning", "sign")}


def rule(verb: str, resource: str, *names: str) -> dict[str, Any]:
    made: dict[str, Any] = {"verbs": [verb], "apiGroups": [GROUP], "resources": [resource]}
    return {**made, "resourceNames": list(names)} if names else made


def of(subject: dict[str, str], rules: list[Any], disabled: str = "") -> Environment:
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "clerk"}}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "clerk"}
    objects = (
        {**head, "kind": "ClusterRole", "rules": rules},
        {**head, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": [subject]},
    )
    edits = [Whole(PLAN, "manifests/clerk.yaml", "\n---\n".join(map(json.dumps, objects)))]
    flag = Flag("master", UNIT, "disable-admission-plugins", disabled)
    return read_environment("hardened", [*edits, flag] if disabled else edits)


def answer(env: Environment, part: str) -> str:
    found = decide_on_request(env, env.component(APISERVER), ANN, part, SIGNER)
    values = {it.value for it in found}
    return next(word for word in ("denied", "unknown", "allowed") if word in values)


@pytest.mark.parametrize("part", PLUGINS)
@pytest.mark.parametrize(
    ("names", "value"),
    [
        (None, "denied"),
        ((), "allowed"),
        ((SIGNER,), "allowed"),
        (("kubernetes.io/*",), "allowed"),
        (("example.com/*",), "denied"),
        (("kubernetes.io/kubelet-serving",), "denied"),
        (("*",), "denied"),
    ],
)
def test_caller_needs_a_right_for_the_signer_if_its_plugin_is_on(
    part: str, names: tuple[str, ...] | None, value: str
) -> None:
    plugin, verb = PLUGINS[part]
    rules = [rule("update", f"certificatesigningrequests/{part}")]
    rules += [] if names is None else [rule(verb, "signers", *names)]
    user = {"kind": "User", "name": "ann"}
    assert answer(of(user, rules), part) == value
    assert answer(of(user, rules, disabled=f"Priority,{plugin}"), part) == "allowed"
    other = next(it for it in PLUGINS.values() if it[0] != plugin)[0]
    assert answer(of(user, rules, disabled=other), part) == value
    # a right for the signer alone changes no request
    assert answer(of(user, rules[1:] or [rule("get", "signers")], plugin), part) == "denied"


@pytest.mark.parametrize(("names", "value"), [(None, "unknown"), ((SIGNER,), "allowed")])
def test_unread_flags_leave_the_plugin_unknown(names: tuple[str, ...] | None, value: str) -> None:
    rules = [rule("update", "certificatesigningrequests/approval")]
    rules += [] if names is None else [rule("approve", "signers", *names)]
    env = of({"kind": "User", "name": "ann"}, rules)
    parts = [
        replace(it, complete=False) if it.kind == "kube-apiserver" else it for it in env.components
    ]
    assert answer(replace(env, components=tuple(parts)), "approval") == value


@pytest.mark.parametrize(
    ("name", "disabled", "word"),
    [
        ("csr-self-approve", "", "refused"),
        ("csr-self-approve", "CertificateApproval", "succeeded"),
        ("csr-self-approve", "CertificateSigning", "refused"),
        ("csr-masters", "CertificateSubjectRestriction", "refused"),
        ("csr-masters", "CertificateApproval", "refused"),
        ("csr-masters", "CertificateApproval,CertificateSubjectRestriction", "succeeded"),
    ],
)
def test_techniques_follow_the_plugins(name: str, disabled: str, word: str) -> None:
    rules = [
        rule("create", "certificatesigningrequests"),
        rule("update", "certificatesigningrequests/approval"),
    ]
    env = of({"kind": "Group", "name": "system:nodes"}, rules, disabled)
    assert techniques[name].predict(read_model(env), ROOT_ON_WORKER).word == word
