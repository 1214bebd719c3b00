"""An apiserver's audit policy: which requests it records, by the first rule that matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.cluster.policies import path_matches
from labkit.cluster.syntax.source import Source, Unknown, broken
from labkit.cluster.syntax.yamldoc import Document, Key, read_one

__all__ = ["AuditPolicy", "AuditRule", "AuditedRequest", "read_audit_policy"]

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
#: The stages of a request that has an answer. One that goes on, such as a watch, has
#: "ResponseStarted" between them; "Panic" is a fault of the apiserver.
STAGES = frozenset({"RequestReceived", "ResponseComplete"})
#: The only stage of a request whose caller is not known, HTTP 401: it is recorded when the refusal
#: is sent (pkg/endpoints/filters/authn_audit.go).
STAGE_OF_A_STRANGER = "ResponseStarted"


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """A request to an apiserver, as a rule of an audit policy sees it.

    Attributes
    ----------
    verb : str
        "get", "list", "create" ...
    resource : str
        "secrets", "pods/exec" ...; empty for a request by path.
    group : str
        The resource's API group; empty for the core group.
    namespace, name : str
    path : str
        The path of a request for no resource: "/metrics".
    user : str
        Empty if the caller is not known, and refused for that.
    groups : tuple of str
        The caller's groups.

    Examples
    --------
    >>> str(AuditedRequest("get", "pods/exec"))
    'get pods/exec'
    """

    verb: str
    resource: str = ""
    group: str = ""
    namespace: str = "default"
    name: str = "any"
    path: str = ""
    user: str = "anyone"
    groups: tuple[str, ...] = ("system:authenticated",)

    def __str__(self) -> str:
        return f"{self.verb} {self.resource or self.path}"


@dataclass(frozen=True, slots=True)
class GroupResources:
    """Some resources of one API group.

    Attributes
    ----------
    group : str
    resources : tuple of str
        "pods", "pods/exec", "pods/*", "*/scale" or "*"; empty for all.
    names : tuple of str
        Empty for all.
    """

    group: str
    resources: tuple[str, ...]
    names: tuple[str, ...]

    def matches(self, request: AuditedRequest) -> bool:
        """Say whether a request is for one of the resources."""
        if request.group != self.group:
            return False
        if not self.resources:
            return True
        if self.names and request.name not in self.names:
            return False
        resource, _, part = request.resource.partition("/")
        wanted = {"*", request.resource, f"{resource}/*"} | ({f"*/{part}"} if part else set())
        return not wanted.isdisjoint(self.resources)


@dataclass(frozen=True, slots=True)
class AuditRule:
    """A rule of an audit policy; an empty condition restricts nothing.

    Attributes
    ----------
    level : str
        "None", "Metadata", "Request" or "RequestResponse".
    users, groups, verbs, namespaces, paths : tuple of str
    resources : tuple of GroupResources
    omitted : frozenset of str
        The stages that are not recorded.
    source : Source
    """

    level: str
    users: tuple[str, ...]
    groups: tuple[str, ...]
    verbs: tuple[str, ...]
    namespaces: tuple[str, ...]
    paths: tuple[str, ...]
    resources: tuple[GroupResources, ...]
    omitted: frozenset[str]
    source: Source

    @property
    def records(self) -> bool:
        """Whether it records a request that it matches."""
        return self.level != "None" and not self.omitted >= STAGES

    def records_request(self, request: AuditedRequest) -> bool:
        """Say whether a request that it matches is recorded, by the stages that the request has."""
        if not request.user:
            return self.level != "None" and STAGE_OF_A_STRANGER not in self.omitted
        return self.records

    @property
    def matches_all(self) -> bool:
        """Whether it matches every request."""
        who = self.users or self.groups or self.verbs
        return not (who or self.namespaces or self.paths or self.resources)

    def matches(self, request: AuditedRequest) -> bool:
        """Say whether the rule decides on a request, if no earlier one does."""
        if self.users and request.user not in self.users:
            return False
        if self.groups and not set(self.groups) & set(request.groups):
            return False
        if self.verbs and request.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return (
                bool(request.resource)
                and (not self.namespaces or request.namespace in self.namespaces)
                and (not self.resources or any(it.matches(request) for it in self.resources))
            )
        if self.paths:
            return not request.resource and any(
                path_matches(path, request.path) for path in self.paths
            )
        return True


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """An audit policy.

    Attributes
    ----------
    rules : tuple of AuditRule
        The first one that matches a request decides; a request that none matches is not recorded.
    source : Source
        The list of the rules.
    """

    rules: tuple[AuditRule, ...]
    source: Source

    @property
    def records(self) -> bool:
        """Whether some request is recorded."""
        for rule in self.rules:
            if rule.records:
                return True
            if rule.matches_all:
                return False
        return False

    def rule_for(self, request: AuditedRequest) -> AuditRule | None:
        """Return the rule that decides on a request, if there is one."""
        return next((rule for rule in self.rules if rule.matches(request)), None)

    def missed(self, requests: Sequence[AuditedRequest]) -> tuple[AuditedRequest, ...]:
        """Return the requests that are not recorded, in their order."""
        rules = ((request, self.rule_for(request)) for request in requests)
        return tuple(it for it, rule in rules if rule is None or not rule.records_request(it))


def read_audit_policy(text: str, path: str) -> tuple[AuditPolicy, tuple[Unknown, ...]]:
    """Read an audit policy.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    policy : AuditPolicy
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        The file is malformed, of another kind, or has no rule.

    References
    ----------
    https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy

    Examples
    --------
    >>> found, _ = read_audit_policy("{kind: Policy, rules: [{level: None, verbs: [get]}, "
    ...                              "{level: Metadata}]}", "audit.yaml")
    >>> asked = [AuditedRequest("get", "pods/exec"), AuditedRequest("create", "pods/exec")]
    >>> [str(request) for request in found.missed(asked)]
    ['get pods/exec']
    """
    document = read_one(text, path)
    if document.get("kind") != "Policy":
        raise broken(path, document.line("kind"), "its kind is not Policy")
    if not document.sequence("rules"):
        raise document.broken("no rules: kube-apiserver does not start with such a policy", "rules")
    omitted = document.words("omitStages")
    rules = tuple(
        _rule(document, omitted, "rules", index) for index, _ in enumerate(document.get("rules"))
    )
    return AuditPolicy(rules, document.source("rules")), ()


def _rule(document: Document, omitted: Sequence[str], *at: Key) -> AuditRule:
    document.mapping(*at)
    level = document.text(*at, "level")
    if level not in LEVELS:
        raise document.broken(f"level {level!r}: one of {', '.join(LEVELS)}", *at, "level")
    resources = []
    for index, _ in enumerate(document.sequence(*at, "resources")):
        one = (*at, "resources", index)
        document.mapping(*one)
        group = document.text(*one, "group", default="")
        names = document.words(*one, "resourceNames")
        resources.append(GroupResources(group, document.words(*one, "resources"), names))
    return AuditRule(
        level=level,
        users=document.words(*at, "users"),
        groups=document.words(*at, "userGroups"),
        verbs=document.words(*at, "verbs"),
        namespaces=document.words(*at, "namespaces"),
        paths=document.words(*at, "nonResourceURLs"),
        resources=tuple(resources),
        omitted=frozenset({*omitted, *document.words(*at, "omitStages")}),
        source=document.source(*at, "level"),
    )
