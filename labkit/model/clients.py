"""Find the channels of an environment, from the configuration of their clients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from labkit.cluster.facts import Component, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.prometheus import read_scrapes
from labkit.cluster.syntax.source import Setting, Source, is_true
from labkit.errors import ConfigError
from labkit.model.addresses import node_of, url_of
from labkit.model.anyone import channels_of_anyone
from labkit.model.authorization import credential_of
from labkit.model.claims import PROPERTIES, Channel, Claim, closed
from labkit.model.collected_logs import with_secrets
from labkit.model.endpoints import Endpoints, channel_to
from labkit.model.etcd_rights import etcd_authorization
from labkit.model.id_tokens import id_token_authenticators
from labkit.model.listener import ALL_OBJECTS, CONTAINERS, METRICS, Listener, socket_path
from labkit.model.listeners.etcd import RAFT
from labkit.model.listeners.systemd_journal_remote import ENTRIES, UNCHECKED
from labkit.model.threat_model import NETWORK_ZONE

__all__ = ["find_channels"]

DATA = {
    "kubelet": ("pod specs", "secrets", "node status"),
    "kube-proxy": ("services", "endpoints"),
    "kube-scheduler": ("pod specs", "bindings"),
    "kube-controller-manager": ("all objects", "secrets", "service account tokens"),
    "kubectl-proxy": ALL_OBJECTS,
    "kubectl": ALL_OBJECTS,
    "docker": CONTAINERS,
}

#: What an apiserver takes from an OpenID provider, and believes.
SIGNING_KEYS = ("signing keys",)
#: What an apiserver exchanges with a webhook, by what it asks.
REVIEWS = {"tokens": ("bearer tokens", "identities"), "access": ("requests", "decisions")}
#: From the strongest authentication of a server to the weakest.
TRUST = ("closed", "local", "verified", "unknown", "unverified", "none")


def _missing(places: Endpoints, kind: str, url: Setting, here: str) -> Listener:
    """Return a listener for a server that the environment lacks."""
    parts, host, port = url_of(url)
    node = node_of(places.env, host, here)
    server = next(
        (c.id for c in places.env.components if c.kind == kind and c.node == node),
        f"{kind}@{node or host}",
    )
    known = node is not None and places.env.complete
    if node is None:
        claim = Claim("unknown", f"{host} is no machine of the environment", url.source)
    elif not known:
        claim = Claim("unknown", f"what answers on {node} is not among the files", url.source)
    else:
        claim = closed(f"nothing on {node} answers there", url.source)
    return Listener(
        server=server,
        role="missing",
        node=node or host,
        zone=places.zones.get(node or "", "outside"),
        protocol=parts.scheme,
        bind=host,
        port=port,
        path=None,
        open=not known,
        encryption=claim,
        client_authentication=claim,
        authorization=claim,
    )


def _call(
    places: Endpoints,
    client: str,
    here: str,
    url: Setting,
    kind: str,
    trust: Claim,
    credential: str | None,
    data: tuple[str, ...],
) -> Channel:
    """Return the channel of one client to the server that its URL names."""
    parts, host, port = url_of(url)
    listener = places.at(host, port, here) or _missing(places, kind, url, here)
    if parts.scheme == "http":
        trust = Claim("none", "plain http", url.source)
        # a plaintext server cannot ask for a certificate
        credential = None
    if listener.open and listener.protocol != parts.scheme:
        why = f"the client speaks {parts.scheme}, the server {listener.protocol}"
        trust = Claim("unknown", why, url.source)
    zone = places.zones.get(here, NETWORK_ZONE)
    return channel_to(client, zone, listener, trust, credential, data)


def _roots(source: Source, flag: str) -> Claim:
    absent = Source(source.path, None, f"{flag} absent", default=True)
    return Claim("verified", "by the machine's own authorities", absent)


def _kubeconfig_trust(config: KubeConfig) -> Claim:
    if config.skip_verify:
        return Claim("unverified", "the client does not look", config.skip_verify.source)
    if config.authority:
        detail = f"by {config.authority.value}"
        return Claim("verified", detail, config.authority.source)
    return _roots(config.server.source, "certificate-authority")


def _kubeconfig_channel(places: Endpoints, client: str, kind: str, config: KubeConfig) -> Channel:
    credential = credential_of(places.env, config)
    return _call(
        places,
        client,
        config.node,
        config.server,
        "kube-apiserver",
        _kubeconfig_trust(config),
        credential.name if credential else None,
        DATA[kind],
    )


def _people(places: Endpoints) -> Iterator[Channel]:
    names: set[str] = set()
    for config in places.env.kubeconfigs:
        client = f"kubectl/{config.user}@{config.node}"
        if client in names:
            client = f"kubectl/{config.user}:{config.path}@{config.node}"
        names.add(client)
        yield _kubeconfig_channel(places, client, "kubectl", config)


def _flag_trust(component: Component, flag: str) -> Claim:
    authority = component.given(flag)
    if authority and authority.value:
        return Claim("verified", f"by {authority.value}", authority.source)
    return _roots(component.source, f"--{flag}")


def _apiserver_to_providers(places: Endpoints, it: Component) -> Iterator[Channel]:
    """Yield the channels on which an apiserver asks the environment's OpenID providers for keys."""
    for provider in id_token_authenticators(places.env, it) or ():
        url = provider.discovery or provider.issuer
        _, host, _ = url_of(url)
        if node_of(places.env, host, it.node) is None:
            continue  # a provider outside: its files are not here
        trust = _roots(provider.source, "certificateAuthority")
        if provider.authority:
            what = provider.authority.value
            detail = f"by {what}" if what.startswith("/") else "by a certificate in the file"
            trust = Claim("verified", detail, provider.authority.source)
        yield _call(places, it.id, it.node, url, "canaille", trust, None, SIGNING_KEYS)


