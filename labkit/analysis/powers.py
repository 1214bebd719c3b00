"""What a role lets its holder do, as far as an attacker gets further by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labkit.cluster.policies import Role, Rule

__all__ = ["CLUSTER_SCOPED", "EVERYTHING", "Power", "allows", "powers"]

RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
EVERYTHING = "everything"
CHANGE = ("update", "patch")
WORKLOADS = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)
#: Of each power, the group, the resource and the verbs of which one suffices.
NEEDS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("list secrets", "", "secrets", ("list", "watch")),
    ("get secrets", "", "secrets", ("get",)),
    ("create secrets", "", "secrets", ("create",)),
    ("make tokens", "", "serviceaccounts/token", ("create",)),
    ("create pods", "", "pods", ("create",)),
    ("change pods", "", "pods", CHANGE),
    ("exec", "", "pods/exec", ("create",)),
    ("exec by get", "", "pods/exec", ("get",)),
    ("attach", "", "pods/attach", ("create",)),
    ("debug", "", "pods/ephemeralcontainers", CHANGE),
    ("forward", "", "pods/portforward", ("create",)),
    # a websocket begins with a GET: the kubelet takes "get" for enough to exec
    ("kubelet", "", "nodes/proxy", ("get", "create")),
    *(("create workloads", group, resource, ("create",)) for group, resource in WORKLOADS),
    *(("change workloads", group, resource, CHANGE) for group, resource in WORKLOADS[:4]),
    ("change workloads", "batch", "cronjobs", CHANGE),
    ("change workloads", "", "replicationcontrollers", CHANGE),
    ("bind clusterroles", RBAC, "clusterroles", ("bind",)),
    ("bind roles", RBAC, "roles", ("bind",)),
    ("write clusterrolebindings", RBAC, "clusterrolebindings", ("create", *CHANGE)),
    ("write rolebindings", RBAC, "rolebindings", ("create", *CHANGE)),
    ("escalate clusterroles", RBAC, "clusterroles", ("escalate",)),
    ("escalate roles", RBAC, "roles", ("escalate",)),
    ("write clusterroles", RBAC, "clusterroles", CHANGE),
    ("write roles", RBAC, "roles", CHANGE),
    ("impersonate users", "", "users", ("impersonate",)),
    ("impersonate groups", "", "groups", ("impersonate",)),
    ("impersonate accounts", "", "serviceaccounts", ("impersonate",)),
    ("create requests", CERTIFICATES, "certificatesigningrequests", ("create",)),
    ("approve requests", CERTIFICATES, "certificatesigningrequests/approval", CHANGE),
    ("approve for signers", CERTIFICATES, "signers", ("approve",)),
    ("change namespaces", "", "namespaces", CHANGE),
    (
        "write mutating webhooks",
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        ("create", *CHANGE),
    ),
)
#: A RoleBinding gives nothing of these: what they are about is in no namespace.
CLUSTER_SCOPED = frozenset(
    [
        "kubelet",
        "write clusterrolebindings",
        "escalate clusterroles",
        "write clusterroles",
        "impersonate users",
        "impersonate groups",
        "create requests",
        "approve requests",
        "approve for signers",
        "write mutating webhooks",
    ]
)


@dataclass(frozen=True, slots=True)
class Power:
    """Something that a role lets its holder do; without names, to whatever object.

    ``names`` are the rule's resourceNames.
    """

    what: str
    names: tuple[str, ...] = ()


def allows(rule: Rule, verb: str, group: str, resource: str) -> bool:
    """Say whether a rule lets a verb through, on some object, as RBAC's authorizer matches.

    ``*/exec`` stands for that subresource of everything; ``pods/*`` stands for nothing.

    Examples
    --------
    >>> rule = Rule(("create",), ("",), ("pods", "*/exec"), (), ())
    >>> allows(rule, "create", "", "pods/exec"), allows(rule, "create", "", "pods/attach")
    (True, False)
    """
    if verb not in rule.verbs and "*" not in rule.verbs:
        return False
    if group not in rule.api_groups and "*" not in rule.api_groups:
        return False
    if "*" in rule.resources or resource in rule.resources:
        return True
    main, slash, sub = resource.partition("/")
    return bool(main and slash) and f"*/{sub}" in rule.resources


def powers(role: Role) -> tuple[Power, ...]:
    """Return what a role lets its holder do that gets an attacker further.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> rule = Rule(("get", "create"), ("",), ("pods",), (), ())
    >>> [power.what for power in powers(Role("deployer", "", (rule,), Source("x", None, "")))]
    ['create pods']
    """
    found: dict[str, dict[str, None]] = {}
    free: dict[str, None] = {}
    for rule in role.rules:
        for power in _of_rule(rule):
            if power.names:
                found.setdefault(power.what, {}).update(dict.fromkeys(power.names))
            else:
                free[power.what] = None
    named = (Power(what, tuple(names)) for what, names in found.items() if what not in free)
    return (*(Power(what) for what in free), *named)


def _of_rule(rule: Rule) -> Iterator[Power]:
    star = "*" in rule.verbs and "*" in rule.api_groups and "*" in rule.resources
    if star and not rule.names:
        yield Power(EVERYTHING)
    for what, group, resource, verbs in NEEDS:
        if any(_usable(rule, verb, resource) for verb in _let(rule, verbs, group, resource)):
            yield Power(what, rule.names)


def _let(rule: Rule, verbs: Iterable[str], group: str, resource: str) -> Iterator[str]:
    return (verb for verb in verbs if allows(rule, verb, group, resource))


def _usable(rule: Rule, verb: str, resource: str) -> bool:
    """Say whether a rule with names lets a verb through: what is created has no name yet."""
    return not rule.names or verb != "create" or "/" in resource
