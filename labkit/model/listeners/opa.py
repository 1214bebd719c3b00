"""Open Policy Agent, which may answer an apiserver's reviews of tokens and of access.

https://www.openpolicyagent.org/docs/security
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

#: What its API serves: a caller who writes its policies decides on every review.
POLICIES = ("policies", "bearer tokens")
UNIX = "unix://"
DOCUMENTED = (
    "Open Policy Agent documentation: Security",
    "Kubernetes documentation: Webhook Mode",
)


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    certificate = it.setting("tls-cert-file")
    secure = bool(certificate.value)
    for item in it.values("addr"):
        if item.value.startswith(UNIX):
            continue
        host, _, port = item.value.removeprefix("http://").removeprefix("https://").rpartition(":")
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
            encryption=_encryption(it) if secure else Claim("none", "plain http", item.source),
            client_authentication=_clients(it, secure=secure),
            authorization=_authorization(it),
            bind_source=item.source,
            anyone=Anyone.UNUSED_OR_UNPROVEN,
            data=POLICIES,
        )


def _encryption(it: Component) -> Claim:
    lowest = it.setting("min-tls-version")
    if lowest.value not in ("1.0", "1.1", "1.2", "1.3"):
        return Claim("unknown", f"no TLS version: {lowest.value}", lowest.source)
    return Claim(f"tls{lowest.value}", f"TLS {lowest.value} or later", lowest.source)


def _clients(it: Component, *, secure: bool) -> Claim:
    scheme = it.setting("authentication")
    if scheme.value == "tls" and secure:
        # v1/server/server.go: RequireAndVerifyClientCert
        return Claim("required", "client certificates", scheme.source)
    if scheme.value == "token":
        return Claim("unknown", "its policy decides on bearer tokens", scheme.source)
    return Claim("none", "callers are not authenticated", scheme.source)


def _authorization(it: Component) -> Claim:
    scheme = it.setting("authorization")
    if scheme.value == "basic":
        return Claim("unknown", "a policy in Rego decides, which is not evaluated", scheme.source)
    return Claim("allow-all", "every caller may read and write policies", scheme.source)


SERVER = Server(
    "opa",
    _read,
    (
        ListenerKind(
            "reviewer",
            gives=("admin",),
            impact=4,
            gaps={
                "encryption": Gap("webhook-tls", "eavesdrop-token-review", DOCUMENTED),
                "server_authentication": Gap("webhook-tls", "mitm-token-webhook", DOCUMENTED),
                "client_authentication": Gap("webhook-tls", "", DOCUMENTED),
                "authorization": Gap("webhook-tls", "", DOCUMENTED),
            },
        ),
    ),
)
