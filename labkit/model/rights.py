"""Whether the apiserver allows a caller an action, by the rules of its authorizers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from labkit.cluster.credentials import SERVICE_ACCOUNTS
from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.policies import AbacRule, Binding, RbacRule
from labkit.cluster.syntax.source import Setting, Source, bool_of, is_true
from labkit.model.authorization import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    apiserver_anonymous,
    authorizers,
    everything_for,
    is_subject,
)
from labkit.model.bootstrap import bootstrap_policy
from labkit.model.claims import Claim

__all__ = [
    "Action",
    "Caller",
    "admission",
    "authenticated_as",
    "bearer_at_kubelet",
    "by_request_headers",
    "default_bindings",
    "enabled",
    "known_to_kubelet",
    "may",
    "may_at_kubelet",
    "refuses_overlap",
    "restricted",
    "service_account",
    "trusted_by",
]

#: The values of claims about callers and about actions.
#: What the Node authorizer lets every kubelet do, to whatever node or pod it be: NodeRestriction,
#: an admission plugin, is what holds it to its own.
OF_NODES = {
    ("patch", "nodes", ""),
    ("update", "nodes", ""),
    ("create", "pods", ""),
    ("delete", "pods", ""),
}
#: The version since which an apiserver does not start if its CAs for clients overlap.
NO_OVERLAP = (1, 35)
ALLOWED, REFUSED = "allowed", "refused"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller as the apiserver authenticates them; without a user, it refuses them."""

    user: str
    groups: frozenset[str]
    claim: Claim


