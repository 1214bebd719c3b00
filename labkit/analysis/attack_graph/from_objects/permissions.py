"""The permissions of RBAC that get their holder further: one row each.

A row says which verbs on which resource make up the permission, whether a RoleBinding can give
it, and what its holder has by it alone. What permissions give only together is in
:mod:`~labkit.analysis.attack_graph.from_objects.bindings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from labkit.analysis.attack_graph.from_objects.builder import account, inside
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.cluster.policies import RbacRole, RbacRule
from labkit.model import Foothold

__all__ = ["PERMISSIONS", "Grant", "Held", "allows", "everything", "permissions_of"]

RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
CHANGE = ("update", "patch")
WRITE = ("create", *CHANGE)
WORKLOADS = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)
#: The pod template of a Job cannot be changed.
CHANGEABLE = tuple(it for it in WORKLOADS if it != ("batch", "jobs"))


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission that somebody has somewhere.

    Attributes
    ----------
    consequences : Consequences
    who : Foothold
    namespace : str
        Empty for all of them.
    names : tuple of str
        The rule's resourceNames; empty for any object.
    because : tuple of str
        The binding and the role.
    """

    consequences: Consequences
    who: Foothold
    namespace: str
    names: tuple[str, ...]
    because: tuple[str, ...]

    def step(self, name: str, grants: Iterable[Foothold], cost: float = 1.0) -> None:
        """Add a step of the permission's holder."""
        self.consequences.builder.add(name, self.who, grants, self.because, cost)


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of RBAC.

    Attributes
    ----------
    name : str
    resources : tuple of (str, str)
        API group and resource; one of them is enough.
    verbs : tuple of str
        One of them is enough.
    alone : callable or None
        Adds the steps that it gives by itself, for a :class:`Grant`; None where it gives
        something only together with another.
    cluster_scoped : bool
        What it is about is in no namespace, so a RoleBinding gives nothing of it.
    """

    name: str
    resources: tuple[tuple[str, str], ...]
    verbs: tuple[str, ...]
    alone: Callable[[Grant], None] | None = None
    cluster_scoped: bool = False


def _read_secrets(it: Grant, cost: float) -> None:
    if not it.names:
        it.step("read-secrets", [it.consequences.reads_secrets(it.namespace)], cost)
        return
    named = it.consequences.cluster.tokens_named
    for name in it.names:
        homes = [it.namespace] if it.namespace else [s.namespace for s in named.get(name, ())]
        for home in homes:
            foothold = Foothold("secret", f"{home}/{name}")
            it.step("read-secrets", [foothold], cost)
            token = partial(it.consequences.token_in_secret, foothold, home, name)
            it.consequences.builder.once(foothold, token)


def _get_secrets(it: Grant) -> None:
    # without list, the name has to be known
    _read_secrets(it, 1.0 if it.names else 2.0)


def _named_accounts(it: Grant, name: str) -> None:
    of = it.consequences.cluster.accounts_of
    homes = [it.namespace] if it.namespace else list(of)
    it.step(name, [account(h, each) for h in homes for each in it.names if each in of.get(h, ())])


def _request_tokens(it: Grant) -> None:
    if it.names:
        _named_accounts(it, "token-request")
    else:
        it.step("token-request", [it.consequences.makes_tokens(it.namespace)])


def _start_pods(it: Grant, name: str, cost: float) -> None:
    it.step(name, [it.consequences.starts_pods(it.namespace)], cost)


def _enter_pods(it: Grant, name: str, cost: float) -> None:
    if it.names:
        found = it.consequences.cluster.named(it.namespace, it.names)
        it.step(name, map(inside, found), cost)
    else:
        it.step(name, [it.consequences.enters(it.namespace)], cost)


def _exec_by_get(it: Grant) -> None:
    if it.consequences.cluster.get_starts_exec:
        _enter_pods(it, "exec-by-websocket", 1.5)


def _debug(it: Grant) -> None:
    if it.names:
        _enter_pods(it, "debug-container", 1.0)
    else:
        it.step("debug-container", [it.consequences.debugs(it.namespace)])


def _forward_ports(it: Grant) -> None:
    it.step("port-forward", [Foothold("ports", it.namespace)])


def _call_kubelets(it: Grant) -> None:
    known = it.consequences.cluster.nodes
    nodes = [it.consequences.enters_on(node) for node in it.names if node in known]
    it.step("exec-through-kubelet", nodes if it.names else [it.consequences.enters("")])


def _write_mutating_webhooks(it: Grant) -> None:
    it.step("mutating-webhook", [it.consequences.privileged()], 3.0)


def _impersonate_accounts(it: Grant) -> None:
    if it.names:
        _named_accounts(it, "impersonate")
    else:
        it.step("impersonate", [it.consequences.impersonates(it.namespace)])


def _impersonate_users(it: Grant) -> None:
    if not it.names:
        it.step("impersonate", [it.consequences.any_user()])
        return
    # the apiserver asks for serviceaccounts where the name is one
    plain = [name for name in it.names if not name.startswith("system:serviceaccount:")]
    it.step("impersonate", [Foothold("is", name) for name in plain])


def _core(*resources: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", it) for it in resources)


def _rbac(resource: str) -> tuple[tuple[str, str], ...]:
    return ((RBAC, resource),)


def _certificates(resource: str) -> tuple[tuple[str, str], ...]:
    return ((CERTIFICATES, resource),)


PERMISSIONS = (
    Permission(
        "list secrets", _core("secrets"), ("list", "watch"), partial(_read_secrets, cost=1.0)
    ),
    Permission("get secrets", _core("secrets"), ("get",), _get_secrets),
    Permission("create secrets", _core("secrets"), ("create",)),
    Permission("request tokens", _core("serviceaccounts/token"), ("create",), _request_tokens),
    Permission(
        "create pods",
        _core("pods"),
        ("create",),
        partial(_start_pods, name="create-pod", cost=1.0),
    ),
    Permission(
        "change pods",
        _core("pods"),
        CHANGE,
        partial(_enter_pods, name="replace-image", cost=2.0),
    ),
    Permission(
        "exec", _core("pods/exec"), ("create",), partial(_enter_pods, name="exec", cost=1.0)
    ),
    Permission("exec by get", _core("pods/exec"), ("get",), _exec_by_get),
    # only a process that reads commands does what one says
    Permission(
        "attach", _core("pods/attach"), ("create",), partial(_enter_pods, name="attach", cost=3.0)
    ),
    Permission("debug", _core("pods/ephemeralcontainers"), CHANGE, _debug),
    Permission("forward", _core("pods/portforward"), ("create",), _forward_ports),
    # a websocket begins with a GET: the kubelet takes "get" for enough to exec
    Permission(
        "kubelet", _core("nodes/proxy"), ("get", "create"), _call_kubelets, cluster_scoped=True
    ),
    Permission(
        "create workloads",
        WORKLOADS,
        ("create",),
        partial(_start_pods, name="create-pod", cost=1.0),
    ),
    Permission(
        "change workloads",
        CHANGEABLE,
        CHANGE,
        partial(_start_pods, name="change-workload", cost=1.5),
    ),
    Permission("bind clusterroles", _rbac("clusterroles"), ("bind",)),
    Permission("bind roles", _rbac("roles"), ("bind",)),
    Permission(
        "write clusterrolebindings", _rbac("clusterrolebindings"), WRITE, cluster_scoped=True
    ),
    Permission("write rolebindings", _rbac("rolebindings"), WRITE),
    Permission("escalate clusterroles", _rbac("clusterroles"), ("escalate",), cluster_scoped=True),
    Permission("escalate roles", _rbac("roles"), ("escalate",)),
    Permission("write clusterroles", _rbac("clusterroles"), CHANGE, cluster_scoped=True),
    Permission("write roles", _rbac("roles"), CHANGE),
    Permission(
        "impersonate users",
        _core("users"),
        ("impersonate",),
        _impersonate_users,
        cluster_scoped=True,
    ),
    Permission("impersonate groups", _core("groups"), ("impersonate",), cluster_scoped=True),
    Permission(
        "impersonate accounts", _core("serviceaccounts"), ("impersonate",), _impersonate_accounts
    ),
    Permission(
        "create requests",
        _certificates("certificatesigningrequests"),
        ("create",),
        cluster_scoped=True,
    ),
    Permission(
        "approve requests",
        _certificates("certificatesigningrequests/approval"),
        CHANGE,
        cluster_scoped=True,
    ),
    Permission("approve for signers", _certificates("signers"), ("approve",), cluster_scoped=True),
    Permission("change namespaces", _core("namespaces"), CHANGE),
    Permission(
        "write mutating webhooks",
        ((ADMISSION, "mutatingwebhookconfigurations"),),
        WRITE,
        _write_mutating_webhooks,
        cluster_scoped=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A permission that a role gives.

    ``names`` are the rule's resourceNames; without them it holds for any object.
    """

    permission: Permission
    names: tuple[str, ...] = ()


