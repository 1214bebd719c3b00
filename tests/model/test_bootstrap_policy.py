"""The apiserver's bootstrap policy: what the model makes of it, and that it is the real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labkit.cluster import Environment, Source, read_environment
from labkit.model.bootstrap import FILE, bootstrap_policy, from_objects
from labkit.model.decision import Action, Caller, decide
from labkit.model.rights import authenticated_as, service_account

HARDENED = read_environment("hardened")
READ = Action("get", "secrets", namespace="shop", name="db-credentials")
TOKEN = Action("create", "serviceaccounts/token", namespace="kube-system", name="anybody")
BIND = Action("create", "pods/binding", namespace="shop")
ESCALATE = Action("escalate", "clusterroles", "rbac.authorization.k8s.io")
WHOAMI = Action("create", "selfsubjectreviews", "authentication.k8s.io")


def component(name: str, node: str = "master") -> Caller:
    apiserver = HARDENED.component("kube-apiserver@master")
    return authenticated_as(apiserver, HARDENED, HARDENED.credential(name, node))


def allowed(who: Caller, action: Action, env: Environment = HARDENED) -> bool:
    return decide(env, env.component("kube-apiserver@master"), who, action).value == "allowed"


@pytest.mark.parametrize(
    ("who", "may_do", "may_not"),
    [
        (component("kube-scheduler"), [BIND], [READ, TOKEN, ESCALATE]),
        (component("kube-controller-manager"), [READ, TOKEN], [ESCALATE, BIND]),
        (
            service_account("kube-system", "clusterrole-aggregation-controller", Source("", 1, "")),
            [ESCALATE, WHOAMI],
            [READ, TOKEN],
        ),
        (service_account("shop", "default", Source("", 1, "")), [WHOAMI], [READ, TOKEN]),
        (component("kube-proxy", "worker1"), [Action("list", "services")], [READ]),
    ],
)
def test_components_have_the_permissions_of_the_bootstrap_policy(
    who: Caller, may_do: list[Action], may_not: list[Action]
) -> None:
    assert [action for action in may_do if not allowed(who, action)] == []
    assert [action for action in may_not if allowed(who, action)] == []


def test_bootstrap_policy_does_not_apply_under_abac() -> None:
    insecure = read_environment("insecure")
    scheduler = component("kube-scheduler")
    found = decide(insecure, insecure.component("kube-apiserver@master"), scheduler, BIND)
    assert "ABAC" in found.claim.detail


def test_every_bootstrap_binding_names_an_existing_role() -> None:
    policy = bootstrap_policy()
    roles = {(role.namespace, role.name) for role in policy.roles}
    assert len(policy.bindings) > 50
    for binding in policy.bindings:
        home = "" if binding.role_kind == "ClusterRole" else binding.namespace
        assert (home, binding.role) in roles


@pytest.mark.lab
def test_bootstrap_policy_equals_that_of_a_running_apiserver(lab_hardened: Any) -> None:
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
    mine = "--selector=kubernetes.io/bootstrapping=rbac-defaults"
    found = lab_hardened.kubectl("get", kinds, "--all-namespaces", mine, "--output=json")
    assert from_objects(json.loads(found.stdout)["items"]) == json.loads(FILE.read_text())
