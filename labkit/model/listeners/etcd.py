"""etcd: its client, peer and metrics ports.

https://etcd.io/docs/latest/op-guide/security/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import bool_of, is_true
from labkit.cluster.syntax.urls import url_of
from labkit.model.claims import Claim
from labkit.model.listener import ALL_OBJECTS, Anyone, Listener, socket_listener, tls
from labkit.model.listeners._base import Gap, ListenerKind, Server, cis

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment
    from labkit.cluster.syntax.source import Setting

__all__ = ["METRICS", "RAFT", "SERVER"]

#: All that etcd serves on a port of --listen-metrics-urls: /metrics and /health.
METRICS = ("etcd's metrics",)
#: What members exchange.
RAFT = ("raft log", *ALL_OBJECTS)
UNIX = ("unix", "unixs")
#: What systemd leaves of 0777 if a unit says nothing (systemd.exec, "UMask"); who connects needs
#: the right to write.
MODE = "0755"
WORKING_DIRECTORY = "/"
#: By role: the flags that name the addresses; when anyone calls, and what for.
ROLES = {
    "client": (("listen-client-urls", "listen-client-http-urls"), Anyone.UNUSED, ALL_OBJECTS),
    "peer": (("listen-peer-urls",), Anyone.UNUSED, RAFT),
    "metrics": (("listen-metrics-urls",), Anyone.ALWAYS, METRICS),
}


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    for role, (flags, anyone, data) in ROLES.items():
        for flag, setting in [(name, item) for name in flags for item in it.values(name)]:
            url, host, port = url_of(setting)
            if url.scheme in UNIX:
                yield _unix(env, it, role, setting)
                continue
            if url.scheme not in {"http", "https"}:
                continue
            secure = url.scheme == "https"
            plain = Claim("none", "plain http", setting.source)
            yield Listener(
                server=it.id,
                role=role,
                node=it.node,
                zone=it.zone,
                protocol=url.scheme,
                # which addresses it has instead of its default is not known
                bind="" if it.unread(flag) else host,
                port=port,
                path=None,
                open=True,
                encryption=tls(it.setting("tls-min-version")) if secure else plain,
                client_authentication=_clients(env, it, role, secure) or plain,
                authorization=_authorization(env, it, role, secure),
                bind_source=it.setting(flags[0]).source,
                anyone=anyone,
                data=data,
            )


def _unix(env: Environment, it: Component, role: str, setting: Setting) -> Listener:
    """Return the listener of a unix socket, which etcd makes with the umask of its unit."""
    _, _, data = ROLES[role]
    scheme, _, path = setting.value.partition("://")
    # embed/etcd.go: host and path together; without a leading "/", in the working directory
    path = path if path.startswith("/") else f"{WORKING_DIRECTORY}{path}"
    source = setting.source
    found = socket_listener(env, it, role, path, MODE, f"{it.user}:{it.user}", source, source)
    if _sets_umask(env, it):
        clients = Claim("unknown", "UMask= of a unit decides who may connect", source)
        found = replace(found, client_authentication=clients)
    return replace(
        found,
        authorization=_authorization(env, it, role, secure=scheme == "unixs"),
        bind_source=source,
        anyone=Anyone.ALWAYS,
        data=data,
    )


def _sets_umask(env: Environment, it: Component) -> bool:
    """Say whether a unit of the machine has another umask than systemd's own."""
    files = env.node(it.node).files.items()
    return any("/systemd/" in path and b"UMask" in file.read_bytes() for path, file in files)