def allows(rule: RbacRule, verb: str, group: str, resource: str) -> bool:
    """Say whether a rule lets a verb through, on some object, as RBAC's authorizer matches.

    ``*/exec`` stands for that subresource of everything; ``pods/*`` stands for nothing.

    Examples
    --------
    >>> rule = RbacRule(("create",), ("",), ("pods", "*/exec"), (), ())
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


def everything(role: RbacRole) -> bool:
    """Say whether a role lets its holder do everything.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> rule = RbacRule(("*",), ("*",), ("*",), (), ())
    >>> everything(RbacRole("admin", "", (rule,), Source("x", None, "")))
    True
    """
    return any(
        "*" in rule.verbs and "*" in rule.api_groups and "*" in rule.resources and not rule.names
        for rule in role.rules
    )


def permissions_of(role: RbacRole) -> tuple[Held, ...]:
    """Return the permissions of a role that get its holder further.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> rule = RbacRule(("get", "create"), ("",), ("pods",), (), ())
    >>> role = RbacRole("deployer", "", (rule,), Source("x", None, ""))
    >>> [held.permission.name for held in permissions_of(role)]
    ['create pods']
    """
    found: dict[str, dict[str, None]] = {}
    free: dict[str, None] = {}
    rows = {row.name: row for row in PERMISSIONS}
    for rule in role.rules:
        for row in PERMISSIONS:
            if any(_given(rule, row)):
                if rule.names:
                    found.setdefault(row.name, {}).update(dict.fromkeys(rule.names))
                else:
                    free[row.name] = None
    named = (Held(rows[name], tuple(names)) for name, names in found.items() if name not in free)
    return (*(Held(rows[name]) for name in free), *named)


def _given(rule: RbacRule, row: Permission) -> Iterator[bool]:
    for group, resource in row.resources:
        for verb in row.verbs:
            # what is created has no name yet
            if not rule.names or verb != "create" or "/" in resource:
                yield allows(rule, verb, group, resource)