@dataclass(frozen=True, slots=True)
class Action:
    """A request to the apiserver, in the attributes that its authorizers look at."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def authenticated_as(apiserver: Component, env: Environment, held: Credential | None) -> Caller:
    """Return the caller that an apiserver authenticates by a credential.

    Parameters
    ----------
    apiserver : Component
    env : Environment
    held : Credential or None
        A client certificate; None is a caller without a credential.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> authenticated_as(apiserver, env, env.credential("kubelet", "worker1")).user
    'system:node:worker1'
    >>> authenticated_as(apiserver, env, None).user
    ''
    """
    known = _known(env, apiserver.setting("client-ca-file"), held)
    known = known or _bearer(apiserver, held)
    if known is not None:
        return known
    anonymous = apiserver_anonymous(env, apiserver)
    # whether they are let in may be unknown: then nobody may be taken to be refused
    return _nobody(anonymous) if anonymous.value == "required" else _anonymous(anonymous)


def known_to_kubelet(env: Environment, kubelet: Component, held: Credential | None) -> Caller:
    """Return the caller that a kubelet authenticates by a credential.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> kubelet = env.component("kubelet@worker2")
    >>> known_to_kubelet(env, kubelet, env.credential("kubelet", "worker1")).user
    'system:node:worker1'
    """
    known = _known(env, kubelet.setting("authentication.x509.clientCAFile"), held)
    if known is not None:
        return known
    if held is not None and held.kind == "token":
        for apiserver in env.components:
            bearer = _bearer(apiserver, held) if apiserver.kind == "kube-apiserver" else None
            asks = kubelet.setting("authentication.webhook.enabled")
            if bearer is not None and is_true(asks.value):
                return Caller(
                    bearer.user, bearer.groups, Claim("required", bearer.user, asks.source)
                )
    anonymous = kubelet.setting("authentication.anonymous.enabled")
    if bool_of(anonymous.value) is not False:
        # a value that is no boolean says nothing: nobody may be taken to be refused
        return _anonymous(Claim("anonymous", ANONYMOUS, anonymous.source))
    return _nobody(Claim("required", "no anonymous callers", anonymous.source))


def bearer_at_kubelet(env: Environment, kubelet: Component, bearer: Caller) -> Caller:
    """Return the caller that a kubelet authenticates by a token of the apiserver.

    A kubelet that does not ask the apiserver about tokens takes him for anybody.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.workloads import token_caller
    >>> env = read_environment("insecure")
    >>> agent = token_caller(env, "monitoring", "agent")
    >>> bearer_at_kubelet(env, env.component("kubelet@worker1"), agent).user
    'system:anonymous'
    """
    asks = kubelet.setting("authentication.webhook.enabled")
    if not is_true(asks.value):
        return known_to_kubelet(env, kubelet, None)
    return Caller(bearer.user, bearer.groups, Claim("required", bearer.user, asks.source))


def _known(env: Environment, trusted: Setting, held: Credential | None) -> Caller | None:
    signers = trusted_by(env, trusted.value)
    if held is None or held.signed_by not in signers or "client" not in held.usages:
        return None
    groups = frozenset({*held.organizations, AUTHENTICATED})
    return Caller(held.common_name, groups, Claim("required", held.common_name, trusted.source))


def _bearer(apiserver: Component, held: Credential | None) -> Caller | None:
    """Return the caller whom an apiserver authenticates by a token, or None."""
    if held is None or held.kind != "token" or not held.common_name:
        return None
    file = apiserver.setting("token-auth-file")
    if held.signed_by not in {file.value, SERVICE_ACCOUNTS}:
        return None
    source = file.source if held.signed_by == file.value else held.source
    groups = frozenset({*held.organizations, AUTHENTICATED})
    return Caller(held.common_name, groups, Claim("required", held.common_name, source))


def by_request_headers(env: Environment, apiserver: Component, held: Credential) -> Claim | None:
    """Return the claim that a certificate lets its holder name any user in request headers.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> by_request_headers(env, apiserver, env.credential("kubelet", "worker1"))
    """
    trusted = apiserver.setting("requestheader-client-ca-file")
    if not trusted.value or held.signed_by not in trusted_by(env, trusted.value):
        return None
    names = {item.value for item in apiserver.values("requestheader-allowed-names")}
    if (names and held.common_name not in names) or "client" not in held.usages:
        return None
    clients = trusted_by(env, apiserver.setting("client-ca-file").value)
    if not names and clients & trusted_by(env, trusted.value) and refuses_overlap(apiserver):
        return None
    return Claim("allow-all", "any user, by a request header", trusted.source)


def refuses_overlap(apiserver: Component) -> bool:
    """Say whether an apiserver refuses to start if both of its CAs for clients share one.

    Since Kubernetes 1.35 it does, unless --requestheader-allowed-names is set.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> refuses_overlap(read_environment("hardened").component("kube-apiserver@master"))
    False
    """
    return apiserver.version is not None and apiserver.version >= NO_OVERLAP


def trusted_by(env: Environment, path: str) -> frozenset[str]:
    """Return the names of the authorities whose certificates a file holds.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> sorted(trusted_by(read_environment("hardened"), "/etc/etcd/pki/any-ca.crt"))
    ['etcd-ca', 'kubernetes-ca']
    """
    return env.pki.trusted(path)


def service_account(namespace: str, name: str, source: Source) -> Caller:
    """Return the caller that an apiserver authenticates by a service account's token.

    Examples
    --------
    >>> service_account("shop", "default", Source("pod.yaml", 1, "")).user
    'system:serviceaccount:shop:default'
    """
    user = f"system:serviceaccount:{namespace}:{name}"
    groups = {AUTHENTICATED, "system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
    return Caller(user, frozenset(groups), Claim("required", user, source))


def default_bindings(env: Environment) -> tuple[Binding, ...]:
    """Return the bindings of the manifests to default service accounts, or to all of them.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> [binding.role for binding in default_bindings(read_environment("insecure"))]
    ['edit']
    """
    return tuple(
        binding
        for binding in env.rbac.bindings
        if any(
            (kind == "ServiceAccount" and name == "default")
            or (kind == "Group" and name.partition(":serviceaccounts")[0] == "system")
            for kind, _, name in binding.subjects
        )
    )


def _anonymous(claim: Claim) -> Caller:
    return Caller(ANONYMOUS, frozenset({UNAUTHENTICATED}), claim)


def _nobody(claim: Claim) -> Caller:
    return Caller("", frozenset(), claim)


def may(env: Environment, apiserver: Component, caller: Caller, action: Action) -> Claim:
    """Say whether a caller is allowed an action, and by which rule.

    With RBAC, the apiserver's bootstrap policy counts as well; of the Node authorizer's rules,
    those that hold for every kubelet do.

    Returns
    -------
    Claim
        Its value is "allowed", "refused", or "unknown" where a webhook or a configuration that
        could not be read decides.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> kubelet = authenticated_as(apiserver, env, env.credential("kubelet", "worker1"))
    >>> may(env, apiserver, kubelet, Action("impersonate", "users")).value
    'refused'
    """
    if not caller.user:
        return Claim(REFUSED, caller.claim.detail, caller.claim.source)
    found = everything_for(env, apiserver, caller.groups, caller.user)
    if found is not None and found.value == "allow-all":
        return Claim(ALLOWED, found.detail, found.source)
    doubt = None
    for it in authorizers(env, apiserver):
        if it.kind == "ABAC":
            for rule in env.abac.get(apiserver.id, ()):
                if _abac_matches(rule, caller, action):
                    return Claim(ALLOWED, f"ABAC: {action}", rule.source)
        elif it.kind == "RBAC":
            if by := _rbac(env, caller, action):
                return Claim(ALLOWED, f"RBAC: {action}", by)
        elif it.kind == "Node":
            if _node(caller, action):
                return Claim(ALLOWED, f"Node: {action}", it.source)
        elif it.kind == "Webhook":
            doubt = doubt or Claim("unknown", "a service outside the cluster decides", it.source)
        elif it.kind != "AlwaysDeny":
            doubt = doubt or Claim("unknown", f"authorizers are not known: {it.kind}", it.source)
    detail = f"nothing lets {caller.user} {action}"
    return doubt or Claim(REFUSED, detail, apiserver.setting("authorization-mode").source)


def may_at_kubelet(env: Environment, kubelet: Component, caller: Caller, action: Action) -> Claim:
    """Say whether a kubelet allows a caller an action; in Webhook mode it asks the apiserver.

    Returns
    -------
    Claim
        Its value is "allowed", "refused" or "unknown".
    """
    mode = kubelet.setting("authorization.mode")
    if not caller.user:
        return Claim(REFUSED, caller.claim.detail, caller.claim.source)
    if mode.value == "AlwaysAllow":
        return Claim(ALLOWED, "AlwaysAllow", mode.source)
    for apiserver in env.components:
        if apiserver.kind == "kube-apiserver" and mode.value == "Webhook":
            return may(env, apiserver, caller, action)
    return Claim("unknown", f"no mode that labkit knows: {mode.value}", mode.source)


def admission(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is on by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("insecure").component("kube-apiserver@master")
    >>> admission(apiserver, "CertificateSubjectRestriction").value
    'enforced'
    """
    off = apiserver.setting("disable-admission-plugins")
    if plugin in {item.value for item in apiserver.values("disable-admission-plugins")}:
        return Claim("allow-all", f"without {plugin}", off.source)
    return Claim("enforced", plugin, off.source)


