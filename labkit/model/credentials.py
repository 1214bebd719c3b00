"""What is claimed of a component itself, and what its machine holds that can be stolen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.audit_policy import AuditedRequest
from labkit.cluster.policies import PROVIDERS
from labkit.cluster.syntax.disk import file_text, inside, leaves
from labkit.cluster.syntax.source import Source
from labkit.cluster.syntax.yamldoc import read_one
from labkit.model.admission_plugins import enabled
from labkit.model.audit_trail import policy_in_use
from labkit.model.claims import Channel, Claim
from labkit.model.decision import (
    ALLOWED,
    EVERYTHING,
    UNKNOWN,
    Action,
    Caller,
    decide,
    decide_at_kubelet,
)
from labkit.model.etcd_rights import ALL_KEYS, etcd_may, known_to_etcd
from labkit.model.file_access import may_open, ordinary_users
from labkit.model.footholds import ADMIN, POD, SECRETS, Foothold
from labkit.model.id_tokens import collides, id_token_authenticators
from labkit.model.listener import tls
from labkit.model.rights import (
    authenticated_as,
    bearer_at_kubelet,
    by_request_headers,
    known_to_kubelet,
    trusted_by,
)
from labkit.model.secret_readers import reads_secrets
from labkit.model.threat_model import Model, StoredCredential
from labkit.model.workloads import node_of_pod, pods, token_caller, token_in

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Credential, Environment, Node

__all__ = [
    "AUDITED",
    "audit",
    "claims_of",
    "client_credential",
    "credentials_of",
    "overlay",
    "secrets_at_rest",
]

#: The flags and keys that list cipher suites.
SUITES = {
    "etcd": "cipher-suites",
    "kube-apiserver": "tls-cipher-suites",
    "kube-controller-manager": "tls-cipher-suites",
    "kube-scheduler": "tls-cipher-suites",
    "kubelet": "tlsCipherSuites",
}
#: Parts of the names of suites that OWASP has disabled, and the beginning of those without
#: forward secrecy.
WEAK = frozenset({"NULL", "EXPORT", "anon", "RC4", "DES", "3DES", "MD5", "PSK"})
NO_SECRECY = "TLS_RSA_"
#: The flags by which etcd's own clients and members name their certificates.
ETCD_CLIENTS = {
    "kube-apiserver": ("etcd-certfile",),
    "flanneld": ("etcd-certfile",),
    "etcd": ("cert-file", "peer-cert-file", "peer-client-cert-file"),
}
#: The requests of attackers that a log must show: how secrets, pods, machines and rights are taken.
#: kubectl asks for exec with GET, over WebSockets.
AUDITED = (
    AuditedRequest("get", "secrets"),
    AuditedRequest("list", "secrets"),
    AuditedRequest("get", "pods/exec"),
    AuditedRequest("create", "pods/exec"),
    AuditedRequest("get", "nodes/proxy", namespace=""),
    AuditedRequest("create", "serviceaccounts/token"),
    AuditedRequest("create", "pods"),
    AuditedRequest("create", "clusterrolebindings", "rbac.authorization.k8s.io", namespace=""),
    AuditedRequest("create", "certificatesigningrequests", "certificates.k8s.io", namespace=""),
)
OVERLAY = "flannel-network.json"
PLAIN, SEALED = ("vxlan", "host-gw", "udp"), ("wireguard", "ipsec")
#: Where an authority's key stands for everything that it can sign.
SIGNS_CLIENTS = frozenset({"kube-apiserver"})


def claims_of(env: Environment, it: Component) -> tuple[tuple[str, Claim], ...]:
    """Return what is claimed of a component beside its channels.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> dict(claims_of(env, env.component("kube-apiserver@master")))["audit"].value
    'on'
    """
    if it.kind == "flanneld":
        return (("overlay", overlay(env)),)
    suites = tuple(("cipher suites", claim) for claim in cipher_suites(it))
    if it.kind == "etcd":
        return (("store", Claim("believed", "the apiserver signs nothing", it.source)), *suites)
    if it.kind != "kube-apiserver":
        return suites
    return (
        *suites,
        ("audit", audit(env, it)),
        ("secrets at rest", secrets_at_rest(env, it)),
        ("node restriction", enabled(it, "NodeRestriction")),
        *(("names of ID tokens", claim) for claim in names_of_id_tokens(env, it)),
    )


def names_of_id_tokens(env: Environment, apiserver: Component) -> Iterator[Claim]:
    """Yield whether names of OpenID providers may be names of the cluster; nothing without one.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("oidc-hardened")
    >>> [it.value for it in names_of_id_tokens(env, env.component("kube-apiserver@master"))]
    ['prefixed']
    """
    known = id_token_authenticators(env, apiserver)
    if known is None:
        source = (apiserver.given("authentication-config") or apiserver).source
        yield Claim("unknown", "whose ID tokens it accepts could not be read", source)
        return
    found = [claim for claim in map(collides, known) if claim is not None]
    if found:
        yield min(found, key=lambda claim: claim.value == "unknown")
    elif known:
        mappings = (mapping for it in known for mapping in (it.groups, it.username))
        prefixes = (mapping.source for mapping in mappings if mapping and mapping.prefix)
        source = next(prefixes, known[0].source)
        yield Claim("prefixed", "its names are not those of the cluster", source)


def cipher_suites(it: Component) -> Iterator[Claim]:
    """Yield whether the cipher suites that a component is given are sound; nothing by default.

    TLS 1.3 has suites of its own, and Go's defaults have none of the weak ones.

    References
    ----------
    https://cheatsheetseries.owasp.org/cheatsheets/Transport_Layer_Security_Cheat_Sheet.html

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> list(cipher_suites(read_environment("hardened").component("etcd@etcd1")))
    []
    """
    given = it.given(SUITES.get(it.kind, ""))
    if given is None or not given.value:
        return
    names = [item.value for item in it.values(SUITES[it.kind])]
    weak = [it for it in names if set(it.split("_")) & WEAK or it.startswith(NO_SECRECY)]
    minimum = tls(it.setting("tlsMinVersion" if it.kind == "kubelet" else "tls-min-version"))
    if weak and minimum.value != "tls1.3":
        yield Claim("weak", ", ".join(weak), given.source)
    else:
        yield Claim("sound", "no weak suite, or TLS 1.3 only", given.source)


def audit(env: Environment, apiserver: Component) -> Claim:
    """Say whether an apiserver records requests: by a policy, into a log or to a webhook.

    "partial": it records some requests, and not all of those in :data:`AUDITED`.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> audit(env, env.component("kube-apiserver@master")).value
    'none'
    """
    read = policy_in_use(env, apiserver)
    if isinstance(read, Claim):
        return read
    if not read.records:
        return Claim("none", "the policy records nothing", read.source)
    if missed := read.missed(AUDITED):
        return Claim("partial", f"not recorded: {', '.join(map(str, missed))}", read.source)
    policy = apiserver.setting("audit-policy-file")
    return Claim("on", policy.value, policy.source)


def overlay(env: Environment) -> Claim:
    """Say whether the overlay network encrypts what pods say to each other.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> overlay(read_environment("hardened")).detail
    'vxlan'
    """
    file = next((f for layer in reversed(env.layers) if (f := layer / OVERLAY).exists()), None)
    if file is None:
        return Claim("unknown", "", Source(OVERLAY, None, "Backend.Type absent"))
    source = Source(f"{file.parent.name}/{file.name}", 1, "Backend.Type")
    if not inside(file, file.parent):
        raise leaves(source.path)
    document = read_one(file_text(file, source.path), source.path)
    backend = document.text("Backend", "Type", default="")
    word = "none" if backend in PLAIN else "encrypted" if backend in SEALED else "unknown"
    return Claim(word, backend, source)


def secrets_at_rest(env: Environment, apiserver: Component) -> Claim:
    """Say whether an apiserver encrypts secrets before it stores them.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> secrets_at_rest(env, env.component("kube-apiserver@master")).value
    'none'
    """
    read = env.encryption.get(apiserver.id)
    for resource, providers in read.providers if read else ():
        if resource in ("secrets", "*.", "*.*") and providers and read:
            word = "encrypted" if providers[0] in PROVIDERS else "unknown"
            word = "none" if providers[0] == "identity" else word
            return Claim(word, f"provider {providers[0]}", read.source)
    setting = apiserver.setting("encryption-provider-config")
    if setting.value and read is None:
        return Claim("unknown", f"{setting.value} could not be read", setting.source)
    return Claim("none", "secrets are stored as they are", setting.source)


def credentials_of(env: Environment) -> tuple[StoredCredential, ...]:
    """Return the credentials that lie on the machines, with what each one gives.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = credentials_of(read_environment("hardened"))
    >>> [str(right) for it in found if it.name == "admin" for right in it.rights]
    ['cluster-admin']
    """
    found = [_held(env, credential) for credential in env.credentials]
    return (*found, *_authority_keys(env), *_tokens(env), *_cloud_keys(env))


def client_credential(model: Model, channel: Channel) -> Credential | None:
    """Return the credential that a channel's client uses, with its paths on the machine.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> client_credential(model, model.channels[0]).common_name
    'system:kube-controller-manager'
    """
    if channel.credential is None or model.env is None:
        return None
    return model.env.credential(channel.credential, model.component(channel.client).node)


def _held(env: Environment, credential: Credential) -> StoredCredential:
    readers, perhaps = _readers(env, credential.node, credential.key or credential.kubeconfig)
    return StoredCredential(
        name=credential.name,
        node=credential.node,
        kind=credential.kind,
        identity=credential.common_name or credential.name,
        rights=tuple(_rights(env, credential)),
        readable_by=readers,
        perhaps_readable_by=perhaps,
        opens=tuple(_opens(env, credential)),
        source=credential.source,
    )


def _rights(env: Environment, credential: Credential) -> Iterator[Foothold]:
    """Yield what a credential gives at any apiserver: its holder chooses which one to call."""
    found: dict[Foothold, None] = {}
    for apiserver in env.components:
        if apiserver.kind != "kube-apiserver":
            continue
        if by_request_headers(env, apiserver, credential):
            found[ADMIN] = None
            continue
        caller = authenticated_as(apiserver, env, credential)
        if caller.user == credential.common_name != "":
            found |= dict.fromkeys(_may(env, apiserver, caller))
    # who may do everything reads the secrets as well
    yield from [ADMIN] if ADMIN in found else found


def _may(env: Environment, apiserver: Component, caller: Caller) -> Iterator[Foothold]:
    if decide(env, apiserver, caller, EVERYTHING).value == ALLOWED:
        yield ADMIN
    elif reads_secrets(env, apiserver, caller).value == ALLOWED:
        yield SECRETS


def _opens(env: Environment, credential: Credential) -> Iterator[str]:
    """Yield the servers that a credential opens: kubelets that run commands for its holder, etcd.

    What etcd's own clients may do there, their channels say.
    """
    clients = {
        (it.node, setting.value)
        for it in env.components
        for flag in ETCD_CLIENTS.get(it.kind, ())
        if (setting := it.given(flag))
    }
    for it in env.components:
        if it.kind == "kubelet":
            caller = known_to_kubelet(env, it, credential)
            if caller.user == credential.common_name != "" and _runs(env, it, caller):
                yield it.id
        elif it.kind == "etcd" and (credential.node, credential.certificate) not in clients:
            trusted = trusted_by(env, it.setting("trusted-ca-file").value)
            client = credential.signed_by in trusted and "client" in credential.usages
            caller = known_to_etcd(env, it, credential)
            if client and all(
                etcd_may(env, it, caller, access, ALL_KEYS).value == ALLOWED
                for access in ("read", "write")
            ):
                yield it.id


def _runs(env: Environment, kubelet: Component, caller: Caller) -> bool:
    """Say whether a kubelet runs commands for a caller: to get is enough, over a WebSocket."""
    actions = [Action(verb, "nodes/proxy", name=kubelet.node) for verb in ("create", "get")]
    return decide_at_kubelet(env, kubelet, caller, actions).value == ALLOWED


def _tokens(env: Environment) -> Iterator[StoredCredential]:
    """Yield the tokens of service accounts that lie in pods."""
    for namespace, pod in pods(env):
        caller = token_caller(env, namespace, pod)
        if caller is None:
            continue
        rights = [
            right
            for apiserver in env.components
            if apiserver.kind == "kube-apiserver"
            for right in _may(env, apiserver, caller)
        ]
        yield StoredCredential(
            name=f"token of {namespace}/{pod}",
            node=node_of_pod(env, namespace, pod),
            kind="token",
            identity=caller.user,
            rights=tuple(dict.fromkeys(rights)),
            readable_by=(POD,),
            opens=tuple(
                it.id
                for it in env.components
                if it.kind == "kubelet"
                and (known := bearer_at_kubelet(env, it, caller)).user == caller.user
                and _runs(env, it, known)
            ),
            source=token_in(env, namespace, pod).source,
        )


def _readers(
    env: Environment, name: str, path: str
) -> tuple[tuple[Foothold, ...], tuple[Foothold, ...]]:
    """Return from where a file can be read beside root, and from where it perhaps can."""
    node = _node(env, name)
    if node is None or not path:
        return (), ()
    found = {may_open(env, node, user, path).value for user in ordinary_users(env, node)}
    place = (Foothold("user", name),)
    if ALLOWED in found:
        return place, ()
    return (), place if UNKNOWN in found else ()


def _authority_keys(env: Environment) -> Iterator[StoredCredential]:
    """Yield the keys that sign certificates an apiserver takes, where they lie about."""
    trusted = {
        it.setting("client-ca-file").value for it in env.components if it.kind in SIGNS_CLIENTS
    }
    for authority in env.authorities:
        if authority.certificate not in trusted or not authority.key:
            continue
        for node in env.nodes:
            if node.name not in authority.key_nodes:
                continue
            readers, perhaps = _readers(env, node.name, authority.key)
            yield StoredCredential(
                name=f"the key of {authority.name}",
                node=node.name,
                kind="key",
                identity="any user whom a certificate names",
                rights=(ADMIN,),
                readable_by=readers,
                perhaps_readable_by=perhaps,
                source=authority.source,
            )


def _cloud_keys(env: Environment) -> Iterator[StoredCredential]:
    """Yield the keys for a cloud that lie in files; what they allow there, the cloud knows."""
    for it in env.cloud_keys:
        readers, perhaps = _readers(env, it.node, it.path)
        yield StoredCredential(
            name=f"cloud key {it.path}",
            node=it.node,
            kind="cloud key",
            identity=it.user or "the cluster, to its cloud",
            readable_by=readers,
            perhaps_readable_by=perhaps,
            source=it.source,
        )


def _node(env: Environment, name: str) -> Node | None:
    return next((node for node in env.nodes if node.name == name), None)