def _apiserver_to_reviewers(places: Endpoints, it: Component) -> Iterator[Channel]:
    """Yield the channels on which an apiserver asks whose tokens are, and what callers may do."""
    found = []
    for webhook in places.env.apiserver_files.webhooks.get(it.id, ()):
        config, data = webhook.config, REVIEWS[webhook.asks]
        credential = credential_of(places.env, config)
        _, host, _ = url_of(config.server)
        machine = node_of(places.env, host, it.node)
        known = any(one.kind == "opa" and one.node == machine for one in places.env.components)
        channel = _call(
            places,
            it.id,
            it.node,
            config.server,
            "opa" if known else "webhook",
            _kubeconfig_trust(config),
            credential.name if credential else None,
            data,
        )
        if channel.server.startswith("webhook@") and config.server.value.startswith("http:"):
            plain = Claim("none", "plain http", config.server.source)
            channel = replace(channel, encryption=plain)
        found.append(channel)
    # of two that meet the same server, the channel is as weak as the weaker one
    found.sort(key=lambda one: TRUST.index(one.server_authentication.value))
    for one in found:
        words = {word for other in found if other.id == one.id for word in other.data}
        yield replace(one, data=tuple(sorted(words)))


def _held(env: Environment, component: Component, *flags: str) -> str | None:
    """Return the name of the credential whose certificate the first given flag names."""
    for flag in flags:
        if name := _holder(env, component.node, component.given(flag)):
            return name
    return None


def _holder(env: Environment, node: str, certificate: Setting | None) -> str | None:
    """Return the name of the credential whose certificate is in a file of a machine."""
    if certificate is None or not certificate.value:
        return None
    place = (node, certificate.value)
    return next((it.name for it in env.credentials if (it.node, it.certificate) == place), None)


def _apiserver_to_kubelets(places: Endpoints, it: Component) -> Iterator[Channel]:
    authority = it.setting("kubelet-certificate-authority")
    if authority.value:
        trust = Claim("verified", f"by {authority.value}", authority.source)
    else:
        trust = Claim("unverified", "the apiserver does not look", authority.source)
    credential = _held(places.env, it, "kubelet-client-certificate")
    data = ("exec sessions", "pod logs", "node metrics")
    for listener in places.all:
        if listener.server.startswith("kubelet@") and listener.role == "api":
            yield channel_to(it.id, it.zone, listener, trust, credential, data)


def _to_etcd(
    places: Endpoints, it: Component, endpoints: str, flags: tuple[str, str], data: tuple[str, ...]
) -> Iterator[Channel]:
    authority, certificate = flags
    for setting in it.values(endpoints):
        if not setting.value.startswith(("http://", "https://")):
            continue  # a socket of the machine, for example
        yield _as_user(
            places.env,
            it,
            _call(
                places,
                it.id,
                it.node,
                setting,
                "etcd",
                _flag_trust(it, authority),
                _held(places.env, it, certificate),
                data,
            ),
        )


