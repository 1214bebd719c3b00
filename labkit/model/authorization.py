"""Who may do what: evaluates the rules, instead of trusting the name of a mode."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from labkit.cluster.apiserver_files import Authorizer
from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.policies import Binding, RbacRole
from labkit.cluster.syntax.source import bool_of, is_true
from labkit.model.claims import Claim

__all__ = [
    "apiserver_anonymous",
    "apiserver_authorization",
    "authorizers",
    "credential_of",
    "everything_for",
    "is_subject",
    "kubelet_authorization",
    "proxy_authorization",
]

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"
MASTERS = "system:masters"
KNOWN_MODES = frozenset({"AlwaysAllow", "AlwaysDeny", "ABAC", "RBAC", "Node", "Webhook"})
#: What stands for the authorizers of a configuration that could not be read.
UNREAD = "unread"
#: The paths of the apiserver below which objects are.
OBJECTS = ("/api/", "/apis/")


def authorizers(env: Environment, apiserver: Component) -> tuple[Authorizer, ...]:
    """Return the authorizers of an apiserver in their order, by its flag or by its file.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> [it.kind for it in authorizers(env, env.component("kube-apiserver@master"))]
    ['Node', 'RBAC']
    """
    config = apiserver.given("authorization-config")
    if config and config.value:
        absent = (Authorizer(UNREAD, config.source),)
        return env.apiserver_files.authorizers.get(apiserver.id, absent)
    modes = apiserver.values("authorization-mode")
    return tuple(Authorizer(item.value, item.source) for item in modes)


def apiserver_anonymous(env: Environment, apiserver: Component) -> Claim:
    """Say whether an apiserver lets callers without a credential past authentication."""
    config = apiserver.given("authentication-config")
    setting = apiserver.setting("anonymous-auth")
    if config and config.value:
        read = env.apiserver_files.authentication.get(apiserver.id)
        if read is None and setting.source.default:
            return Claim("unknown", "the authentication configuration decides", config.source)
        if read and read.anonymous:
            setting = read.anonymous
        if read and read.anonymous and is_true(setting.value) and read.paths:
            only = f"anonymous callers for {', '.join(read.paths)} only"
            objects = any(f"{path}/".startswith(OBJECTS) for path in read.paths)
            return Claim("anonymous" if objects else "required", only, read.source)
    said = bool_of(setting.value)
    if said is None:
        return Claim("unknown", f"not a boolean: {setting.value}", setting.source)
    if not said:
        return Claim("required", "no anonymous callers", setting.source)
    modes = {item.value for item in apiserver.values("authorization-mode")}
    if "AlwaysAllow" in modes and not apiserver.given("authorization-config"):
        # pkg/kubeapiserver/options/authentication.go resets --anonymous-auth then
        mode = apiserver.setting("authorization-mode")
        return Claim("required", "AlwaysAllow switches anonymous callers off", mode.source)
    return Claim("anonymous", "callers without a credential are let in", setting.source)


def is_subject(binding: Binding, user: str, groups: Collection[str]) -> str:
    """Return the subject of a binding that a caller is, or an empty text."""
    for kind, namespace, name in binding.subjects:
        if kind == "ServiceAccount":
            home = namespace or binding.namespace
            kind, name = "User", f"system:serviceaccount:{home}:{name}"
        if (kind == "User" and name == user != "") or (kind == "Group" and name in groups):
            return name
    return ""


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
    groups = set(groups)
    if MASTERS in groups:
        # pkg/kubeapiserver/authorizer/reload.go lets this group through before any other
        source = apiserver.setting("authorization-mode").source
        return Claim("allow-all", MASTERS, source)
    unread = None
    for it in authorizers(env, apiserver):
        found = None
        if it.kind == "AlwaysAllow":
            found = Claim("allow-all", "AlwaysAllow", it.source)
        elif it.kind == "ABAC":
            found = _abac_everything(env, apiserver, groups, user)
        elif it.kind == "RBAC":
            found = _rbac_everything(env, groups, user)
        elif it.kind == UNREAD:
            unread = Claim("unknown", "the authorization configuration decides", it.source)
        if found:
            return found
    return unread


def _abac_everything(
    env: Environment, apiserver: Component, groups: Collection[str], user: str
) -> Claim | None:
    for rule in env.abac.get(apiserver.id, ()):
        matches_user = not rule.user or rule.user == user
        matches_group = not rule.group or rule.group in groups
        if rule.everything and (rule.user or rule.group) and matches_user and matches_group:
            who = rule.group or rule.user
            return Claim("allow-all", f"ABAC: {who} may do everything", rule.source)
    return None


def _rbac_everything(env: Environment, groups: Collection[str], user: str) -> Claim | None:
    powerful = {role.name for role in env.rbac.roles if not role.namespace and _all_powerful(role)}
    for binding in env.rbac.bindings:
        if binding.namespace or binding.role_kind != "ClusterRole":
            continue
        if binding.role != "cluster-admin" and binding.role not in powerful:
            continue
        if name := is_subject(binding, user, groups):
            detail = f"RBAC: {binding.name} gives {name} {binding.role}"
            return Claim("allow-all", detail, binding.source)
    return None


def apiserver_authorization(env: Environment, apiserver: Component) -> Claim:
    """Say whether every caller that an apiserver authenticates may do everything."""
    kinds = authorizers(env, apiserver)
    anonymous = apiserver_anonymous(env, apiserver).value == "anonymous"
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
    mode = kinds[0].source if kinds else apiserver.source
    strange = sorted({it.kind for it in kinds} - KNOWN_MODES)
    if strange:
        return Claim("unknown", f"no mode that labkit knows: {', '.join(strange)}", mode)
    for it in kinds:
        if it.kind == "Webhook":
            return Claim("unknown", "a service outside the cluster decides", it.source)
    return Claim("enforced", ",".join(it.kind for it in kinds), mode)


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
