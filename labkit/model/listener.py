"""A listener: an address that a component serves on, and what it demands there."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.cluster.accounts import Group
from labkit.cluster.facts import Environment
from labkit.cluster.syntax.source import Setting, Source
from labkit.model.claims import Claim

__all__ = ["Listener", "socket_claims", "socket_group", "tls"]

VERSIONS = {
    "VersionTLS10": "tls1.0",
    "VersionTLS11": "tls1.1",
    "VersionTLS12": "tls1.2",
    "VersionTLS13": "tls1.3",
    "TLS1.2": "tls1.2",
    "TLS1.3": "tls1.3",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that a component serves on, and what it demands there.

    ``role`` tells the listeners of one component apart: "api", "read-only", "client", "peer",
    "metrics".
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


def tls(setting: Setting) -> Claim:
    """Claim the lowest TLS version that a listener accepts."""
    value = VERSIONS.get(setting.value)
    if value is None:
        return Claim("unknown", f"no TLS version: {setting.value}", setting.source)
    return Claim(value, f"TLS {value.removeprefix('tls')} or later", setting.source)


def socket_claims(
    path: str, mode: str, owner: str, place: Source, source: Source
) -> tuple[Claim, Claim, Claim]:
    """Claim what holds of a unix socket: local, and whom its mode lets in."""
    detail = f"{mode} {owner}"
    value = "none" if int(mode, 8) & 0o002 else "file-mode"
    return (
        Claim("local", f"unix socket {path}", place),
        Claim(value, detail, source),
        Claim("allow-all", "whoever opens it commands it", source),
    )


def socket_group(env: Environment, node: str, claim: Claim) -> tuple[Group, ...]:
    """Return who is in the group that a socket of a machine lets in, by its mode.

    Parameters
    ----------
    env : Environment
    node : str
    claim : Claim
        What :func:`socket_claims` says of its clients.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.cluster.syntax.source import Source
    >>> claim = Claim("file-mode", "0660 root:docker", Source("docker.socket", 6, ""))
    >>> [group.member for group in socket_group(read_environment("insecure"), "worker1", claim)]
    ['bob']
    """
    mode, _, owner = claim.detail.partition(" ")
    if claim.value != "file-mode" or not int(mode, 8) & 0o020:
        return ()
    name = owner.partition(":")[2]
    return tuple(g for g in env.node(node).groups if g.name == name and g.member)
