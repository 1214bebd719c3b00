"""When an apiserver sends a request to a webhook authorizer, by the conditions of its file.

They are expressions in CEL, which labkit does not evaluate: it knows those forms that Kubernetes'
documentation shows. https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from labkit.cluster.syntax.source import Setting
from labkit.model.rules import Action

__all__ = ["is_asked"]

ANY = "*"
IN_GROUP = re.compile(r"""(['"])(?P<group>[^'"\\]*)\1 in request\.groups""")
NOT_IN_GROUP = re.compile(rf"!\({IN_GROUP.pattern}\)")
OTHER_OPERATORS = re.compile(r"\|\||\?")
HAS_RESOURCE = "has(request.resourceAttributes)"
COMPARED = re.compile(
    r"request\.(?P<what>user|resourceAttributes\.(?:group|name|namespace|resource|subresource|verb))"
    r""" (?P<operator>==|!=) (['"])(?P<value>[^'"\\]*)\3"""
)


def is_asked(
    conditions: Iterable[Setting], user: str, groups: frozenset[str], action: Action
) -> Setting | bool:
    """Say whether a webhook is asked about a caller's request.

    Parameters
    ----------
    conditions : iterable of Setting
        All of them have to be met.
    user : str
        The caller's name; empty for anybody of the groups.
    groups : frozenset of str
        All groups of the caller.
    action : Action

    Returns
    -------
    Setting or bool
        The first condition that labkit cannot evaluate, if no other one is false.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> condition = Setting("'contractors' in request.groups", Source("authz.yaml", 9, ""))
    >>> read = Action("get", "secrets")
    >>> is_asked([condition], "mallory", frozenset({"contractors"}), read)
    True
    >>> is_asked([condition], "alice", frozenset({"developers"}), read)
    False
    """
    doubt: Setting | None = None
    for condition in conditions:
        parts = [_holds(it.strip(), user, groups, action) for it in condition.value.split("&&")]
        # beside an "or" a part that is false decides nothing
        if False in parts and not OTHER_OPERATORS.search(condition.value):
            return False
        if None in parts:
            doubt = doubt or condition
    return True if doubt is None else doubt


def _holds(part: str, user: str, groups: frozenset[str], action: Action) -> bool | None:
    if match := IN_GROUP.fullmatch(part):
        return match["group"] in groups
    if match := NOT_IN_GROUP.fullmatch(part):
        return match["group"] not in groups
    if part == HAS_RESOURCE:
        return not action.path
    if match := COMPARED.fullmatch(part):
        # without a name, the caller may be anybody of their groups
        found = (user or None) if match["what"] == "user" else _attribute(match["what"], action)
        if found is not None:
            return (found == match["value"]) == (match["operator"] == "==")
    return None


def _attribute(what: str, action: Action) -> str | None:
    """Return an attribute of a request, or None: it has none, or has any value there."""
    # who may do everything may do each single thing as well
    if action.path or ANY in (action.verb, action.resource):
        return None
    resource, _, subresource = action.resource.partition("/")
    attributes = {
        "group": action.group,
        # without a name, it is about some object
        "name": action.name or None,
        "namespace": action.namespace,
        "resource": resource,
        "subresource": subresource,
        "verb": action.verb,
    }
    return attributes[what.rpartition(".")[2]]
