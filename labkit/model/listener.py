"""A listener: an address that a component serves on, and what it demands there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting, Source
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim, closed

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment
    from labkit.model.decision import Decision

__all__ = [
    "ALL_OBJECTS",
    "CONTAINERS",
    "HEALTH",
    "METRICS",
    "Anyone",
    "Listener",
    "plain_listener",
    "socket_claims",
    "socket_listener",
    "socket_path",
    "socket_users",
    "tls",
]

#: What clients of the apiserver and of etcd exchange with them.
ALL_OBJECTS = ("all objects", "secrets")
#: What clients of a container engine exchange with it.
CONTAINERS = ("containers", "root on the node")

#: What a component counts, and that it is well.
METRICS, HEALTH = ("metrics",), ("health",)

#: Versions as kubelets, apiservers and etcd spell them.
VERSIONS = {
    "VersionTLS10": "tls1.0",
    "VersionTLS11": "tls1.1",
    "VersionTLS12": "tls1.2",
    "VersionTLS13": "tls1.3",
    "TLS1.2": "tls1.2",
    "TLS1.3": "tls1.3",
}


class Anyone(Enum):
    """When the model has a channel from anyone, and not only from components, to a listener."""

    NEVER = "never"
    ALWAYS = "always"
    #: No component uses it: the listener would otherwise not be in the model at all.
    UNUSED = "unused"
    #: No component uses it, or it does not require its clients to authenticate.
    UNUSED_OR_UNPROVEN = "unused or unproven"


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that a component serves on, and what it demands there.

    Attributes
    ----------
    server : str
        The component's id, "etcd@etcd1".
    role : str
        Tells the listeners of one component apart: "api", "read-only", "client", "peer",
        "metrics".
    node, zone : str
        The component's machine, and its trust zone.
    protocol : {"http", "https", "unix"}
    bind : str
        The address of the machine that it listens on; empty for every address.
    port : int or None
        The port, 1 to 65535.
    path : str or None
        The path of a unix socket.
    open : bool
        False if the component is configured not to listen here.
    encryption, client_authentication, authorization : Claim
        What it demands.
    bind_source : Source or None
        Where ``bind`` was read.
    anyone : Anyone
        When the model has a channel from anyone to it.
    data : tuple of str
        What anyone exchanges with it.
    """

    server: str
    role: str
    node: str
    zone: str
    protocol: str
    bind: str
    port: int | None
    path: str | None
    open: bool
    encryption: Claim
    client_authentication: Claim
    authorization: Claim
    bind_source: Source | None = None
    anyone: Anyone = Anyone.NEVER
    data: tuple[str, ...] = ()


def plain_listener(
    it: Component, role: str, address: Setting, port: str, data: tuple[str, ...]
) -> Listener:
    """Return a listener that serves everybody by plain HTTP: metrics, or health.

    Parameters
    ----------
    it : labkit.cluster.Component
    role : str
    address : Setting
        An address with or without a port; empty if the component does not listen.
    port : str
        The port if the address has none.
    data : tuple of str
        What is served there.

    Returns
    -------
    Listener

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> proxy = read_environment("hardened").component("kube-proxy@worker1")
    >>> address = Setting("[::]:10249", proxy.source)
    >>> found = plain_listener(proxy, "metrics", address, "10249", METRICS)
    >>> found.bind, found.port
    ('::', 10249)
    """
    host, number = _host_and_port(address, port)
    source = address.source
    off = None if address.value and number else closed("the port is off", source)
    return Listener(
        server=it.id,
        role=role,
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=host,
        port=number or int(port),
        path=None,
        open=off is None,
        encryption=off or Claim("none", "plain http", source),
        client_authentication=off or Claim("none", "nobody is asked", source),
        authorization=off or Claim("allow-all", f"{data[0]}, for everybody", source),
        bind_source=source,
        anyone=Anyone.ALWAYS,
        data=data,
    )


def _host_and_port(address: Setting, port: str) -> tuple[str, int]:
    """Return the parts of 0.0.0.0:10249, [::1]:10249, :10249, 10.0.0.1 or ::1."""
    host, colon, number = address.value.rpartition(":")
    if not colon or (":" in host.strip("[]") and not host.endswith("]")):
        host, number = address.value, port
    return host.strip("[]"), port_of(Setting(number, address.source))


