"""The vocabulary: what is claimed of a channel, and where it was read."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.cluster.syntax.source import Source

__all__ = ["ANYONE", "LOCAL_USERS", "PROPERTIES", "VALUES", "Channel", "Claim", "Source", "closed"]

#: How the client of a channel begins that is not a component: anyone on the network, any user of
#: a machine.
ANYONE, LOCAL_USERS = "anyone@", "local-users@"

PROPERTIES = ("encryption", "server_authentication", "client_authentication", "authorization")

VALUES = {
    # the lowest version that the listener accepts
    "encryption": (
        "none",
        "tls1.0",
        "tls1.1",
        "tls1.2",
        "tls1.3",
        "local",
        "closed",
        "unknown",
    ),
    # does this client verify the server
    "server_authentication": ("none", "unverified", "verified", "local", "closed", "unknown"),
    # does the listener demand to know who calls
    "client_authentication": (
        "none",
        "anonymous",
        "required",
        "file-mode",
        "closed",
        "unknown",
    ),
    # is a caller that got past authentication refused what it has no right to
    "authorization": ("allow-all", "enforced", "closed", "unknown"),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One property of a channel: its value, a few words, and where it was read.

    Examples
    --------
    >>> source = Source("etcd.service", 13, "--client-cert-auth=true")
    >>> claim = Claim("required", "mutual TLS", source)
    >>> print(claim)
    required (mutual TLS): etcd.service:13 --client-cert-auth=true
    """

    value: str
    detail: str
    source: Source

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.value}{detail}: {self.source}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One client's use of one listener: the edge of the model.

    ``open`` is False where the listener is known and not configured; all four claims are then
    "closed". ``credential`` is the name of what the client proves itself with on its machine,
    ``bind`` the address that the server listens on, where it is known; ``members`` are the
    people whom a socket's group lets in.
    """

    id: str
    client: str
    server: str
    protocol: str
    port: int | None
    path: str | None
    open: bool
    encryption: Claim
    server_authentication: Claim
    client_authentication: Claim
    authorization: Claim
    credential: str | None
    data: tuple[str, ...]
    client_zone: str
    server_zone: str
    bind: str = ""
    members: tuple[str, ...] = ()

    @property
    def from_anyone(self) -> bool:
        """Whether its client is anyone on the network, or any user of a machine."""
        return self.client.startswith((ANYONE, LOCAL_USERS))


def closed(detail: str, source: Source) -> Claim:
    """Make the claim that nothing listens there.

    Examples
    --------
    >>> closed("no port", Source("kubelet.yaml", 10, "readOnlyPort: 0")).value
    'closed'
    """
    return Claim("closed", detail, source)