def _as_user(env: Environment, client: Component, channel: Channel) -> Channel:
    """Return a channel to an etcd that has users, with what the client's own user may do there."""
    etcd = next((it for it in env.components if it.id == channel.server), None)
    if env.etcd_auth is None or etcd is None or channel.authorization.value == "allow-all":
        return channel
    if not channel.open or channel.authorization.value == "closed":
        return channel
    claim = etcd_authorization(env, etcd, client, channel.credential)
    return replace(channel, authorization=claim)


def _etcd_peers(places: Endpoints, it: Component) -> Iterator[Channel]:
    own = it.setting("name").value
    authority = it.given("peer-trusted-ca-file")
    automatic = it.setting("peer-auto-tls")
    if is_true(automatic.value) and not it.given("peer-cert-file"):
        # embed/config.go PeerSelfCert: such a client skips verification
        trust = Claim("unverified", "certificates that members make themselves", automatic.source)
    elif authority:
        trust = Claim("verified", f"by {authority.value}", authority.source)
    else:
        trust = _roots(it.source, "--peer-trusted-ca-file")
    credential = _held(places.env, it, "peer-client-cert-file", "peer-cert-file")
    for setting in it.values("initial-cluster"):
        name, _, url = setting.value.partition("=")
        if name != own and url:
            peer = Setting(url, setting.source)
            yield _call(places, it.id, it.node, peer, "etcd", trust, credential, RAFT)


def _kubelet_to_runtime(places: Endpoints, it: Component) -> Channel:
    endpoint = it.setting("containerRuntimeEndpoint")
    path = socket_path(endpoint.value.removeprefix("unix://"))
    trust = Claim("local", f"unix socket {path}", endpoint.source)
    data = ("containers", "images", "secrets as environment")
    for listener in places.all:
        if (listener.node, listener.path, listener.open) == (it.node, path, True):
            return channel_to(it.id, it.zone, listener, trust, None, data)
    unknown = Claim("unknown", "who serves this socket is not known", endpoint.source)
    listener = Listener(
        f"runtime@{it.node}",
        "api",
        it.node,
        it.zone,
        "unix",
        "",
        None,
        path,
        True,
        trust,
        unknown,
        unknown,
    )
    return channel_to(it.id, it.zone, listener, trust, None, data)


def _journal_uploads(places: Endpoints, it: Component) -> Iterator[Channel]:
    """Yield the channel on which a machine sends its journal; none if no file says where to."""
    url = it.setting("url")
    if not url.value:
        return
    trust = it.setting("trust")
    claim = Claim("verified", f"by {trust.value}", trust.source)
    if trust.value in UNCHECKED:
        claim = Claim("unverified", "the client does not look", trust.source)
    held = _held(places.env, it, "cert")
    where = replace(url, value=_upload_url(url.value))
    data = with_secrets(places.env, ENTRIES, it.node)
    yield _call(places, it.id, it.node, where, "systemd-journal-remote", claim, held, data)


def _upload_url(text: str) -> str:
    """Return whom systemd-journal-upload calls (setup_uploader in journal-upload.c).

    Examples
    --------
    >>> _upload_url("monitor"), _upload_url("http://monitor:80")
    ('https://monitor:19532', 'http://monitor:80')
    """
    scheme, _, host = text.rpartition("://")
    port = "" if ":" in host else ":19532"
    return f"{scheme or 'https'}://{host.rstrip('/')}{port}"


def _scrapes(places: Endpoints, it: Component) -> Iterator[Channel]:
    """Yield the channels on which Prometheus scrapes the targets of its file."""
    place = it.setting("config.file").value
    file = places.env.node(it.node).files.get(place)
    if file is None:
        return
    try:
        scrapes, _ = read_scrapes(file.read_text(), file.source, place.rpartition("/")[0])
    except ConfigError:
        return  # the reader of the component has reported it
    found = []
    for one in scrapes:
        _, host, port = url_of(one.url)
        machine = node_of(places.env, host, it.node)
        if machine is None:
            continue  # a target outside: its files are not here
        listener = places.at(host, port, it.node)
        kind = listener.server.partition("@")[0] if listener else "target"
        trust = _roots(one.url.source, "ca_file")
        if one.skip_verify:
            trust = Claim("unverified", "the client does not look", one.skip_verify.source)
        elif one.authority:
            trust = Claim("verified", f"by {one.authority.value}", one.authority.source)
        held = _holder(places.env, it.node, one.certificate)
        found.append(_call(places, it.id, it.node, one.url, kind, trust, held, METRICS))
    # of two that meet the same server, the channel is as weak as the weaker one
    found.sort(key=lambda each: TRUST.index(each.server_authentication.value))
    yield from found


