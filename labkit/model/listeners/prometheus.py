"""Prometheus: its API, which answers with all metrics that it scraped.

https://prometheus.io/docs/prometheus/latest/configuration/https/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.model.claims import Claim
from labkit.model.listener import Anyone, Listener
from labkit.model.listeners._base import Gap, ListenerKind, Server
from labkit.model.listeners.systemd_journal_remote import address_of

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

SCRAPED = ("metrics of the cluster",)
VERSIONS = {"TLS10": "tls1.0", "TLS11": "tls1.1", "TLS12": "tls1.2", "TLS13": "tls1.3"}
#: The one value that demands a certificate and verifies it (crypto/tls, ClientAuthType).
VERIFIES = "RequireAndVerifyClientCert"
DOCUMENTED = ("Prometheus documentation: Security Model",)


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    certificate = it.setting("web.tls.cert_file")
    for place in it.values("web.listen-address"):
        bind, port = address_of(place)
        yield Listener(
            server=it.id,
            role="api",
            node=it.node,
            zone=it.zone,
            protocol="https" if certificate.value else "http",
            bind=bind,
            port=port,
            path=None,
            open=True,
            encryption=_encryption(it),
            client_authentication=_clients(it),
            authorization=Claim("allow-all", "callers read every metric", place.source),
            bind_source=place.source,
            anyone=Anyone.ALWAYS,
            data=SCRAPED,
        )


def _encryption(it: Component) -> Claim:
    certificate = it.setting("web.tls.cert_file")
    if not certificate.value:
        return Claim("none", "plain http", certificate.source)
    lowest = it.setting("web.tls.min_version")
    value = VERSIONS.get(lowest.value)
    if value is None:
        return Claim("unknown", f"no TLS version: {lowest.value}", lowest.source)
    return Claim(value, f"TLS {value.removeprefix('tls')} or later", lowest.source)


def _clients(it: Component) -> Claim:
    asks, users = it.setting("web.tls.client_auth_type"), it.given("web.users")
    if asks.value == VERIFIES and it.setting("web.tls.cert_file").value:
        return Claim("required", "client certificates", asks.source)
    if users:
        return Claim("required", "a user and a password", users.source)
    return Claim("none", "callers are not authenticated", asks.source)


SERVER = Server(
    "prometheus",
    _read,
    (
        ListenerKind(
            "metrics store",
            gives=(),
            impact=2,
            gaps=dict.fromkeys(
                ("encryption", "server_authentication", "client_authentication", "authorization"),
                Gap("prometheus-closed", "metrics-open", DOCUMENTED),
            ),
        ),
    ),
)
