"""The rights that the lines of an ABAC policy give, as roles and bindings.

So they lead where the same rights lead by RBAC.
https://kubernetes.io/docs/reference/access-authn-authz/abac/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from labkit.analysis.attack_graph.from_objects.permissions import PERMISSIONS, RBAC
from labkit.cluster.policies import AbacRule, Binding, Rbac, RbacRole, RbacRule
from labkit.model.claims import Claim
from labkit.model.decision import Caller, abac_allows
from labkit.model.rules import Action

__all__ = ["as_rbac"]

EVERY = RbacRule(("*",), ("*",), ("*",), (), ())
#: The requests that are made for the objects of every namespace at once.
FOR_EVERY_NAMESPACE = frozenset({"list", "watch"})


def as_rbac(lines: Iterable[AbacRule], *, with_rbac: bool) -> Rbac:
    """Return the lines of an ABAC policy as roles and bindings, one of each for a line.

    Parameters
    ----------
    lines : iterable of AbacRule
    with_rbac : bool
        The apiserver asks RBAC as well: without it, a right to write roles gives nothing.

    Returns
    -------
    Rbac
        A line for a user in a group counts for the user, whatever the groups are.

    Examples
    --------
    >>> from labkit.cluster.policies import read_abac
    >>> spec = '{"user": "ann", "namespace": "shop", "apiGroup": "*", "resource": "pods"}'
    >>> line = '{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec"'
    >>> found = as_rbac(read_abac(f"{line}: {spec}}}", "abac.jsonl")[0], with_rbac=True)
    >>> [(it.namespace, it.subjects) for it in found.bindings]
    [('shop', (('User', '', 'ann'),))]
    >>> "pods/exec" in {name for it in found.roles[0].rules for name in it.resources}
    True
    """
    roles: list[RbacRole] = []
    bindings: list[Binding] = []
    for line in lines:
        who = ("User", "", line.user) if line.user else ("Group", "", line.group)
        rules = tuple(_rules(line, with_rbac=with_rbac)) if who[2] else ()
        if not rules:
            continue
        home = "" if line.namespace == "*" else line.namespace
        name, kind = f"ABAC {line.source}", "Role" if home else "ClusterRole"
        roles.append(RbacRole(name, home, rules, line.source))
        bindings.append(Binding(name, home, kind, name, (who,), line.source))
    return Rbac(tuple(roles), tuple(bindings))


def _rules(line: AbacRule, *, with_rbac: bool) -> Iterator[RbacRule]:
    if line.everything:
        yield EVERY
        return
    caller = Caller(line.user, frozenset({line.group}), Claim("required", "", line.source))
    verbs: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    home = "" if line.namespace == "*" else line.namespace
    for row in PERMISSIONS:
        at = "" if row.cluster_scoped else home
        for group, resource in row.resources:
            if group == RBAC and not with_rbac:
                continue
            for verb in row.verbs:
                # without a namespace, a line is for what is in none, and for lists of all
                everywhere = row.cluster_scoped or verb in FOR_EVERY_NAMESPACE
                if (line.namespace or everywhere) and abac_allows(
                    line, caller, Action(verb, resource, group, at)
                ):
                    verbs[group, resource][verb] = None
    for (group, resource), some in verbs.items():
        yield RbacRule(tuple(some), (group,), (resource,), (), ())
