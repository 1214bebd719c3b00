"""ABAC policies: one that allows everybody everything, and one with least privilege."""

from __future__ import annotations

import json
from collections.abc import Iterator

from labkit.cluster.policies import RbacRule
from labkit.model.bootstrap import bootstrap_policy

__all__ = ["POLICY", "broad", "narrow"]

POLICY = "/etc/kubernetes/abac.jsonl"
EVERYBODY = ("system:authenticated", "system:unauthenticated")
READ = {"get", "list", "watch"}
#: RBAC binds nobody to the kubelets' role: the Node authorizer decides on them. ABAC has none.
KUBELETS = ("system:node", {"group": "system:nodes"})


def broad() -> str:
    """Return a policy that allows everybody everything, anonymous callers included.

    Returns
    -------
    str
        One JSON object per line.

    Examples
    --------
    >>> len(broad().splitlines())
    2
    """
    what = dict.fromkeys(("namespace", "apiGroup", "resource", "nonResourcePath"), "*")
    return "".join(_line({"group": group, **what}) for group in EVERYBODY)


def narrow() -> str:
    """Return a policy that allows each component, controller and kubelet what RBAC allows it.

    ABAC has no verbs other than "readonly", no names of objects and no subresources, so the
    policy allows more than RBAC there.

    Returns
    -------
    str
        One JSON object per line.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/abac/

    Examples
    --------
    >>> lines = [line for line in narrow().splitlines() if '"system:kube-proxy"' in line]
    >>> json.loads(lines[0])["spec"]
    {'user': 'system:kube-proxy', 'apiGroup': '', 'resource': 'endpoints', 'namespace': '*', \
'readonly': True}
    """
    policy = bootstrap_policy()
    roles = {(role.namespace, role.name): role.rules for role in policy.roles}
    lines = [_line({**KUBELETS[1], **what}) for what in _what(roles["", KUBELETS[0]], "*")]
    for binding in policy.bindings:
        home = "" if binding.role_kind == "ClusterRole" else binding.namespace
        for kind, namespace, name in binding.subjects:
            user = f"system:serviceaccount:{namespace}:{name}" if namespace else name
            who = {"group": name} if kind == "Group" else {"user": user}
            allowed = _what(roles[home, binding.role], binding.namespace or "*")
            lines += [_line({**who, **what}) for what in allowed]
    return "".join(dict.fromkeys(lines))


def _what(rules: tuple[RbacRule, ...], namespace: str) -> Iterator[dict[str, object]]:
    for rule in rules:
        readonly = {"readonly": True} if set(rule.verbs) <= READ else {}
        for path in rule.paths:
            yield {"nonResourcePath": path, **readonly}
        for group in rule.api_groups:
            # ABAC does not distinguish a subresource from its resource
            for resource in dict.fromkeys(name.partition("/")[0] for name in rule.resources):
                what = {"apiGroup": group, "resource": resource, "namespace": namespace}
                yield {**what, **readonly}


def _line(spec: dict[str, object]) -> str:
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    return json.dumps({**head, "spec": spec}) + "\n"
