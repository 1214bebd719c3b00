"""The roles and bindings that an apiserver with RBAC makes by itself: its bootstrap policy.

The file beside this module is what the apiserver of the lab (Kubernetes 1.37) has made when
nobody has bound anything yet, aggregated roles filled in; a test holds it against a lab.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from labkit.cluster.policies import Binding, Rbac, RbacRole, RbacRule
from labkit.cluster.syntax.source import Source

__all__ = ["APISERVER", "FILE", "bootstrap_policy", "from_objects", "to_objects"]

FILE = Path(__file__).with_name("bootstrap-policy.json")
#: Where the objects of the policy stand.
APISERVER = "bootstrap policy of the apiserver"


@cache
def bootstrap_policy() -> Rbac:
    """Return the bootstrap policy.

    Examples
    --------
    >>> names = {role.name for role in bootstrap_policy().roles}
    >>> "system:kube-scheduler" in names, "cluster-admin" in names
    (True, True)
    """
    found = json.loads(FILE.read_text())
    roles = tuple(
        RbacRole(
            name=item["name"],
            namespace=item["namespace"],
            rules=tuple(map(_rule, item["rules"])),
            source=_source("role", item["name"]),
        )
        for item in found["roles"]
    )
    bindings = tuple(
        Binding(
            name=item["name"],
            namespace=item["namespace"],
            role_kind=item["role"][0],
            role=item["role"][1],
            subjects=tuple(map(tuple, item["subjects"])),
            source=_source("binding", item["name"]),
        )
        for item in found["bindings"]
    )
    return Rbac(roles, bindings)


def from_objects(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return Kubernetes' objects in the form of the file.

    Parameters
    ----------
    items : list of dict
        Roles, ClusterRoles and their bindings, as ``kubectl get --output=json`` gives them.

    Examples
    --------
    >>> from_objects([{"kind": "ClusterRole", "metadata": {"name": "a"}, "rules": None}])
    {'roles': [{'name': 'a', 'namespace': '', 'rules': []}], 'bindings': []}
    """
    roles, bindings = [], []
    for item in items:
        about = item["metadata"]
        named = {"name": about["name"], "namespace": about.get("namespace", "")}
        if item["kind"].endswith("Binding"):
            role = [item["roleRef"]["kind"], item["roleRef"]["name"]]
            subjects = [
                [subject["kind"], subject.get("namespace", ""), subject["name"]]
                for subject in item.get("subjects", ())
            ]
            bindings.append({**named, "role": role, "subjects": subjects})
        else:
            roles.append({**named, "rules": item.get("rules") or []})
    for found in (roles, bindings):
        found.sort(key=lambda one: (one["namespace"], one["name"]))
    return {"roles": roles, "bindings": bindings}


def to_objects(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the objects of the form of the file, as ``kubectl get --output=json`` gives them.

    Parameters
    ----------
    found : dict
        What :func:`from_objects` returns.

    Examples
    --------
    >>> to_objects({"roles": [{"name": "a", "namespace": "", "rules": []}], "bindings": []})
    [{'kind': 'ClusterRole', 'metadata': {'name': 'a'}, 'rules': []}]
    """
    objects: list[dict[str, Any]] = []
    for item in (*found["roles"], *found["bindings"]):
        made: dict[str, Any] = {"kind": "Role", "metadata": {"name": item["name"]}}
        if item["namespace"]:
            made["metadata"]["namespace"] = item["namespace"]
        else:
            made["kind"] = "ClusterRole"
        if "rules" in item:
            made["rules"] = item["rules"]
        else:
            made["kind"] += "Binding"
            made["roleRef"] = dict(zip(("kind", "name"), item["role"], strict=True))
            made["subjects"] = [
                {"kind": kind, "namespace": home, "name": name}
                for kind, home, name in item["subjects"]
            ]
        objects.append(made)
    return objects


def _rule(item: dict[str, list[str]]) -> RbacRule:
    keys = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    verbs, groups, resources, names, paths = (tuple(item.get(key, ())) for key in keys)
    return RbacRule(verbs, groups, resources, names, paths)


def _source(kind: str, name: str) -> Source:
    return Source(APISERVER, None, f"{kind} {name}", default=True)
