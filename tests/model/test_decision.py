"""One decision on a request: authorizers in their order, three values, kubelets' paths.

The right values are those of Kubernetes' documentation and source; tests/differential holds the
decision against a real apiserver.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit.cluster import Environment, read_environment
from labkit.cluster.edits import PLAN, Edit, Flag, Whole
from labkit.cluster.facts import File
from labkit.cluster.syntax.source import Setting, Source
from labkit.model.admission_plugins import admission, enabled
from labkit.model.authorization import apiserver_anonymous, kubelet_authorization
from labkit.model.claims import Claim
from labkit.model.decision import (
    EVERYTHING,
    Action,
    Caller,
    decide,
    decide_at_kubelet,
    kubelet_actions,
    member_of,
)
from labkit.model.rights import authenticated_as, restricted

APISERVER = "kube-apiserver.service"
SECRET = Action("get", "secrets", namespace="shop", name="db-credentials")
ANN = member_of("dev", user="ann")
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: extra, labels: {rbac.authorization.k8s.io/aggregate-to-LEVEL: "true"}}
rules: [{verbs: [impersonate], apiGroups: [""], resources: [users]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ann}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: BOUND}
subjects: [{kind: User, name: ann}]
"""


def env(*edits: Edit, mode: str = "hardened") -> Environment:
    return read_environment(mode, edits)


def authorized_by(modes: str) -> Flag:
    return Flag("master", APISERVER, "authorization-mode", modes)


def answer(found: Environment, caller: Caller, action: Action) -> str:
    return decide(found, found.component("kube-apiserver@master"), caller, action).value


@pytest.mark.parametrize(
    ("modes", "admin", "ann"),
    [
        # a webhook that is asked first may deny what RBAC would allow
        ("Webhook,RBAC", "unknown", "unknown"),
        ("RBAC,Webhook", "allowed", "unknown"),
        ("RBAC,AlwaysDeny", "allowed", "denied"),
        # AlwaysDeny has no opinion, and does not end the chain
        ("AlwaysDeny,RBAC", "allowed", "denied"),
        ("RBAC,AlwaysAllow", "allowed", "allowed"),
        ("Node", "denied", "denied"),
    ],
)
def test_authorizers_are_asked_in_their_order(modes: str, admin: str, ann: str) -> None:
    text = ROLE.replace("BOUND", "cluster-admin").replace("name: ann}", "name: root}")
    found = env(authorized_by(modes), Whole(PLAN, "manifests/root.yaml", text))
    assert answer(found, member_of(user="root"), SECRET) == admin
    assert answer(found, ANN, SECRET) == ann
    # the apiserver asks no authorizer about this group
    assert answer(found, member_of("system:masters", user="ann"), SECRET) == "allowed"


@pytest.mark.parametrize(
    ("level", "bound", "value"),
    [
        ("view", "view", "allowed"),
        ("view", "admin", "allowed"),
        ("edit", "admin", "allowed"),
        ("edit", "view", "denied"),
        ("admin", "edit", "denied"),
        ("admin", "admin", "allowed"),
    ],
)
def test_roles_for_users_have_the_rules_of_the_roles_that_they_select(
    level: str, bound: str, value: str
) -> None:
    text = ROLE.replace("LEVEL", level).replace("BOUND", bound)
    found = env(Whole(PLAN, "manifests/extra.yaml", text))
    assert answer(found, ANN, Action("impersonate", "users")) == value


@pytest.mark.parametrize(
    ("rule", "path", "value"),
    [
        ("/metrics", "/metrics", "allowed"),
        ("/metrics", "/metrics/cadvisor", "denied"),
        ("/logs/*", "/logs/syslog", "allowed"),
        ("/logs/*", "/logs", "denied"),
        ("*", "/anything", "allowed"),
    ],
)
def test_paths_match_by_their_last_star(rule: str, path: str, value: str) -> None:
    text = ROLE.replace("BOUND", "extra").replace(
        'apiGroups: [""], resources: [users]', f'nonResourceURLs: ["{rule}"]'
    )
    found = env(Whole(PLAN, "manifests/extra.yaml", text))
    assert answer(found, ANN, Action("impersonate", "", path=path)) == value


NODE = member_of("system:nodes", "system:authenticated", user="system:node:worker1")
CARD = Action("get", "secrets", namespace="payments", name="card-processor")


