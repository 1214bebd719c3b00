"""Requests to an apiserver, and whether a rule of RBAC allows one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labkit.cluster.policies import RbacRule, path_matches

__all__ = ["Action", "rule_allows"]


@dataclass(frozen=True, slots=True)
class Action:
    """A request to the apiserver, in the attributes that its authorizers look at.

    Attributes
    ----------
    verb : str
    resource : str
        With its subresource: "pods/exec".
    group, namespace, name : str
    path : str
        Of a request for no resource: "/metrics"; `resource` is empty then.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource or self.path}"


def rule_allows(rule: RbacRule, action: Action) -> bool:
    """Say whether a rule of RBAC allows an action, on some object or on the one of its names.

    Examples
    --------
    >>> rule = RbacRule(("create",), ("",), ("*/exec",), (), ())
    >>> [rule_allows(rule, Action("create", what)) for what in ("pods/exec", "pods")]
    [True, False]
    """
    if action.path:
        return _among(action.verb, rule.verbs) and any(
            path_matches(path, action.path) for path in rule.paths
        )
    return (
        _among(action.verb, rule.verbs)
        and _among(action.group, rule.api_groups)
        and _resource_among(action.resource, rule.resources)
        and (not rule.names or action.name in rule.names)
    )


def _among(wanted: str, known: Iterable[str]) -> bool:
    return any(item in ("*", wanted) for item in known)


def _resource_among(wanted: str, known: Iterable[str]) -> bool:
    _, _, part = wanted.partition("/")
    return _among(wanted, known) or bool(part and f"*/{part}" in known)