def _docker_clients(places: Endpoints) -> Iterator[Channel]:
    for it in places.env.docker_clients:
        _, host, port = url_of(it.host)
        url = Setting(f"{'https' if it.verify else 'http'}://{host}:{port}", it.host.source)
        trust = Claim("none", "plain http", it.host.source)
        if it.verify:
            trust = Claim("verified", f"by {it.folder}/ca.pem", it.verify.source)
        place = (it.node, f"{it.folder}/cert.pem")
        held = next((c for c in places.env.credentials if (c.node, c.certificate) == place), None)
        name = held.name if held else None
        client = f"docker@{it.node}"
        yield _call(places, client, it.node, url, "dockerd", trust, name, DATA["docker"])


def find_channels(env: Environment) -> list[Channel]:
    """Return all channels of an environment, in a stable order.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    list of Channel

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> find_channels(read_environment("hardened"))[0].id
    'kube-controller-manager@master -> kube-apiserver@master:6443'
    """
    places = Endpoints(env)
    result: list[Channel] = []
    for it in env.components:
        if it.kubeconfig:
            result.append(_kubeconfig_channel(places, it.id, it.kind, it.kubeconfig))
    result += _people(places)
    result += _docker_clients(places)
    for it in env.components:
        if it.kind == "kube-apiserver":
            result += _apiserver_to_kubelets(places, it)
            flags = ("etcd-cafile", "etcd-certfile")
            result += _to_etcd(places, it, "etcd-servers", flags, ("all objects", "secrets"))
            result += _apiserver_to_providers(places, it)
            result += _apiserver_to_reviewers(places, it)
    for it in env.components:
        if it.kind == "etcd":
            result += _etcd_peers(places, it)
        elif it.kind == "flanneld" and not is_true(it.setting("kube-subnet-mgr").value):
            data = ("overlay network", "subnet leases")
            result += _to_etcd(places, it, "etcd-endpoints", ("etcd-cafile", "etcd-certfile"), data)
        elif it.kind == "kubelet":
            result.append(_kubelet_to_runtime(places, it))
        elif it.kind == "systemd-journal-upload":
            result += _journal_uploads(places, it)
    result += channels_of_anyone(places, result)
    # after those of anyone: that somebody scrapes a port does not close it to others
    for it in env.components:
        if it.kind == "prometheus":
            result += _scrapes(places, it)
    return _told_apart(_doubted(env, channel) for channel in result)


def _told_apart(channels: Iterable[Channel]) -> list[Channel]:
    """Return the channels with unique ids.

    Channels of one client to one port are merged. If the server listens there on several
    addresses, each address is in the id. A port that is open on one address is not closed.
    """
    same: dict[str, dict[str, Channel]] = defaultdict(dict)
    for channel in channels:
        same[channel.id][channel.bind] = channel
    result: list[Channel] = []
    for found in same.values():
        kept = [channel for channel in found.values() if channel.open] or [*found.values()][-1:]
        if len(kept) > 1:
            kept = [
                replace(it, id=f"{it.client} -> {it.server}:{it.bind}:{it.port}") for it in kept
            ]
        result += kept
    return result


def _doubted(env: Environment, channel: Channel) -> Channel:
    """Return a channel of which the claims are unknown that a missing file may change."""
    incomplete = {it.id: it for it in env.components if it.doubtful or not it.complete}
    changed: dict[str, Any] = {}
    for name in PROPERTIES:
        claim: Claim = getattr(channel, name)
        who = channel.client if name == "server_authentication" else channel.server
        if claim.value == "closed":
            who = channel.server
        component = incomplete.get(who)
        if component and (
            (claim.source.default and not component.complete)
            or claim.source in _doubtful(component)
        ):
            detail = f"what decides could not be read; without it: {claim.detail}"
            changed[name] = Claim("unknown", detail, claim.source)
    if "encryption" in changed and not channel.open:
        return replace(channel, open=True, **changed)
    return replace(channel, **changed) if changed else channel


def _doubtful(component: Component) -> frozenset[Source]:
    """Return the sources of the settings that something may override which was not read."""
    return frozenset(
        item.source for name in component.doubtful for item in component.settings.get(name, ())
    )
