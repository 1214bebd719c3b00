"""Channels, their claims, and the values that a claim can have."""

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
    # whether this client verifies the server
    "server_authentication": ("none", "unverified", "verified", "local", "closed", "unknown"),
    # whether the listener demands that callers authenticate
    "client_authentication": (
        "none",
        "anonymous",
        "required",
        "file-mode",
        "closed",
        "unknown",
    ),
    # whether an authenticated caller is refused what they have no right to
    "authorization": ("allow-all", "enforced", "closed", "unknown"),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One property of a channel: its value, a few words, and where it was read.

    Attributes
    ----------
    value : str
        One of :data:`VALUES` for a property of a channel; "unknown" is never read as "closed".
    detail : str
        What the value rests on, in a few words.
    source : Source
        The file and line, or the default, that it was read from.

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

    Attributes
    ----------
    id : str
        "kubelet@worker1 -> kube-apiserver@master:6443".
    client, server : str
        The ids of the components at its ends.
    protocol : str
        "http", "https", "unix" ...
    port : int or None
        The server's port, 1 to 65535.
    path : str or None
        The server's unix socket.
    open : bool
        False if nothing listens there; the four claims are then "closed".
    encryption, server_authentication, client_authentication, authorization : Claim
        The four properties, see :data:`PROPERTIES` and :data:`VALUES`.
    credential : str or None
        The name of the credential that the client authenticates with.
    data : tuple of str
        What it carries: "secrets", "pod specs" ...
    client_zone, server_zone : str
        The trust zones of its ends.
    bind : str
        The address that the server listens on; empty if it is not known.
    members : tuple of str
        The users whom a unix socket's group lets in.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> [channel] = read_model("hardened").open_channels("kube-scheduler@master -> *")
    >>> channel.encryption.value, channel.credential
    ('tls1.3', 'kube-scheduler')
    >>> channel.client_name, channel.client_node, channel.server_name
    ('kube-scheduler', 'master', 'kube-apiserver')
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

    @property
    def client_name(self) -> str:
        """The client without its machine: "kubelet"."""
        return self.client.partition("@")[0]

    @property
    def client_node(self) -> str:
        """The client's machine; empty if its id names none."""
        return self.client.partition("@")[2]

    @property
    def server_name(self) -> str:
        """The server without its machine: "kube-apiserver"."""
        return self.server.partition("@")[0]

    @property
    def server_node(self) -> str:
        """The server's machine; empty if its id names none."""
        return self.server.partition("@")[2]


def listener_of(channel: Channel) -> str:
    """Return the server of a channel, with its path or its port if there is one.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> listener_of(read_model("hardened").open_channels("* -> etcd@etcd1:2380")[0])
    'etcd@etcd1:2380'
    """
    place = channel.path if channel.path else channel.port
    return channel.server if place is None else f"{channel.server}:{place}"


def closed(detail: str, source: Source) -> Claim:
    """Return the claim that nothing listens there.

    Parameters
    ----------
    detail : str
        Why, in a few words.
    source : Source

    Returns
    -------
    Claim

    Examples
    --------
    >>> closed("no port", Source("kubelet.yaml", 10, "readOnlyPort: 0")).value
    'closed'
    """
    return Claim("closed", detail, source)