def tls(setting: Setting) -> Claim:
    """Return the claim of the lowest TLS version that a listener accepts.

    Parameters
    ----------
    setting : Setting
        The flag or field that names the version, "VersionTLS12" or "TLS1.2".

    Returns
    -------
    Claim
        Its value is "tls1.0" to "tls1.3", or "unknown".

    Examples
    --------
    >>> tls(Setting("VersionTLS12", Source("kubelet.yaml", 7, "tlsMinVersion"))).value
    'tls1.2'
    """
    value = VERSIONS.get(setting.value)
    if value is None:
        return Claim("unknown", f"no TLS version: {setting.value}", setting.source)
    return Claim(value, f"TLS {value.removeprefix('tls')} or later", setting.source)


def socket_path(path: str) -> str:
    """Return a socket's path without the link /var/run.

    Parameters
    ----------
    path : str

    Returns
    -------
    str

    Examples
    --------
    >>> socket_path("/var/run/docker.sock")
    '/run/docker.sock'
    """
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def socket_claims(
    env: Environment, it: Component, path: str, mode: str, owner: str, place: Source, source: Source
) -> tuple[Claim, Claim, Claim]:
    """Return the claims of a unix socket: encryption, client authentication, authorization.

    Parameters
    ----------
    env : Environment
    it : labkit.cluster.Component
        The server.
    path : str
    mode : str
        Octal, "0660".
    owner : str
        User and group, "root:docker".
    place : Source
        Where the path was read.
    source : Source
        Where mode and owner were read.

    Returns
    -------
    tuple of Claim
        Client authentication is "none" if an account that is in no group may connect, and
        "file-mode" if it may not.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env, source = read_environment("insecure"), Source("docker.socket", 6, "SocketMode=0666")
    >>> about = "/run/docker.sock", "0666", "root:root", source, source
    >>> [it.value for it in socket_claims(env, env.component("dockerd@worker1"), *about)]
    ['local', 'none', 'allow-all']
    """
    from labkit.model.decision import ALLOWED, DENIED, UNKNOWN
    from labkit.model.file_access import STRANGER, may_open, socket_file

    said = Claim(UNKNOWN, f"{mode} {owner}", source)
    stranger = may_open(env, env.node(it.node), STRANGER, path, file=socket_file(path, said))
    value = {ALLOWED: "none", DENIED: "file-mode"}.get(stranger.value, UNKNOWN)
    detail = said.detail if value != UNKNOWN else f"{said.detail}; {stranger.claim.detail}"
    return (
        Claim("local", f"unix socket {path}", place),
        Claim(value, detail, source),
        Claim("allow-all", "users who open it command it", source),
    )


def socket_listener(
    env: Environment,
    it: Component,
    role: str,
    path: str,
    mode: str,
    owner: str,
    place: Source,
    source: Source,
) -> Listener:
    """Return the listener of a unix socket, with the claims of :func:`socket_claims`.

    Parameters
    ----------
    env : Environment
    it : labkit.cluster.Component
        The server.
    role : str
    path, mode, owner : str
    place, source : Source
        As :func:`socket_claims` takes them.

    Returns
    -------
    Listener

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env, source = read_environment("insecure"), Source("docker.socket", 6, "SocketMode=0666")
    >>> about = "api", "/run/docker.sock", "0666", "root:root", source, source
    >>> found = socket_listener(env, env.component("dockerd@worker1"), *about)
    >>> found.protocol, found.path, found.open
    ('unix', '/run/docker.sock', True)
    """
    encryption, clients, rights = socket_claims(env, it, path, mode, owner, place, source)
    return Listener(
        server=it.id,
        role=role,
        node=it.node,
        zone=it.zone,
        protocol="unix",
        bind="",
        port=None,
        path=path,
        open=True,
        encryption=encryption,
        client_authentication=clients,
        authorization=rights,
    )


def socket_users(env: Environment, node: str, path: str, claim: Claim) -> dict[str, Decision]:
    """Decide for each ordinary user of a machine whether they may connect to a socket.

    Parameters
    ----------
    env : Environment
    node : str
        The machine's name.
    path : str
    claim : Claim
        The socket's client authentication, see :func:`socket_claims`.

    Returns
    -------
    dict of str to Decision

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> claim = Claim("file-mode", "0660 root:docker", Source("docker.socket", 6, ""))
    >>> found = socket_users(read_environment("insecure"), "worker1", "/run/docker.sock", claim)
    >>> [(user, decision.value) for user, decision in found.items()]
    [('alice', 'denied'), ('bob', 'allowed')]
    """
    from labkit.model.file_access import may_open, ordinary_users, socket_file

    machine, file = env.node(node), socket_file(path, claim)
    return {
        user: may_open(env, machine, user, path, file=file) for user in ordinary_users(env, machine)
    }
