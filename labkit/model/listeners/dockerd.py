"""dockerd: its unix sockets and TCP ports, from its flags or from systemd.

https://docs.docker.com/reference/cli/dockerd/#daemon-socket-option
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting, Source, is_true
from labkit.cluster.syntax.urls import port_of, url_of
from labkit.model.claims import Claim, closed
from labkit.model.listener import CONTAINERS, Anyone, Listener, socket_claims, socket_path
from labkit.model.listeners._base import COMMANDS_THE_MACHINE, Gap, ListenerKind, Server

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment, Socket

__all__ = ["SERVER"]

#: Docker's registered ports: plaintext, and TLS.
HTTP_PORT, HTTPS_PORT = 2375, 2376
USUAL_SOCKET = "/run/docker.sock"


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    seen: set[tuple[str, int | None]] = set()
    for item in it.values("host"):
        url, host, port = url_of(item)
        found: list[Listener] = []
        if url.scheme == "fd":
            found = [_from_systemd(env, it, socket) for socket in it.sockets]
            found = found or _handed_over(it, item.source)
        elif url.scheme == "unix":
            owner = f"root:{it.setting('group').value}"
            path = socket_path(url.path or USUAL_SOCKET)
            found = [_unix(env, it, path, "0660", owner, item.source, item.source)]
        elif url.scheme == "tcp":
            found = [_tcp(it, host, port, item.source)]
        seen |= {(listener.protocol, listener.port) for listener in found}
        yield from found
    source = it.setting("host").source
    protocols, ports = {protocol for protocol, _ in seen}, {port for _, port in seen}
    if "unix" not in protocols:
        claim = closed("no unix socket among the hosts", source)
        yield _listener(it, "unix", (claim, claim, claim), path=USUAL_SOCKET, is_open=False)
    if "http" not in protocols and HTTP_PORT not in ports:
        why = "no tcp:// without TLS" if "https" in protocols else "no tcp://"
        claim = closed(f"{why} among the hosts", source)
        yield _listener(it, "http", (claim, claim, claim), port=HTTP_PORT, is_open=False)


def _handed_over(it: Component, source: Source) -> list[Listener]:
    """Return what systemd may hand to dockerd, where its .socket unit is not among the files."""
    unread = Claim("unknown", "the .socket unit is not among the files", source)
    rights = _plugin(it, Claim("allow-all", "every caller may command it", source))
    local = Claim("local", f"unix socket {USUAL_SOCKET}", source)
    return [
        _listener(it, "unix", (local, unread, rights), path=USUAL_SOCKET),
        _listener(it, "http", (unread, unread, rights), port=HTTP_PORT),
    ]


def _from_systemd(env: Environment, it: Component, socket: Socket) -> Listener:
    """Return the listener of an address of docker.socket, which systemd hands to dockerd."""
    address, mode, place = socket.address.value, socket.mode, socket.address.source
    if address.startswith("/"):
        owner = f"{socket.user.value}:{socket.group.value}"
        path = socket_path(address)
        return _unix(env, it, path, mode.value, owner, place, mode.source)
    host, _, port = address.rpartition(":")
    return _tcp(it, host.strip("[]"), port_of(Setting(port, place)), place)


def _unix(
    env: Environment, it: Component, path: str, mode: str, owner: str, place: Source, source: Source
) -> Listener:
    encryption, clients, rights = socket_claims(env, it, path, mode, owner, place, source)
    return _listener(it, "unix", (encryption, clients, _plugin(it, rights)), path=path)


def _tcp(it: Component, host: str, port: int, source: Source) -> Listener:
    # cmd/dockerd/daemon.go: a given --tlsverify turns TLS on even if its value is false; without
    # it, --tls decides
    verify, only = it.given("tlsverify"), it.setting("tls")
    secure = verify or (only if is_true(only.value) else None)
    rights = _plugin(it, Claim("allow-all", "every caller may command it", source))
    if secure is None:
        encryption = Claim("none", "plain http", source)
        clients = Claim("none", "callers are not authenticated", source)
        claims = (encryption, clients, rights)
        return _listener(it, "http", claims, bind=host, port=port or HTTP_PORT)
    encryption = Claim("tls1.2", "TLS 1.2 or later", secure.source)
    clients = Claim("required", "client certificates", secure.source)
    if not is_true(secure.value):
        clients = Claim("none", "client certificates are not asked for", secure.source)
    claims = (encryption, clients, rights)
    return _listener(it, "https", claims, bind=host, port=port or HTTPS_PORT)


def _plugin(it: Component, otherwise: Claim) -> Claim:
    """Return the claim that an authorization plugin decides, where there is one."""
    plugin = it.given("authorization-plugin")
    return Claim("unknown", "a plugin decides", plugin.source) if plugin else otherwise


def _listener(
    it: Component,
    protocol: str,
    claims: tuple[Claim, Claim, Claim],
    *,
    bind: str = "",
    port: int | None = None,
    path: str | None = None,
    is_open: bool = True,
) -> Listener:
    encryption, clients, rights = claims
    return Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol=protocol,
        bind=bind,
        port=port,
        path=path,
        open=is_open,
        encryption=encryption,
        client_authentication=clients,
        authorization=rights,
        bind_source=it.setting("host").source,
        # the channel of a client with a certificate says what the port demands
        anyone=Anyone.ALWAYS if protocol == "unix" else Anyone.UNUSED_OR_UNPROVEN,
        data=CONTAINERS,
    )


_TCP = ("CIS Docker Benchmark 2.7",)

SERVER = Server(
    "dockerd",
    _read,
    (
        ListenerKind(
            "docker socket",
            gives=("root",),
            impact=4,
            gaps={
                "client_authentication": Gap(
                    "docker-socket-mode", "docker-socket", ("CIS Docker Benchmark 3.16",)
                )
            },
            by_design=COMMANDS_THE_MACHINE,
            protocol="unix",
        ),
        ListenerKind(
            "docker",
            gives=("root",),
            impact=4,
            gaps={
                "encryption": Gap("docker-tcp", "eavesdrop-docker", _TCP),
                "server_authentication": Gap("docker-tcp", "", _TCP),
                "client_authentication": Gap("docker-tcp", "docker-tcp", _TCP),
            },
            by_design=COMMANDS_THE_MACHINE,
            with_credential="docker-client-certificate",
        ),
    ),
)
