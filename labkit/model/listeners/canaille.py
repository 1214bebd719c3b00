"""Canaille, an OpenID provider: where people log in, and where the apiserver finds its keys.

https://canaille.readthedocs.io/en/latest/references/configuration.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim
from labkit.model.listener import Anyone, Listener
from labkit.model.listeners._base import Gap, ListenerKind, Server

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

#: What is exchanged with it.
LOGINS = ("logins", "ID tokens", "signing keys")
ACCOUNTS = "accounts log in; discovery, keys and the login page are for everybody"


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    certificate = it.setting("certfile")
    for name in ("bind", "insecure-bind"):
        for item in it.values(name):
            if not item.value:
                continue
            secure = name == "bind" and bool(certificate.value)
            host, _, port = item.value.rpartition(":")
            encryption = Claim("none", "plain http", item.source)
            if secure:
                # hypercorn/config.py, create_ssl_context
                encryption = Claim("tls1.2", "TLS 1.2 or later", certificate.source)
            yield Listener(
                server=it.id,
                role="api",
                node=it.node,
                zone=it.zone,
                protocol="https" if secure else "http",
                bind=host.strip("[]"),
                port=port_of(Setting(port, item.source)),
                path=None,
                open=True,
                encryption=encryption,
                client_authentication=Claim("required", ACCOUNTS, item.source),
                authorization=Claim("enforced", "each account its own rights", item.source),
                bind_source=item.source,
                anyone=Anyone.ALWAYS,
                data=LOGINS,
            )


SERVER = Server(
    "canaille",
    _read,
    (
        ListenerKind(
            "OpenID provider",
            gives=(),
            impact=3,
            gaps={
                "encryption": Gap(references=("OpenID Connect Core 1.0, section 16.17",)),
                "server_authentication": Gap(
                    references=("Kubernetes documentation: Authenticating, OpenID Connect Tokens",)
                ),
            },
        ),
    ),
)
