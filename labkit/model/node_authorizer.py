"""What the Node authorizer lets a kubelet do: all of them alike, or by the pods on its node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any

from labkit.cluster.feature_gates import ACCOUNTS_FOR_KUBELETS, NODES_BY_SELECTORS, Features
from labkit.model.bootstrap import bootstrap_policy
from labkit.model.rules import Action, rule_allows

if TYPE_CHECKING:
    from labkit.cluster.facts import Environment

__all__ = ["is_node", "node_allows"]

READ, CHANGE = ("get", "list", "watch"), ("update", "patch")
WRITE_OWN = ("get", "create", "update", "patch", "delete")
LEASES = "kube-node-lease"
#: The keys of a pod's specification under which the name of an object stands, and its resource.
NAMED = {
    "secretKeyRef": ("secrets", "name"),
    "secretRef": ("secrets", "name"),
    "nodePublishSecretRef": ("secrets", "name"),
    "imagePullSecrets": ("secrets", "name"),
    "secret": ("secrets", "secretName"),
    "configMapKeyRef": ("configmaps", "name"),
    "configMapRef": ("configmaps", "name"),
    "configMap": ("configmaps", "name"),
    "persistentVolumeClaim": ("persistentvolumeclaims", "claimName"),
}
#: The apiserver gives every pod with a token this map with it.
ROOT_CA = "kube-root-ca.crt"
#: The kinds with pods of their own making, whose node nothing in a manifest says.
WORKLOADS = frozenset(
    [
        *("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController"),
        *("Job", "CronJob"),
    ]
)


def is_node(user: str, groups: Iterable[str]) -> bool:
    """Say whether a caller is a kubelet: its name and its group say so.

    Examples
    --------
    >>> is_node("system:node:worker1", {"system:nodes"}), is_node("system:node:", {"system:nodes"})
    (True, False)
    """
    return fnmatchcase(user, "system:node:?*") and "system:nodes" in groups


def node_allows(
    env: Environment, features: Features, user: str, groups: Iterable[str], action: Action
) -> bool | None:
    """Say whether the Node authorizer allows an action.

    Parameters
    ----------
    env : Environment
        Its manifests say which pods are on the node.
    features : Features
        Those of the apiserver.
    user : str
    groups : iterable of str
    action : Action
        Without a field selector: a list of all objects.

    Returns
    -------
    bool or None
        None if it depends on pods that are not among the files, or on features that it may have.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/node/;
    https://www.kubernetes.dev/resources/keps/4601/ for pods and nodes;
    https://www.kubernetes.dev/resources/keps/4412/ for accounts.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env, about = read_environment("hardened"), (Features(((1, 37),)), "system:node:worker1")
    >>> secret = Action("get", "secrets", namespace="shop", name="db-credentials")
    >>> node_allows(env, *about, {"system:nodes"}, secret)
    True
    >>> node_allows(env, *about, {"system:nodes"}, Action("list", "secrets"))
    False
    """
    if not is_node(user, groups):
        return False
    node = user.removeprefix("system:node:")
    has = (features.has(NODES_BY_SELECTORS), features.has(ACCOUNTS_FOR_KUBELETS))
    every = product(*((True, False) if it is None else (it,) for it in has))
    answers = {_allows(env, node, action, narrow, accounts) for narrow, accounts in every}
    return answers.pop() if len(answers) == 1 else None


def _allows(
    env: Environment, node: str, action: Action, narrow: bool, accounts: bool
) -> bool | None:
    verb, name = action.verb, action.name
    resource, _, part = action.resource.partition("/")
    match action.group, resource:
        case "", "secrets" | "configmaps":
            wanted = verb in READ and not part and action.namespace != ""
            return wanted and _related(env, node, resource, action.namespace, name)
        case "", "persistentvolumeclaims":
            wanted = (verb == "get" and not part) or (part == "status" and verb in CHANGE)
            return wanted and _related(env, node, resource, action.namespace, name)
        case "", "serviceaccounts":
            reads = accounts and (verb, part) == ("get", "")
            wanted = reads or (verb, part) == ("create", "token")
            return wanted and _related(env, node, resource, action.namespace, name)
        case ("", "persistentvolumes") | ("storage.k8s.io", "volumeattachments"):
            return _perhaps(verb == "get" and not part and name != "")
        case "resource.k8s.io", "resourceclaims":
            return _perhaps(verb == "get" and not part and name != "")
        case "coordination.k8s.io", "leases":
            mine = verb == "create" or name == node
            return verb in WRITE_OWN and action.namespace == LEASES and mine
        case "storage.k8s.io", "csinodes":
            return verb in WRITE_OWN and not part and (verb == "create" or name == node)
        case "resource.k8s.io", "resourceslices":
            if part or verb == "create":
                return not part
            return _perhaps(verb in ("get", "update", "patch", "delete") and name != "")
        case "certificates.k8s.io", "podcertificaterequests":
            return None
        case "", "nodes" | "pods" if not narrow and verb in READ and not part:
            return True
        case "", "nodes":
            return _of_nodes(node, verb, part, name)
        case "", "pods":
            return _of_pods(env, node, action, part)
    return _by_rules(action)


def _of_nodes(node: str, verb: str, part: str, name: str) -> bool:
    if part:
        return part == "status" and verb in CHANGE
    return verb in ("create", *CHANGE) or (verb in READ and name == node)


def _of_pods(env: Environment, node: str, action: Action, part: str) -> bool | None:
    # NodeRestriction, an admission plugin, holds it to its own pods when it writes
    if part:
        verbs = {"status": CHANGE, "eviction": ("create",)}
        return action.verb in verbs.get(part, ())
    if action.verb in READ:
        return _related(env, node, "pods", action.namespace, action.name)
    return action.verb in ("create", "delete")


def _by_rules(action: Action) -> bool:
    rules = bootstrap_policy().rules_of["", "system:node"]
    return any(rule_allows(rule, action) for rule in rules)


def _perhaps(wanted: bool) -> bool | None:
    """Return None for a request that objects decide which no manifest has."""
    return None if wanted else False


def _related(env: Environment, node: str, resource: str, namespace: str, name: str) -> bool | None:
    """Say whether a pod on a node needs an object; None if that is not known."""
    if not name:
        return False
    found: bool | None = False if env.complete else None
    for home, on, names in _pods(env):
        if home != namespace or (resource, name) not in names:
            continue
        if on == node:
            return True
        found = found if on else None
    return found


def _pods(env: Environment) -> Iterator[tuple[str, str, set[tuple[str, str]]]]:
    """Yield the namespace and the node of each pod, and the objects that it needs."""
    for item in env.objects:
        kind = item.get("kind")
        if kind != "Pod" and kind not in WORKLOADS:
            continue
        template = ("spec", "jobTemplate") if kind == "CronJob" else ()
        at = () if kind == "Pod" else (*template, "spec", "template")
        spec = item.get(*at, "spec")
        if not isinstance(spec, dict):
            continue
        names = set(_names(spec))
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        names.add(("serviceaccounts", str(account)))
        names.add(("configmaps", ROOT_CA))
        if kind == "Pod":
            names.add(("pods", item.text("metadata", "name", default="")))
        home = item.text("metadata", "namespace", default="default")
        yield home, str(spec.get("nodeName") or "") if kind == "Pod" else "", names


def _names(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield resource and name of the objects that a part of a pod's specification names."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, key)
    elif isinstance(value, dict):
        resource, field = NAMED.get(key, ("", ""))
        # in a projected volume, a secret is named by "name"
        name = value.get(field) or (value.get("name") if key in ("secret", "configMap") else None)
        if resource and isinstance(name, str):
            yield resource, name
        for inner, item in value.items():
            yield from _names(item, inner)
