"""labkit's stand-in for a cloud: its API, and the metadata that it serves to its machines.

It is no cloud: environments/images/cloud/cloud-stand-in.py says what moto does of it, and what not.
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

REQUESTS, METADATA = ("cloud requests",), ("machine metadata", "credentials of a role")
DOCUMENTED = ("AWS documentation: Use the Instance Metadata Service to access instance metadata",)


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    yield _api(it)
    yield _metadata(it)


def _api(it: Component) -> Listener:
    address, certificate = it.setting("api-address"), it.setting("tls-cert-file")
    host, _, port = address.value.rpartition(":")
    secure = bool(certificate.value)
    encryption = Claim("none", "plain http", address.source)
    if secure:
        encryption = Claim("tls1.3", "TLS 1.3 or later", certificate.source)
    return Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https" if secure else "http",
        bind=host,
        port=port_of(Setting(port, address.source)),
        path=None,
        open=True,
        encryption=encryption,
        client_authentication=Claim("required", "signed requests", address.source),
        authorization=Claim("enforced", "each user and role its own policy", address.source),
        bind_source=address.source,
        anyone=Anyone.ALWAYS,
        data=REQUESTS,
    )


def _metadata(it: Component) -> Listener:
    from labkit.model.clouds import Cloud

    address, tokens = it.setting("metadata-address"), Cloud(it, None).tokens
    host, _, port = address.value.rpartition(":")
    # a token is for the machine that got it, and for what the cloud says of this one
    rights = {"required": "enforced", "none": "allow-all"}.get(tokens.value, "unknown")
    return Listener(
        server=it.id,
        role="metadata",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=host,
        port=port_of(Setting(port, address.source)),
        path=None,
        open=True,
        encryption=Claim("none", "plain http", address.source),
        client_authentication=tokens,
        authorization=Claim(rights, tokens.detail, tokens.source),
        bind_source=address.source,
        anyone=Anyone.ALWAYS,
        data=METADATA,
    )


SERVER = Server(
    "cloud-stand-in",
    _read,
    (
        ListenerKind(
            "machine metadata",
            gives=(),
            impact=3,
            gaps={
                "client_authentication": Gap("metadata-tokens", "cloud-metadata-role", DOCUMENTED),
                "authorization": Gap("metadata-tokens", "cloud-metadata-role", DOCUMENTED),
            },
            data=METADATA,
        ),
        ListenerKind("cloud API", gives=(), impact=3),
    ),
)
