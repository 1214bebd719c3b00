"""Who may do what: evaluates the rules, instead of trusting the name of a mode."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.policies import RbacRole
from labkit.cluster.syntax.source import Setting, is_true
from labkit.model.claims import Claim

__all__ = [
    "apiserver_anonymous",
    "apiserver_authorization",
    "credential_of",
    "everything_for",
    "kubelet_authorization",
    "proxy_authorization",
]

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"
MASTERS = "system:masters"
KNOWN_MODES = frozenset({"AlwaysAllow", "AlwaysDeny", "ABAC", "RBAC", "Node", "Webhook"})


def _modes(apiserver: Component) -> tuple[tuple[str, ...], Setting]:
    setting = apiserver.setting("authorization-mode")
    return tuple(item.value for item in apiserver.values("authorization-mode")), setting


def apiserver_anonymous(apiserver: Component) -> Claim:
    """Say whether an apiserver lets callers without a credential past authentication."""
    config = apiserver.given("authentication-config")
    setting = apiserver.setting("anonymous-auth")
    if config and config.value and setting.source.default:
        return Claim("unknown", "the authentication configuration decides", config.source)
    modes, mode = _modes(apiserver)
    if not is_true(setting.value):
        return Claim("required", "no anonymous callers", setting.source)
    if "AlwaysAllow" in modes and not apiserver.given("authorization-config"):
        # pkg/kubeapiserver/options/authentication.go resets --anonymous-auth then
        return Claim("required", "AlwaysAllow switches anonymous callers off", mode.source)
    return Claim("anonymous", "callers without a credential are let in", setting.source)


def _all_powerful(role: RbacRole) -> bool:
    return any(
        "*" in rule.verbs and "*" in rule.api_groups and "*" in rule.resources and not rule.names
        for rule in role.rules
    )


def everything_for(
    env: Environment, apiserver: Component, groups: Iterable[str], user: str = ""
) -> Claim | None:
    """Return the rule by which a member of these groups may do everything, or None.

    Parameters
    ----------
    env : Environment
    apiserver : Component
    groups : iterable of str
        The caller's groups; one that is allowed suffices, as the authorizers decide.
    user : str, optional
        The caller's name.
    """
    modes, mode = _modes(apiserver)
    groups = set(groups)
    if MASTERS in groups:
        # pkg/kubeapiserver/authorizer/reload.go lets this group through before any other
        return Claim("allow-all", MASTERS, mode.source)
    if given := apiserver.given("authorization-config"):
        return Claim("unknown", "the authorization configuration decides", given.source)
    if "AlwaysAllow" in modes:
        return Claim("allow-all", "AlwaysAllow", mode.source)
    if "ABAC" in modes:
        for rule in env.abac.get(apiserver.id, ()):
            matches_user = not rule.user or rule.user == user
            matches_group = not rule.group or rule.group in groups
            if rule.everything and (rule.user or rule.group) and matches_user and matches_group:
                who = rule.group or rule.user
                return Claim("allow-all", f"ABAC: {who} may do everything", rule.source)
    if "RBAC" in modes:
        powerful = {
            role.name for role in env.rbac.roles if not role.namespace and _all_powerful(role)
        }
        for binding in env.rbac.bindings:
            if binding.namespace or binding.role_kind != "ClusterRole":
                continue
            if binding.role != "cluster-admin" and binding.role not in powerful:
                continue
            for kind, _, name in binding.subjects:
                if (kind == "Group" and name in groups) or (kind == "User" and name == user != ""):
                    detail = f"RBAC: {binding.name} gives {name} {binding.role}"
                    return Claim("allow-all", detail, binding.source)
    return None


def apiserver_authorization(env: Environment, apiserver: Component) -> Claim:
    """Say whether every caller that an apiserver authenticates may do everything."""
    modes, mode = _modes(apiserver)
    anonymous = apiserver_anonymous(apiserver).value == "anonymous"
    found = everything_for(env, apiserver, {AUTHENTICATED})
    if found and found.value == "unknown":
        return found
    if anonymous:
        anyone = everything_for(env, apiserver, {UNAUTHENTICATED}, ANONYMOUS)
        if found is None and anyone is not None:
            # a caller can leave their credential out, and is then anonymous
            return anyone
        if found and anyone is None:
            return Claim("enforced", f"{found.detail}; not the anonymous", found.source)
        if found and "ABAC" in found.detail:
            detail = f"ABAC: {AUTHENTICATED} and {UNAUTHENTICATED} may do everything"
            return Claim("allow-all", detail, found.source)
    if found:
        return found
    strange = sorted(set(modes) - KNOWN_MODES)
    if strange:
        return Claim("unknown", f"no mode that labkit knows: {', '.join(strange)}", mode.source)
    if "Webhook" in modes:
        return Claim("unknown", "a service outside the cluster decides", mode.source)
    return Claim("enforced", ",".join(modes), mode.source)


def kubelet_authorization(env: Environment, kubelet: Component) -> Claim:
    """Say whether every caller that a kubelet authenticates may do everything.

    The mode Webhook asks the apiserver: where everybody may do everything there, so here.
    """
    mode = kubelet.setting("authorization.mode")
    if mode.value == "AlwaysAllow":
        return Claim("allow-all", "AlwaysAllow", mode.source)
    if mode.value != "Webhook":
        return Claim("unknown", f"no mode that labkit knows: {mode.value}", mode.source)
    groups = [{AUTHENTICATED}]
    if is_true(kubelet.setting("authentication.anonymous.enabled").value):
        groups.append({UNAUTHENTICATED})
    for apiserver in env.components:
        if apiserver.kind != "kube-apiserver":
            continue
        answers = [everything_for(env, apiserver, group) for group in groups]
        allowed = [answer for answer in answers if answer and answer.value == "allow-all"]
        if len(allowed) == len(groups):
            detail = f"Webhook asks {apiserver.id}: {allowed[0].detail}"
            return Claim("allow-all", detail, allowed[0].source)
    return Claim("enforced", "Webhook", mode.source)


def credential_of(env: Environment, config: KubeConfig) -> Credential | None:
    """Return the credential that a kubeconfig uses."""
    if not config.method:
        return None
    for credential in env.credentials:
        if credential.node != config.node:
            continue
        if config.certificate and credential.certificate == config.certificate:
            return credential
        if not config.certificate and credential.kubeconfig == config.path:
            return credential
    return None


def proxy_authorization(env: Environment, proxy: Component, apiserver: Component | None) -> Claim:
    """Say whether callers of a ``kubectl proxy`` may do everything: its kubeconfig decides."""
    source = proxy.setting("kubeconfig").source
    config = proxy.kubeconfig
    if config is None or apiserver is None:
        return Claim("unknown", "whom it calls is not known", source)
    credential = credential_of(env, config)
    if credential is None and config.method:
        return Claim("unknown", f"acts as {config.user}", source)
    name = credential.common_name if credential else ANONYMOUS
    organizations = set(credential.organizations) if credential else set()
    if credential and not name:
        return Claim("unknown", f"acts as {config.user}, whose rights are not known", source)
    groups = organizations | {AUTHENTICATED if credential else UNAUTHENTICATED}
    who = f"{name} ({', '.join(sorted(organizations))})" if organizations else name
    found = everything_for(env, apiserver, groups, name)
    if found is None:
        return Claim("enforced", f"acts as {who}", source)
    return Claim(found.value, f"acts as {who}", source)