@pytest.mark.parametrize(
    ("action", "value"),
    [
        # shop/web is on worker1 and uses it; payments/card-processor is on worker2
        (SECRET, "allowed"),
        (replace(SECRET, verb="list"), "allowed"),
        (replace(SECRET, verb="update"), "denied"),
        (replace(SECRET, name=""), "denied"),
        (CARD, "denied"),
        (Action("get", "nodes", name="worker1"), "allowed"),
        (Action("get", "nodes", name="worker2"), "denied"),
        (Action("list", "nodes"), "denied"),
        (Action("update", "nodes", name="worker2"), "allowed"),
        (Action("list", "pods"), "denied"),
        (Action("get", "pods", namespace="shop", name="web"), "allowed"),
        (Action("create", "serviceaccounts/token", namespace="shop", name="default"), "allowed"),
        (Action("create", "serviceaccounts/token", namespace="shop", name="other"), "denied"),
        (Action("get", "configmaps", namespace="shop", name="kube-root-ca.crt"), "allowed"),
        (
            Action("get", "leases", "coordination.k8s.io", "kube-node-lease", "worker2"),
            "denied",
        ),
        (Action("get", "persistentvolumes", name="a"), "unknown"),
        (Action("create", "subjectaccessreviews", "authorization.k8s.io"), "allowed"),
        (Action("impersonate", "users"), "denied"),
    ],
)
def test_node_authorizer_knows_the_pods_of_the_node(action: Action, value: str) -> None:
    assert answer(env(), NODE, action) == value


def test_pods_that_were_not_copied_may_need_an_object() -> None:
    found = replace(env(), complete=False)
    assert answer(found, NODE, CARD) == "unknown"
    assert answer(found, NODE, SECRET) == "allowed"


@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_pods_in_a_list_are_pods_of_their_node(kind: str) -> None:
    """As ``kubectl get pods --output yaml`` and the apiserver itself write them."""
    own = "" if kind == "PodList" else "kind: Pod, "
    pod = (
        f"{{{own}metadata: {{name: other, namespace: payments}}, spec: {{nodeName: worker1, "
        "volumes: [{name: a, secret: {secretName: card-processor}}]}}"
    )
    text = f"{{kind: {kind}, items: [{pod}]}}".encode()
    copied = replace(env(), complete=False)
    assert answer(copied, NODE, CARD) == "unknown"
    files = (*copied.manifests, File(Path("list.yaml"), "", "list.yaml", text))
    assert answer(replace(copied, manifests=files), NODE, CARD) == "allowed"


def without_flags(found: Environment, kind: str, *names: str) -> Environment:
    """Return the environment as if a unit's arguments could not be read."""

    def changed(it: Any) -> Any:
        if it.kind != kind:
            return it
        kept = {name: value for name, value in it.settings.items() if name not in names}
        return replace(it, settings=kept, complete=False)

    return replace(found, components=tuple(map(changed, found.components)))


def test_defaults_of_an_apiserver_whose_flags_were_not_read_mean_nothing() -> None:
    names = ("authorization-mode", "anonymous-auth", "enable-admission-plugins")
    found = without_flags(env(), "kube-apiserver", *names)
    apiserver = found.component("kube-apiserver@master")
    assert answer(found, ANN, EVERYTHING) == "unknown"
    assert apiserver_anonymous(found, apiserver).value == "unknown"
    assert enabled(apiserver, "NodeRestriction").value == "unknown"
    assert admission(apiserver, "CertificateSubjectRestriction").value == "unknown"
    objection = restricted(apiserver, NODE)
    assert objection is not None
    assert objection.value == "unknown"


def test_defaults_of_a_kubelet_whose_flags_were_not_read_mean_nothing() -> None:
    found = without_flags(env(), "kubelet", "authorization.mode")
    kubelet = found.component("kubelet@worker1")
    assert decide_at_kubelet(found, kubelet, ANN, SECRET).value == "unknown"
    assert kubelet_authorization(found, kubelet).value == "unknown"


@pytest.mark.parametrize("flag", ["authentication-token-webhook-config-file", "oidc-issuer-url"])
def test_token_that_a_service_outside_the_cluster_knows_may_be_anybodys(flag: str) -> None:
    found = env(Flag("master", APISERVER, flag, "/x"))
    apiserver = found.component("kube-apiserver@master")
    held = found.credential("kubelet", "worker1")
    assert held is not None
    token = replace(held, kind="token", signed_by="", common_name="")
    caller = authenticated_as(apiserver, found, token)
    assert decide(found, apiserver, caller, SECRET).value == "unknown"
    plain = env()
    caller = authenticated_as(plain.component("kube-apiserver@master"), plain, token)
    assert answer(plain, caller, SECRET) == "denied"


def test_anonymous_callers_of_whom_it_is_unknown_whether_they_are_let_in() -> None:
    claim = Claim("unknown", "not a boolean", Source("x", 1, ""))
    anonymous = Caller("system:anonymous", frozenset({"system:unauthenticated"}), claim)
    assert answer(env(mode="insecure"), anonymous, SECRET) == "unknown"
    assert answer(env(), anonymous, SECRET) == "denied"


