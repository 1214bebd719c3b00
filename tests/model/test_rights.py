"""One caller and one action; one user and one file; one pod and its token."""

from __future__ import annotations

import json

import pytest

from labkit.cluster import Environment, read_environment
from labkit.cluster.edits import PLAN, Edit, Flag, Key, TmpfilesLine, Whole
from labkit.errors import ConfigError
from labkit.model.admission_plugins import admission
from labkit.model.decision import Action, Caller, Decision, decide, decide_at_kubelet
from labkit.model.file_access import anybody_opens, may_open
from labkit.model.rights import authenticated_as, default_bindings, known_to_kubelet
from labkit.model.workloads import audience_in, pods, token_in

APISERVER, KUBELET = "kube-apiserver.service", "/etc/kubernetes/kubelet.yaml"
RULES = "/etc/tmpfiles.d/kubernetes.conf"
SECRETS = Action("get", "secrets", namespace="shop", name="db-credentials")
APPROVE = Action("update", "certificatesigningrequests/approval", "certificates.k8s.io")
CREATE = Action("create", "certificatesigningrequests", "certificates.k8s.io")
ROLES = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [db-credentials]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
"""
READONLY = json.dumps(
    {
        "apiVersion": "abac.authorization.kubernetes.io/v1beta1",
        "kind": "Policy",
        "spec": {
            "group": "system:unauthenticated",
            "readonly": True,
            "namespace": "*",
            "apiGroup": "*",
            "resource": "*",
        },
    }
)


def env(mode: str, *edits: Edit) -> Environment:
    return read_environment(mode, edits)


def caller(found: Environment, name: str = "", node: str = "worker1") -> Caller:
    held = found.credential(name, node) if name else None
    return authenticated_as(found.component("kube-apiserver@master"), found, held)


def asked(found: Environment, who: Caller, action: Action) -> str:
    return decide(found, found.component("kube-apiserver@master"), who, action).value


def test_apiserver_identifies_callers_by_their_certificates() -> None:
    insecure, hardened = env("insecure"), env("hardened")
    assert caller(insecure).user == "system:anonymous"
    assert caller(hardened).user == ""
    assert caller(insecure, "kubelet").user == "system:node:worker1"
    # signed by etcd's authority, which the apiserver does not trust
    assert caller(hardened, "flanneld").user == ""
    # a server's certificate is no client's
    assert caller(hardened, "kubelet-serving").user == ""


@pytest.mark.parametrize("action", [SECRETS, APPROVE, CREATE, Action("impersonate", "groups")])
def test_broad_policy_allows_everybody_everything(action: Action) -> None:
    found = env("insecure")
    assert asked(found, caller(found), action) == "allowed"


def test_kubelet_may_request_certificates_but_not_approve_them() -> None:
    found = env("hardened")
    kubelet = caller(found, "kubelet")
    assert asked(found, kubelet, CREATE) == "allowed"
    # a pod on worker1 uses it, and none there the other one
    assert asked(found, kubelet, SECRETS) == "allowed"
    other = Action("get", "secrets", namespace="payments", name="card-processor")
    for action in (APPROVE, other, Action("impersonate", "users")):
        assert asked(found, kubelet, action) == "denied"
    assert asked(found, caller(found), CREATE) == "denied"
    assert asked(found, caller(found, "admin", "master"), APPROVE) == "allowed"


def test_readonly_abac_rule_allows_reads_only() -> None:
    policy = Whole("master", "/etc/kubernetes/abac.jsonl", READONLY)
    found = env("insecure", policy)
    assert asked(found, caller(found), SECRETS) == "allowed"
    assert asked(found, caller(found), CREATE) == "denied"
    assert asked(found, caller(found, "kubelet"), SECRETS) == "denied"


def test_role_allows_only_its_namespace_and_named_objects() -> None:
    found = env("hardened", Whole(PLAN, "manifests/reader.yaml", ROLES))
    who = Caller("system:serviceaccount:shop:default", frozenset(), caller(found).claim)
    assert asked(found, who, SECRETS) == "allowed"
    for other in (
        Action("get", "secrets", namespace="payments", name="db-credentials"),
        Action("get", "secrets", namespace="shop", name="other"),
        Action("list", "secrets", namespace="shop"),
    ):
        assert asked(found, who, other) == "denied"
    another = Caller("system:serviceaccount:payments:default", frozenset(), who.claim)
    assert asked(found, another, SECRETS) == "denied"


def test_default_admission_plugin_is_on_unless_disabled() -> None:
    name = "CertificateSubjectRestriction"
    off = env("insecure", Flag("master", APISERVER, "disable-admission-plugins", f"Other,{name}"))
    for found, value in ((env("insecure"), "enforced"), (off, "allow-all")):
        assert admission(found.component("kube-apiserver@master"), name).value == value


def at_kubelet(found: Environment, name: str = "") -> Decision:
    kubelet = found.component("kubelet@worker2")
    held = found.credential(name, "worker1") if name else None
    who = known_to_kubelet(found, kubelet, held)
    return decide_at_kubelet(found, kubelet, who, Action("create", "nodes/proxy"))


def test_kubelet_authorization_follows_its_mode_and_the_apiserver() -> None:
    always = Key("worker", KUBELET, "authorization.mode", "AlwaysAllow")
    anonymous = Key("worker", KUBELET, "authentication.anonymous.enabled", True)
    webhook = Key("worker", KUBELET, "authorization.mode", "Webhook")
    strange = Key("worker", KUBELET, "authorization.mode", "Sometimes")
    assert at_kubelet(env("hardened"), "kubelet").value == "denied"
    assert at_kubelet(env("hardened", always), "kubelet").value == "allowed"
    assert at_kubelet(env("hardened", always)).value == "denied"
    assert at_kubelet(env("hardened", always, anonymous)).value == "allowed"
    assert at_kubelet(env("hardened", anonymous)).value == "denied"
    # the apiserver allows the anonymous everything there, so asking it is no help
    assert at_kubelet(env("insecure", webhook)).value == "allowed"
    with pytest.raises(ConfigError, match="'Sometimes' is not one of"):
        env("hardened", strange)


@pytest.mark.parametrize(
    ("mode", "edits", "path", "user", "value"),
    [
        ("insecure", (), "/etc/kubernetes/pki/ca.key", "alice", "allowed"),
        ("insecure", (), "/etc/kubernetes/pki/apiserver.key", "alice", "denied"),
        ("insecure", (), "/etc/kubernetes/pki/apiserver.crt", "alice", "allowed"),
        ("hardened", (), "/etc/kubernetes/pki/ca.crt", "alice", "denied"),
        # of a file that the environment does not write, nothing is known but its folder
        ("hardened", (), "/home/alice/notes", "alice", "unknown"),
        ("hardened", (), "/home/alice/notes", "bob", "denied"),
        (
            "hardened",
            (
                TmpfilesLine(
                    "master", RULES, "/etc/kubernetes/pki", "z /etc/kubernetes/pki 0755 root root"
                ),
            ),
            "/etc/kubernetes/pki/ca.key",
            "alice",
            "denied",
        ),
        (
            "hardened",
            (
                TmpfilesLine(
                    "master", RULES, "/etc/kubernetes/pki", "z /etc/kubernetes/pki 0750 root bob"
                ),
            ),
            "/etc/kubernetes/pki/ca.crt",
            "bob",
            "allowed",
        ),
    ],
)
def test_file_is_readable_by_mode_owner_and_group(
    mode: str, edits: tuple[Edit, ...], path: str, user: str, value: str
) -> None:
    found = env(mode, *edits)
    decision = may_open(found, found.node("master"), user, path)
    assert decision.value == decision.claim.value == value
    assert str(decision.claim.source)


def test_files_must_all_be_readable_by_one_user() -> None:
    keys = [f"/etc/kubernetes/pki/{name}.key" for name in ("ca", "apiserver")]
    assert anybody_opens(env("insecure"), "master", keys[0]) == "allowed"
    assert anybody_opens(env("insecure"), "master", *keys) == "denied"


def test_pods_have_the_expected_service_account_tokens() -> None:
    shop, payments, agent = ("shop", "web"), ("payments", "card-processor"), ("monitoring", "agent")
    others = {("ci", "builder"), ("shop", "reporter"), ("shop", "collector")}
    assert set(pods(env("insecure"))) == {shop, payments, agent, *others}
    given = {
        mode: {pod for pod in pods(env(mode)) if token_in(env(mode), *pod).value == "mounted"}
        for mode in ("insecure", "hardened")
    }
    assert given == {"insecure": {shop, payments, agent}, "hardened": {agent}}
    assert token_in(env("insecure"), "shop", "nobody").value == "none"


def test_abac_rule_for_a_resource_covers_its_subresources() -> None:
    rule = {"group": "system:nodes", "namespace": "*", "apiGroup": "*", "resource": "pods"}
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    found = env(
        "insecure",
        Whole("master", "/etc/kubernetes/abac.jsonl", json.dumps({**head, "spec": rule})),
    )
    kubelet = caller(found, "kubelet")
    assert asked(found, kubelet, Action("create", "pods/binding", namespace="shop")) == "allowed"
    assert asked(found, kubelet, Action("create", "bindings", namespace="shop")) == "denied"


def test_projected_token_has_its_audience() -> None:
    path, key = "manifests/reporter.yaml", "spec.volumes.0.projected"
    insecure, hardened = env("insecure"), env("hardened")
    audience = audience_in(insecure, "shop", "reporter")
    assert audience is not None
    assert (audience.value, audience.source.default) == ("", True)
    assert audience_in(hardened, "shop", "web") is None
    assert audience_in(hardened, "shop", "nobody") is None
    other = env("hardened", Key(PLAN, path, key, {"sources": [{"secret": {"name": "x"}}]}))
    assert audience_in(other, "shop", "reporter") is None


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("{kind: ServiceAccount, name: default, namespace: shop}", 1),
        ("{kind: Group, name: 'system:serviceaccounts'}", 1),
        ("{kind: Group, name: 'system:serviceaccounts:shop'}", 1),
        ("{kind: ServiceAccount, name: reporter, namespace: shop}", 0),
        ("{kind: User, name: default}", 0),
    ],
)
def test_default_account_bindings_are_found_by_subject(subject: str, found: int) -> None:
    binding = ROLES.partition("---\n")[2].replace(
        "{kind: ServiceAccount, name: default, namespace: shop}", subject
    )
    assert len(default_bindings(env("hardened", Whole(PLAN, "manifests/x.yaml", binding)))) == found
