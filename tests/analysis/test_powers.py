"""What a rule of RBAC allows: https://kubernetes.io/docs/reference/access-authn-authz/rbac/."""

from __future__ import annotations

import pytest

from labkit.analysis.powers import EVERYTHING, Power, allows, powers
from labkit.cluster import Source
from labkit.cluster.policies import Role, Rule


def rule(verbs: str, resources: str, *, group: str = "", names: str = "") -> Rule:
    return Rule(tuple(verbs.split()), (group,), tuple(resources.split()), tuple(names.split()), ())


def given(*rules: Rule) -> set[Power]:
    return set(powers(Role("r", "", rules, Source("dump.json", None, ""))))


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
    made: Rule, verb: str, group: str, resource: str, allowed: bool
) -> None:
    assert allows(made, verb, group, resource) is allowed


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (rule("list", "secrets"), {Power("list secrets")}),
        # watch begins with a list of all objects
        (rule("watch", "secrets"), {Power("list secrets")}),
        (rule("get", "secrets"), {Power("get secrets")}),
        (rule("get", "secrets", names="a b"), {Power("get secrets", ("a", "b"))}),
        (rule("create", "pods"), {Power("create pods")}),
        # the name of an object to create is not known when it is authorized ...
        (rule("create", "pods", names="a"), set()),
        # ... and that of a subresource's parent is
        (rule("create", "pods/exec", names="a"), {Power("exec", ("a",))}),
        (rule("get", "nodes/proxy"), {Power("kubelet")}),
        (rule("get list watch", "pods configmaps services nodes"), set()),
        (rule("patch", "daemonsets", group="apps"), {Power("change workloads")}),
        (rule("impersonate", "users"), {Power("impersonate users")}),
    ],
)
def test_rule_gives_these_powers(made: Rule, what: set[Power]) -> None:
    assert given(made) == what


def test_only_the_rule_with_three_stars_gives_everything() -> None:
    assert Power(EVERYTHING) in given(rule("*", "*", group="*"))
    for less in (
        rule("*", "*"),
        rule("get list create", "*", group="*"),
        rule("*", "pods", group="*"),
        rule("*", "*", group="*", names="a"),
    ):
        assert Power(EVERYTHING) not in given(less)


def test_power_over_all_objects_includes_that_over_named_ones() -> None:
    rules = (rule("get", "secrets", names="a"), rule("get", "secrets"))
    assert given(*rules) == {Power("get secrets")}
    named = (rule("get", "secrets", names="a"), rule("get", "secrets", names="b"))
    assert given(*named) == {Power("get secrets", ("a", "b"))}
