"""Who may do what: evaluates the rules, instead of trusting the name of a mode."""

from __future__ import annotations

from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.syntax.source import bool_of, is_true
from labkit.model.claims import Claim
from labkit.model.decision import (
    ALLOWED,
    ANONYMOUS,
    AUTHENTICATED,
    DENIED,
    EVERYTHING,
    UNAUTHENTICATED,
    UNKNOWN,
    authorizers,
    decide,
    decide_at_kubelet,
    member_of,
    unread_flags,
)

__all__ = [
    "apiserver_anonymous",
    "apiserver_authorization",
    "credential_of",
    "kubelet_authorization",
    "proxy_authorization",
]

#: The paths of the apiserver below which objects are.
OBJECTS = ("/api/", "/apis/")


def apiserver_anonymous(env: Environment, apiserver: Component) -> Claim:
    """Say whether an apiserver lets callers without a credential past authentication."""
    config = apiserver.given("authentication-config")
    setting, unread = apiserver.setting("anonymous-auth"), unread_flags(apiserver, "anonymous-auth")
    if config and config.value:
        if unread_flags(apiserver, "authentication-config"):
            return Claim("unknown", "its flags could not be read", apiserver.source)
        read = env.apiserver_files.authentication.get(apiserver.id)
        if read is None and setting.source.default:
            return Claim("unknown", "the authentication configuration decides", config.source)
        if read and read.anonymous:
            setting, unread = read.anonymous, False
        if read and read.anonymous and is_true(setting.value) and read.paths:
            only = f"anonymous callers for {', '.join(read.paths)} only"
            objects = any(f"{path}/".startswith(OBJECTS) for path in read.paths)
            return Claim("anonymous" if objects else "required", only, read.source)
    if unread:
        return Claim("unknown", "its flags could not be read", apiserver.source)
    said = bool_of(setting.value)
    if said is None:
        return Claim("unknown", f"not a boolean: {setting.value}", setting.source)
    if not said:
        return Claim("required", "no anonymous callers", setting.source)
    modes = {item.value for item in apiserver.values("authorization-mode")}
    if not apiserver.given("authorization-config") and (
        "AlwaysAllow" in modes or unread_flags(apiserver, "authorization-mode")
    ):
        # pkg/kubeapiserver/options/authentication.go resets --anonymous-auth then
        mode = apiserver.setting("authorization-mode")
        if unread_flags(apiserver, "authorization-mode"):
            return Claim("unknown", "whether AlwaysAllow switches them off", mode.source)
        return Claim("required", "AlwaysAllow switches anonymous callers off", mode.source)
    return Claim("anonymous", "callers without a credential are let in", setting.source)


def apiserver_authorization(env: Environment, apiserver: Component) -> Claim:
    """Say whether every caller that an apiserver authenticates may do everything."""
    anyone = decide(env, apiserver, member_of(AUTHENTICATED), EVERYTHING)
    found = anyone.claim
    if apiserver_anonymous(env, apiserver).value == "anonymous":
        # a caller can leave their credential out, and is then anonymous
        caller = member_of(UNAUTHENTICATED, user=ANONYMOUS)
        anonymous = decide(env, apiserver, caller, EVERYTHING)
        if anyone.value != ALLOWED and anonymous.value != DENIED:
            found = anonymous.claim
        elif anyone.value == ALLOWED and anonymous.value == DENIED:
            return Claim("enforced", f"{found.detail}; not the anonymous", found.source)
        elif anyone.value == ALLOWED and anonymous.value == UNKNOWN:
            return anonymous.claim
        elif anyone.value == ALLOWED and "ABAC" in found.detail:
            detail = f"ABAC: {AUTHENTICATED} and {UNAUTHENTICATED} may do everything"
            return Claim("allow-all", detail, found.source)
    if found.value == UNKNOWN:
        return found
    if found.value == ALLOWED:
        return Claim("allow-all", found.detail, found.source)
    kinds = authorizers(env, apiserver)
    mode = kinds[0].source if kinds else apiserver.source
    return Claim("enforced", ",".join(it.kind for it in kinds), mode)


def kubelet_authorization(env: Environment, kubelet: Component) -> Claim:
    """Say whether every caller that a kubelet authenticates may do everything.

    The mode Webhook asks the apiserver: where everybody may do everything there, so here.
    """
    callers = [member_of(AUTHENTICATED)]
    if is_true(kubelet.setting("authentication.anonymous.enabled").value):
        callers.append(member_of(UNAUTHENTICATED, user=ANONYMOUS))
    mode = kubelet.setting("authorization.mode")
    found = [decide_at_kubelet(env, kubelet, caller, EVERYTHING) for caller in callers]
    if unread_flags(kubelet, "authorization.mode"):
        return found[0].claim
    if mode.value == "AlwaysAllow":
        return Claim("allow-all", "AlwaysAllow", mode.source)
    if mode.value != "Webhook":
        return Claim("unknown", f"no mode that labkit knows: {mode.value}", mode.source)
    if all(it.value == ALLOWED for it in found):
        asked = next(it.id for it in env.components if it.kind == "kube-apiserver")
        claim = found[0].claim
        return Claim("allow-all", f"Webhook asks {asked}: {claim.detail}", claim.source)
    unknown = next((it.claim for it in found if it.value == UNKNOWN), None)
    if unknown and not any(it.value == DENIED for it in found):
        return unknown
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
    found = decide(env, apiserver, member_of(*groups, user=name), EVERYTHING)
    value = {ALLOWED: "allow-all", DENIED: "enforced"}.get(found.value, "unknown")
    return Claim(value, f"acts as {who}", source)
