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
IN_NAMESPACE = re.compile(
    r"""request\.resourceAttributes\.namespace == (['"])(?P<namespace>[^'"\\]*)\1"""
)


def is_asked(
    conditions: Iterable[Setting], groups: frozenset[str], action: Action
) -> Setting | bool:
    """Say whether a webhook is asked about a caller's request.

    Parameters
    ----------
    conditions : iterable of Setting
        All of them have to be met.
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
    >>> is_asked([condition], frozenset({"contractors"}), read)
    True
    >>> is_asked([condition], frozenset({"developers"}), read)
    False
    """
    doubt: Setting | None = None
    for condition in conditions:
        parts = [_holds(it.strip(), groups, action) for it in condition.value.split("&&")]
        # beside an "or" a part that is false decides nothing
        if False in parts and not OTHER_OPERATORS.search(condition.value):
            return False
        if None in parts:
            doubt = doubt or condition
    return True if doubt is None else doubt


def _holds(part: str, groups: frozenset[str], action: Action) -> bool | None:
    if match := IN_GROUP.fullmatch(part):
        return match["group"] in groups
    if match := NOT_IN_GROUP.fullmatch(part):
        return match["group"] not in groups
    if part == HAS_RESOURCE:
        return not action.path
    if (match := IN_NAMESPACE.fullmatch(part)) and not action.path:
        # who may do everything may do it in this namespace as well
        return None if action.verb == ANY else action.namespace == match["namespace"]
    return None