def _clients(env: Environment, it: Component, role: str, secure: bool) -> Claim | None:
    """Return whether etcd demands client certificates; None for a plaintext port.

    A trusted CA alone makes etcd demand them. etcd takes the names of its users from
    certificates, so users without them authenticate nobody; but for :func:`known_by_gateway`.
    """
    # a model by hand needs the listener's rows, and not the decisions
    from labkit.model.etcd_rights import known_by_gateway

    users = env.etcd_auth is not None and role == "client"
    unprovable = Claim(
        "required", "etcd has users, and nobody can prove to be one", env.etcd_auth_source
    )
    if not secure and users and (taken := known_by_gateway(env, it)):
        name = taken.user or "whom its own certificate names"
        return Claim("unknown", f"etcd's gateway may take anybody for {name}", taken.claim.source)
    if not secure:
        return unprovable if users else None
    prefix = "peer-" if role == "peer" else ""
    demanded = it.setting(f"{prefix}client-cert-auth")
    trusted = it.given(f"{prefix}trusted-ca-file")
    if bool_of(demanded.value) is None:
        return Claim("unknown", f"not a boolean: {demanded.value}", demanded.source)
    if is_true(demanded.value):
        return Claim("required", "client certificates", demanded.source)
    if trusted and trusted.value:
        # client/pkg/transport/listener.go: TrustedCAFile != "" || ClientCertAuth
        return Claim("required", "client certificates: a CA for them is set", trusted.source)
    if users:
        return unprovable
    return Claim("none", "client certificates are not asked for", demanded.source)


def _authorization(env: Environment, it: Component, role: str, secure: bool) -> Claim:
    from labkit.model.decision import ALLOWED, DENIED
    from labkit.model.etcd_rights import ALL_KEYS, anyone_may

    if role == "metrics":
        source = it.setting("listen-metrics-urls").source
        return Claim("allow-all", "metrics and health, nothing else, for everybody", source)
    if role == "client":
        # what a client may do by its name, its channel says
        anyone = anyone_may(env, it, "read", ALL_KEYS, plaintext=not secure).claim
        value = {ALLOWED: "allow-all", DENIED: "enforced"}.get(anyone.value, "unknown")
        return replace(anyone, value=value)
    name, host = it.setting("peer-cert-allowed-cn"), it.setting("peer-cert-allowed-hostname")
    if secure and name.value:
        return Claim("enforced", f"only the common name {name.value}", name.source)
    if secure and host.value:
        return Claim("enforced", f"only the host name {host.value}", host.source)
    return Claim("allow-all", "every peer is taken for a member", name.source)


SERVER = Server(
    "etcd",
    _read,
    (
        ListenerKind(
            "etcd peer",
            # an attacker who joins as a member needs etcd's client port too
            gives=(),
            impact=4,
            gaps={
                "encryption": Gap("etcd-peer-tls", "eavesdrop-etcd-peer", cis("2.4")),
                "server_authentication": Gap("etcd-peer-tls", "etcd-rogue-member", cis("2.4")),
                "client_authentication": Gap("etcd-peer-tls", "etcd-rogue-member", cis("2.5")),
                "authorization": Gap(
                    "etcd-peer-cn",
                    "etcd-rogue-member",
                    ("etcd documentation: --peer-cert-allowed-cn",),
                ),
            },
            data=RAFT,
        ),
        ListenerKind(
            "etcd metrics",
            # server/embed/etcd.go serveMetrics: /metrics and /health, and no key
            gives=(),
            impact=1,
            by_design="the port serves only metrics and health, without authentication",
            data=METRICS,
        ),
        ListenerKind(
            "etcd",
            gives=("admin",),
            impact=4,
            gaps={
                "encryption": Gap(
                    "etcd-client-tls",
                    "eavesdrop-etcd",
                    cis("2.1", "1.2.26"),
                    by_client={"flanneld": "eavesdrop-flannel"},
                ),
                "server_authentication": Gap("etcd-client-tls", "mitm-etcd", cis("1.2.26")),
                "client_authentication": Gap("etcd-client-cert-auth", "etcd-read", cis("2.2")),
                "authorization": Gap(
                    "etcd-users",
                    "flannel-credential",
                    ("etcd documentation: Role-based access control",),
                ),
            },
            with_credential="flannel-credential",
        ),
    ),
)
