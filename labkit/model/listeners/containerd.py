"""containerd: its unix socket, and the port that it may serve the same on.

https://github.com/containerd/containerd/blob/main/docs/ops.md;
https://github.com/containerd/containerd/blob/main/docs/man/containerd-config.toml.5.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim
from labkit.model.listener import (
    CONTAINERS,
    METRICS,
    Anyone,
    Listener,
    plain_listener,
    socket_listener,
    socket_path,
)
from labkit.model.listeners._base import COMMANDS_THE_MACHINE, Gap, ListenerKind, Server, cis

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    address = it.given("address") or it.setting("grpc.address")
    owner = f"{_name(it.setting('grpc.uid').value)}:{_name(it.setting('grpc.gid').value)}"
    path = socket_path(address.value)
    # containerd gives its socket 0660 whatever the umask is (sys.GetLocalListener)
    yield socket_listener(
        env, it, "api", path, "0660", owner, address.source, it.setting("grpc.gid").source
    )
    port = it.given("grpc.tcp_address")
    if port and port.value:
        yield _tcp(it, port)
    for role in ("debug", "metrics"):
        said = it.setting(f"{role}.address")
        # a path is a socket of root's (containerd's cmd/containerd/command/main.go)
        if said.value and not said.value.startswith(("/", "unix:")):
            yield plain_listener(it, role, said, "1338", METRICS)


def _tcp(it: Component, address: Setting) -> Listener:
    """Return the listener of a port: with a certificate it is TLS, with a CA it asks for one."""
    host, _, number = address.value.rpartition(":")
    certificate, authority = it.given("grpc.tcp_tls_cert"), it.given("grpc.tcp_tls_ca")
    encryption = Claim("none", "gRPC without TLS", address.source)
    clients = Claim("none", "callers are not authenticated", address.source)
    if certificate and certificate.value:
        encryption = Claim("tls1.2", "TLS 1.2 or later", certificate.source)
        if authority and authority.value:
            clients = Claim("required", "client certificates", authority.source)
    return Listener(
        server=it.id,
        role="tcp",
        node=it.node,
        zone=it.zone,
        protocol="http" if encryption.value == "none" else "https",
        bind=host.strip("[]"),
        port=port_of(Setting(number, address.source)),
        path=None,
        open=True,
        encryption=encryption,
        client_authentication=clients,
        authorization=Claim("allow-all", "every caller may command it", address.source),
        bind_source=address.source,
        anyone=Anyone.UNUSED_OR_UNPROVEN,
        data=CONTAINERS,
    )


def _name(number: str) -> str:
    """Return the name of a user or group number, if it is root's."""
    return "root" if number == "0" else number


_MANUAL = ("containerd-config.toml(5): tcp_address",)

SERVER = Server(
    "containerd",
    _read,
    (
        ListenerKind(
            "containerd socket",
            gives=("root",),
            impact=4,
            gaps={"client_authentication": Gap(references=cis("1.1 (file permissions)"))},
            by_design=COMMANDS_THE_MACHINE,
            protocol="unix",
        ),
        ListenerKind(
            "containerd metrics",
            gives=(),
            impact=1,
            by_design="containerd asks nobody on this port: it serves what it counts, or profiles",
            for_everybody=True,
            data=METRICS,
        ),
        ListenerKind(
            "containerd port",
            gives=("root",),
            impact=4,
            gaps={
                "encryption": Gap(references=_MANUAL),
                "server_authentication": Gap(references=_MANUAL),
                "client_authentication": Gap(references=_MANUAL),
            },
            by_design=COMMANDS_THE_MACHINE,
        ),
    ),
)