def enabled(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is off by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("hardened").component("kube-apiserver@master")
    >>> enabled(apiserver, "NodeRestriction").value
    'enforced'
    """
    on = apiserver.setting("enable-admission-plugins")
    if plugin in {item.value for item in apiserver.values("enable-admission-plugins")}:
        return Claim("enforced", plugin, on.source)
    return Claim("allow-all", f"without {plugin}", on.source)


def restricted(apiserver: Component, caller: Caller) -> Claim | None:
    """Return the claim that restricts a kubelet to its own node and its mirror pods.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> kubelet = authenticated_as(apiserver, env, env.credential("kubelet", "worker1"))
    >>> restricted(apiserver, kubelet).detail
    'NodeRestriction'
    """
    plugin = enabled(apiserver, "NodeRestriction")
    is_node = fnmatchcase(caller.user, "system:node:?*") and "system:nodes" in caller.groups
    return plugin if is_node and plugin.value == "enforced" else None


def _abac_matches(rule: AbacRule, caller: Caller, action: Action) -> bool:
    if not (rule.user or rule.group) or (rule.user and rule.user != caller.user):
        return False
    if (rule.group and rule.group not in caller.groups) or (
        rule.readonly and action.verb not in {"get", "list", "watch"}
    ):
        return False
    # ABAC knows no subresources: who may write pods may bind them and run commands in them
    wanted = (
        (rule.namespace, action.namespace),
        (rule.api_group, action.group),
        (rule.resource, action.resource.partition("/")[0]),
    )
    return all(mine in ("*", asked) for mine, asked in wanted)


def _rbac(env: Environment, caller: Caller, action: Action) -> Source | None:
    own = bootstrap_policy()
    for binding in (*env.rbac.bindings, *own.bindings):
        if binding.namespace and binding.namespace != action.namespace:
            continue
        if not is_subject(binding, caller.user, caller.groups):
            continue
        home = "" if binding.role_kind == "ClusterRole" else binding.namespace
        for role in (*env.rbac.roles, *own.roles):
            same = (role.name, role.namespace) == (binding.role, home)
            if same and any(_rule_allows(rule, action) for rule in role.rules):
                return binding.source
    return None


def _rule_allows(rule: RbacRule, action: Action) -> bool:
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


def _node(caller: Caller, action: Action) -> bool:
    """Say whether every kubelet may do it: plugin/pkg/auth/authorizer/node."""
    is_node = fnmatchcase(caller.user, "system:node:?*") and "system:nodes" in caller.groups
    requests = ("certificatesigningrequests", "certificates.k8s.io")
    what = (action.resource, action.group)
    if (action.verb, *what) in OF_NODES:
        return is_node
    return is_node and what == requests and action.verb != "update"
