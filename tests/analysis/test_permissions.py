"""What a rule of RBAC allows: https://kubernetes.io/docs/reference/access-authn-authz/rbac/."""

from __future__ import annotations

import pytest

from labkit.analysis.attack_graph.from_objects.permissions import (
    allows,
    everything,
    permissions_of,
)
from labkit.cluster import Source
from labkit.cluster.policies import RbacRole, RbacRule


def rule(verbs: str, resources: str, *, group: str = "", names: str = "") -> RbacRule:
    return RbacRule(
        tuple(verbs.split()), (group,), tuple(resources.split()), tuple(names.split()), ()
    )


Given = tuple[str, tuple[str, ...]]


def role(*rules: RbacRule) -> RbacRole:
    return RbacRole("r", "", rules, Source("dump.json", None, ""))


def given(*rules: RbacRule) -> set[Given]:
    return {(held.permission.name, held.names) for held in permissions_of(role(*rules))}


def permission(name: str, names: tuple[str, ...] = ()) -> Given:
    return name, names


@pytest.mark.parametrize(
    ("made", "verb", "group", "resource", "allowed"),
    [
        (rule("get", "pods"), "get", "", "pods", True),
        (rule("get", "pods"), "list", "", "pods", False),
        (rule("get", "pods"), "get", "apps", "pods", False),
        (rule("*", "pods"), "delete", "", "pods", True),
        (rule("get", "deployments", group="*"), "get", "apps", "deployments", True),
        # a resource is not its subresource
        (rule("create", "pods"), "create", "", "pods/exec", False),
        (rule("create", "pods/exec"), "create", "", "pods", False),
        # "*" stands for subresources as well, "*/NAME" for that one of every resource
        (rule("create", "*"), "create", "", "pods/exec", True),
        (rule("create", "*/exec"), "create", "", "pods/exec", True),
        (rule("create", "*/exec"), "create", "", "pods", False),
        # and "NAME/*" is no pattern
        (rule("create", "pods/*"), "create", "", "pods/exec", False),
    ],
)
def test_rule_matches_as_the_authorizer_does(
    made: RbacRule, verb: str, group: str, resource: str, allowed: bool
) -> None:
    assert allows(made, verb, group, resource) is allowed


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (rule("list", "secrets"), {permission("list secrets")}),
        # watch begins with a list of all objects
        (rule("watch", "secrets"), {permission("list secrets")}),
        (rule("get", "secrets"), {permission("get secrets")}),
        (rule("get", "secrets", names="a b"), {permission("get secrets", ("a", "b"))}),
        (rule("create", "pods"), {permission("create pods")}),
        # the name of an object to create is not known when it is authorized ...
        (rule("create", "pods", names="a"), set()),
        # ... and that of a subresource's parent is
        (rule("create", "pods/exec", names="a"), {permission("exec", ("a",))}),
        (
            rule("get", "nodes/proxy"),
            {permission(it) for it in ("kubelet", "proxy to nodes", "call kubelets")},
        ),
        (rule("get list watch", "services nodes"), set()),
        (rule("watch", "pods"), {permission("read pods")}),
        (rule("get", "cronjobs", group="batch"), {permission("read pods")}),
        (rule("get", "configmaps"), {permission("read configs")}),
        # the answer to a patch is the object
        (
            rule("patch", "daemonsets", group="apps"),
            {permission("change workloads"), permission("read pods")},
        ),
        (rule("impersonate", "users"), {permission("impersonate users")}),
    ],
)
def test_rule_gives_these_permissions(made: RbacRule, what: set[Given]) -> None:
    assert given(made) == what


def test_only_the_rule_with_three_stars_gives_everything() -> None:
    assert everything(role(rule("*", "*", group="*")))
    for less in (
        rule("*", "*"),
        rule("get list create", "*", group="*"),
        rule("*", "pods", group="*"),
        rule("*", "*", group="*", names="a"),
    ):
        assert not everything(role(less))


def test_permission_for_all_objects_includes_that_over_named_ones() -> None:
    rules = (rule("get", "secrets", names="a"), rule("get", "secrets"))
    assert given(*rules) == {permission("get secrets")}
    named = (rule("get", "secrets", names="a"), rule("get", "secrets", names="b"))
    assert given(*named) == {permission("get secrets", ("a", "b"))}
