"""An audit policy's first matching rule decides (Kubernetes: Auditing; audit/policy/checker.go)."""

from __future__ import annotations

import pytest

from labkit.cluster.audit_policy import AuditedRequest, read_audit_policy
from labkit.errors import ConfigError

EXEC = AuditedRequest("get", "pods/exec", namespace="shop", name="web")
BINDING = AuditedRequest("create", "clusterrolebindings", "rbac.authorization.k8s.io", "")
METRICS = AuditedRequest("get", path="/metrics")
LEASE = AuditedRequest(
    "update", "leases", "coordination.k8s.io", "kube-system", user="system:kube-scheduler"
)


def is_recorded(rules: str, request: AuditedRequest, omitted: str = "[]") -> bool:
    text = f"kind: Policy\nomitStages: {omitted}\nrules: [{rules}, {{level: Metadata}}]"
    policy, _ = read_audit_policy(text, "audit.yaml")
    return not policy.missed([request])


@pytest.mark.parametrize(
    ("condition", "request_", "matches"),
    [
        ("", EXEC, True),
        ("verbs: [get]", EXEC, True),
        ("verbs: [create]", EXEC, False),
        # a verb is compared as it is: there is no wildcard
        ('verbs: ["*"]', EXEC, False),
        ("users: [anyone]", EXEC, True),
        ("users: [system:kube-scheduler]", EXEC, False),
        ("users: [system:kube-scheduler]", LEASE, True),
        ("userGroups: [system:authenticated]", EXEC, True),
        ("userGroups: [system:nodes]", EXEC, False),
        # a resource with a part must be named with it
        ('resources: [{group: "", resources: [pods]}]', EXEC, False),
        ('resources: [{group: "", resources: [pods/exec]}]', EXEC, True),
        ('resources: [{group: "", resources: ["pods/*"]}]', EXEC, True),
        ('resources: [{group: "", resources: ["*/exec"]}]', EXEC, True),
        ('resources: [{group: "", resources: ["*/log"]}]', EXEC, False),
        ('resources: [{group: "", resources: ["*"]}]', EXEC, True),
        ('resources: [{group: ""}]', EXEC, True),
        ("resources: [{group: apps}]", EXEC, False),
        ('resources: [{group: "", resources: [pods/exec], resourceNames: [web]}]', EXEC, True),
        ('resources: [{group: "", resources: [pods/exec], resourceNames: [db]}]', EXEC, False),
        # "pods/*" is for parts and for the resource itself
        ('resources: [{group: "", resources: ["pods/*"]}]', AuditedRequest("get", "pods"), True),
        ("namespaces: [shop]", EXEC, True),
        ("namespaces: [default]", EXEC, False),
        # what is in no namespace has the empty one
        ('namespaces: [""]', BINDING, True),
        ("namespaces: [kube-system]", BINDING, False),
        ("resources: [{group: rbac.authorization.k8s.io}]", BINDING, True),
        ('nonResourceURLs: ["/metrics"]', METRICS, True),
        ('nonResourceURLs: ["/healthz*"]', METRICS, False),
        ('nonResourceURLs: ["/m*"]', METRICS, True),
        ('nonResourceURLs: ["*"]', METRICS, True),
        ('nonResourceURLs: ["*"]', EXEC, False),
        ('resources: [{group: ""}]', METRICS, False),
        ("namespaces: [shop]", METRICS, False),
    ],
)
def test_rule_matches_as_in_kubernetes(
    condition: str, request_: AuditedRequest, matches: bool
) -> None:
    """The rule before the last one records nothing; the last one records everything."""
    rule = f"{{level: None{', ' if condition else ''}{condition}}}"
    assert is_recorded(rule, request_) is not matches


@pytest.mark.parametrize(
    ("of_policy", "of_rule", "expected"),
    [
        ("[]", "[RequestReceived]", True),
        ("[RequestReceived]", "[ResponseComplete]", False),
        ("[RequestReceived, ResponseComplete]", "[]", False),
        ("[]", "[RequestReceived, ResponseStarted, ResponseComplete, Panic]", False),
    ],
)
def test_rule_that_omits_every_stage_records_nothing(
    of_policy: str, of_rule: str, expected: bool
) -> None:
    rule = f"{{level: Request, omitStages: {of_rule}}}"
    assert is_recorded(rule, EXEC, of_policy) is expected


def test_request_that_no_rule_matches_is_not_recorded() -> None:
    text = "{kind: Policy, rules: [{level: Metadata, verbs: [create]}]}"
    policy, _ = read_audit_policy(text, "audit.yaml")
    assert policy.records
    assert policy.missed([EXEC, BINDING]) == (EXEC,)


def test_malformed_resources_are_an_error() -> None:
    with pytest.raises(ConfigError, match="resources"):
        read_audit_policy(
            "{kind: Policy, rules: [{level: Metadata, resources: pods}]}", "audit.yaml"
        )