@pytest.mark.parametrize(
    ("method", "path", "parts"),
    [
        ("GET", "/pods", ["get nodes/pods", "get nodes/proxy"]),
        ("GET", "/pods/", ["get nodes/pods", "get nodes/proxy"]),
        ("GET", "/runningpods/", ["get nodes/pods", "get nodes/proxy"]),
        ("GET", "/healthz/log", ["get nodes/healthz", "get nodes/proxy"]),
        ("GET", "/configz", ["get nodes/configz", "get nodes/proxy"]),
        ("GET", "/metrics/cadvisor", ["get nodes/metrics"]),
        # found by tests/differential, seed 5: nodes/proxy is not enough
        ("GET", "/statusz", ["get nodes/statusz"]),
        ("GET", "/stats/summary", ["get nodes/stats"]),
        ("GET", "/logs/", ["get nodes/log"]),
        ("POST", "/checkpoint/a/b/c", ["create nodes/checkpoint"]),
        ("GET", "/podsandmore", ["get nodes/proxy"]),
        ("POST", "/exec/shop/web/web", ["create nodes/proxy"]),
        ("GET", "/exec/shop/web/web", ["get nodes/proxy"]),
        ("PUT", "/metrics", ["update nodes/metrics"]),
        ("GET", "/", ["get nodes/proxy"]),
    ],
)
def test_path_of_a_kubelet_has_its_subresource(method: str, path: str, parts: list[str]) -> None:
    assert [str(it) for it in kubelet_actions(method, path, "worker1")] == parts


@pytest.mark.parametrize(
    ("action", "old", "middle", "new"),
    [
        # KEP-4601, on by default since 1.32; before, system:node reads all pods and nodes
        (Action("list", "pods"), "allowed", "denied", "denied"),
        (Action("get", "pods", namespace="shop", name="no-such"), "allowed", "denied", "denied"),
        (Action("get", "nodes", name="worker2"), "allowed", "denied", "denied"),
        (Action("get", "nodes", name="worker1"), "allowed", "allowed", "allowed"),
        (Action("get", "pods/log", namespace="shop", name="web"), "denied", "denied", "denied"),
        (Action("create", "pods", namespace="shop"), "allowed", "allowed", "allowed"),
        # accounts of its pods, for plugins that fetch credentials, on by default since 1.34
        (
            Action("get", "serviceaccounts", namespace="shop", name="default"),
            "denied",
            "denied",
            "allowed",
        ),
    ],
)
def test_node_authorizer_is_that_of_the_version(
    action: Action, old: str, middle: str, new: str
) -> None:
    found = env()
    apiserver = found.component("kube-apiserver@master")
    for version, value in (((1, 31), old), ((1, 32), middle), ((1, 34), new)):
        it = replace(apiserver, version=version)
        assert decide(found, it, NODE, action).value == value
    unknown = replace(found, complete=False)
    said = decide(unknown, apiserver, NODE, action)
    # before 1.8 the role of nodes was bound to all of them, and an upgrade keeps that
    always = old == middle == new == "allowed"
    assert said.value == ("allowed" if always else "unknown")
    assert said.value != "unknown" or "version" in said.claim.detail


ACCOUNTS = "KubeletServiceAccountTokenForCredentialProviders"


@pytest.mark.parametrize(
    ("version", "gates", "pods", "accounts"),
    [
        # kube_features.go: the one locked since 1.34, the other beta since then
        ((1, 33), "AuthorizeNodeWithSelectors=false", "allowed", "denied"),
        ((1, 34), "AuthorizeNodeWithSelectors=false", "denied", "allowed"),
        ((1, 31), "AuthorizeNodeWithSelectors=true", "denied", "denied"),
        ((1, 33), "AuthorizeNodeWithSelectors=maybe", "unknown", "denied"),
        ((1, 33), "AllBeta=false", "unknown", "denied"),
        ((1, 33), "AllAlpha=true", "denied", "unknown"),
        ((1, 33), f"{ACCOUNTS}=true", "denied", "allowed"),
        ((1, 35), f"{ACCOUNTS}=false", "denied", "denied"),
    ],
)
def test_node_authorizer_is_that_of_the_feature_gates(
    version: tuple[int, int], gates: str, pods: str, accounts: str
) -> None:
    found = env()
    apiserver = found.component("kube-apiserver@master")
    settings = {**apiserver.settings, "feature-gates": (Setting(gates, apiserver.source),)}
    it = replace(apiserver, version=version, settings=settings)
    account = Action("get", "serviceaccounts", namespace="shop", name="default")
    assert decide(found, it, NODE, Action("list", "pods")).value == pods
    assert decide(found, it, NODE, account).value == accounts
