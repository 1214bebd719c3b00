"""systemd-journal-gatewayd: a server that answers requests for journals by HTTP.

https://www.freedesktop.org/software/systemd/man/latest/systemd-journal-gatewayd.service.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting
from labkit.model.claims import Claim
from labkit.model.listener import Anyone, Listener
from labkit.model.listeners._base import Gap, ListenerKind, Server
from labkit.model.listeners.systemd_journal_remote import UNCHECKED, address_of

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

#: Where it listens if systemd opens no socket for it.
USUAL_PORT = "19531"
LOGS = ("logs",)
DOCUMENTED = ("systemd documentation: systemd-journal-gatewayd.service",)


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    # a model written by hand needs the kinds alone
    from labkit.model.collected_logs import with_secrets

    certificate, trust = it.setting("cert"), it.setting("trust")
    secure = bool(certificate.value)
    clients = Claim("none", "callers are not authenticated", trust.source)
    if secure and trust.value and trust.value not in UNCHECKED:
        clients = Claim("required", f"a certificate signed by {trust.value}", trust.source)
    encryption = Claim("none", "plain http", certificate.source)
    if secure:
        # GnuTLS' default, which libmicrohttpd keeps
        encryption = Claim("tls1.1", "TLS 1.1 or later", certificate.source)
    for place in [one.address for one in it.sockets] or [Setting(USUAL_PORT, it.source)]:
        if place.value.startswith("/"):
            continue  # a Unix socket: no port of the network
        bind, port = address_of(place)
        yield Listener(
            server=it.id,
            role="store",
            node=it.node,
            zone=it.zone,
            protocol="https" if secure else "http",
            bind=bind,
            port=port,
            path=None,
            open=True,
            encryption=encryption,
            client_authentication=clients,
            authorization=Claim("allow-all", "callers read every entry", it.source),
            bind_source=place.source,
            anyone=Anyone.ALWAYS,
            data=with_secrets(env, LOGS),
        )


SERVER = Server(
    "systemd-journal-gatewayd",
    _read,
    (
        ListenerKind(
            "log store",
            gives=(),
            impact=3,
            gaps={
                "encryption": Gap("journal-gateway-closed", "", DOCUMENTED),
                "server_authentication": Gap("journal-gateway-closed", "", DOCUMENTED),
                "client_authentication": Gap(
                    "journal-gateway-closed", "read-secrets-in-logs", DOCUMENTED
                ),
                "authorization": Gap("journal-gateway-closed", "read-secrets-in-logs", DOCUMENTED),
            },
        ),
    ),
)
