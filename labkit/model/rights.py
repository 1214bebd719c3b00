"""As whom an apiserver or a kubelet authenticates a caller, and what restricts a kubelet."""

from __future__ import annotations

from labkit.cluster.credentials import SERVICE_ACCOUNTS
from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.policies import Binding
from labkit.cluster.syntax.source import Source, bool_of, is_true
from labkit.model.admission_plugins import enabled
from labkit.model.authorization import apiserver_anonymous
from labkit.model.claims import Claim
from labkit.model.decision import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    UNKNOWN,
    Caller,
    unread_flags,
)
from labkit.model.node_authorizer import is_node

__all__ = [
    "authenticated_as",
    "bearer_at_kubelet",
    "by_request_headers",
    "default_bindings",
    "known_to_kubelet",
    "refuses_overlap",
    "restricted",
    "service_account",
    "trusted_by",
]

#: The flags by which services outside the cluster say whose a bearer token is.
TOKEN_SERVICES = (
    "authentication-token-webhook-config-file",
    "oidc-issuer-url",
    "authentication-config",
)
#: The version since which an apiserver does not start if its CAs for clients overlap.
NO_OVERLAP = (1, 35)


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
    known = _known(env, apiserver, "client-ca-file", held)
    known = known or _bearer(apiserver, held)
    if known is not None:
        return known
    if outside := _outside(env, apiserver, held):
        return _nobody(outside)
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
    known = _known(env, kubelet, "authentication.x509.clientCAFile", held)
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
    if unread_flags(kubelet, "authentication.anonymous.enabled"):
        return _anonymous(Claim(UNKNOWN, "its flags could not be read", kubelet.source))
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


def _known(env: Environment, it: Component, flag: str, held: Credential | None) -> Caller | None:
    trusted = it.setting(flag)
    signers = trusted_by(env, trusted.value)
    if held is None or "client" not in held.usages:
        return None
    groups = frozenset({*held.organizations, AUTHENTICATED})
    if unread_flags(it, flag):
        claim = Claim(UNKNOWN, "which certificates it trusts could not be read", it.source)
        return Caller(held.common_name, groups, claim)
    if held.signed_by not in signers:
        return None
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


def _outside(env: Environment, apiserver: Component, held: Credential | None) -> Claim | None:
    """Return the claim that a service outside the cluster knows whose a token is, or None."""
    if held is None or held.kind not in ("token", "exec"):
        return None
    for flag in TOKEN_SERVICES:
        given = apiserver.given(flag)
        if given and given.value:
            read = env.apiserver_files.authentication.get(apiserver.id)
            if flag == "authentication-config" and read is not None and not read.jwt:
                continue  # it is about anonymous callers alone
            return Claim(UNKNOWN, "a service outside the cluster knows whose it is", given.source)
    if unread_flags(apiserver, TOKEN_SERVICES[0]):
        return Claim(UNKNOWN, "its flags could not be read", apiserver.source)
    return None


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


def restricted(apiserver: Component, caller: Caller) -> Claim | None:
    """Return the claim that restricts a kubelet to its own node and its mirror pods, or may do so.

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
    return plugin if is_node(caller.user, caller.groups) and plugin.value != "allow-all" else None
