"""stunnel: TLS before a server that speaks none, such as a collector of journals.

https://www.stunnel.org/static/stunnel.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from labkit.cluster.stunnel import TunnelService, read_tunnels
from labkit.cluster.syntax.source import Setting
from labkit.errors import ConfigError
from labkit.model.claims import Claim
from labkit.model.listener import Anyone, Listener
from labkit.model.listeners._base import Gap, ListenerKind, Server
from labkit.model.listeners.systemd_journal_remote import COLLECTS, ENTRIES, address_of

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

VERSIONS = {"TLSv1": "tls1.0", "TLSv1.1": "tls1.1", "TLSv1.2": "tls1.2", "TLSv1.3": "tls1.3"}
YES, NO = "yes", "no"


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    file = env.node(it.node).files.get(it.setting("config").value)
    if file is None:
        return
    try:
        services, odd = read_tunnels(file.read_text(), file.source)
    except ConfigError:
        return  # the reader of the component has reported it
    for service in services:
        if service.settings["accept"].value.startswith("/"):
            continue  # a Unix socket: no port of the network
        bind, port = address_of(service.settings["accept"])
        encryption, clients = _encryption(service), _clients(service.settings, service)
        if odd:
            why = "labkit does not read all of its configuration"
            clients = Claim("unknown", why, service.source)
        yield Listener(
            server=it.id,
            role=service.name,
            node=it.node,
            zone=it.zone,
            protocol="https",
            bind=bind,
            port=port,
            path=None,
            open=True,
            encryption=encryption,
            client_authentication=clients,
            authorization=Claim("allow-all", "callers reach what is behind it", service.source),
            bind_source=service.settings["accept"].source,
            anyone=Anyone.UNUSED_OR_UNPROVEN,
            data=ENTRIES if _collects(env, it, service) else ("what is behind a tunnel",),
        )


def _collects(env: Environment, it: Component, service: TunnelService) -> bool:
    """Say whether a collector of journals is behind a service."""
    connect = service.settings.get("connect")
    if connect is None or connect.value.startswith("/"):
        return False
    _, port = address_of(connect)
    return any(
        address_of(option)[1] == port
        for other in env.components
        if other.kind == "systemd-journal-remote" and other.node == it.node
        for option in other.values("listen-http")
        if option.value and not option.value.startswith("-")
    )


def _encryption(service: TunnelService) -> Claim:
    settings = service.settings
    lowest = settings.get("sslVersionMin") or settings.get("sslVersion")
    if lowest is None:
        # OpenSSL's default
        return Claim("tls1.2", "TLS 1.2 or later", service.source)
    value = VERSIONS.get(lowest.value)
    if value is None:
        return Claim("unknown", f"no TLS version: {lowest.value}", lowest.source)
    return Claim(value, f"TLS {value.removeprefix('tls')} or later", lowest.source)


def _clients(settings: Mapping[str, Setting], service: TunnelService) -> Claim:
    optional = settings.get("requireCert")
    for key in ("verifyChain", "verifyPeer"):
        asks = settings.get(key)
        if asks is None or asks.value == NO:
            continue
        if asks.value != YES or (optional and optional.value != YES):
            return Claim("unknown", "whether a certificate is demanded", asks.source)
        authority = settings.get("CAfile") or settings.get("CApath")
        if authority is None:
            return Claim("unknown", "no CA is named", asks.source)
        return Claim("required", f"a certificate signed by {authority.value}", asks.source)
    if old := settings.get("verify"):
        return Claim("unknown", "an obsolete key decides", old.source)
    return Claim("none", "certificates are not asked for", service.source)


SERVER = Server(
    "stunnel",
    _read,
    (
        ListenerKind(
            "TLS tunnel",
            gives=(),
            impact=3,
            gaps={
                "encryption": Gap("journal-tls", "eavesdrop-journal-upload"),
                "server_authentication": Gap("journal-tls"),
                "client_authentication": Gap("journal-tls", "forge-journal-entries"),
            },
            by_design=COLLECTS,
        ),
    ),
)
