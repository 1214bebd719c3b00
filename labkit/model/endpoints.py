"""Which listener a call meets: by machine, port and address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labkit.cluster.facts import Environment
from labkit.model.addresses import is_loopback, node_of
from labkit.model.claims import Channel, Claim
from labkit.model.listener import Listener
from labkit.model.listeners import find_listeners

__all__ = ["Endpoints", "channel_to"]

#: What a socket is bound to that takes calls to every address of its machine.
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


class Endpoints:
    """The listeners of an environment, to be found by clients."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.all = find_listeners(env)
        self.zones = {node.name: node.zone for node in env.nodes}

    def at(self, host: str, port: int, here: str) -> Listener | None:
        """Return what answers on a host's port, called from a machine."""
        node = node_of(self.env, host, here)
        found = [it for it in self.all if (it.node, it.port) == (node, port) and it.open]
        address = next((it.address for it in self.env.nodes if it.name == node), "")
        return _called(found, host, address)


def _called(found: Sequence[Listener], host: str, address: str) -> Listener | None:
    """Return the listener of a port that a call to a host meets, or None.

    Where several listen on other addresses than the one that is called, and they differ in what
    they demand, nothing says which one it meets: its claims are unknown.

    Parameters
    ----------
    found : sequence of Listener
        The open ones of one machine's port.
    host : str
        As the client's URL names it.
    address : str
        The machine's, where it is known.
    """
    everywhere = [it for it in found if it.bind in ANY_ADDRESS]
    if is_loopback(host):
        same = [it for it in found if it.bind == host]
        other = [it for it in found if is_loopback(it.bind)]
        choices = same or (other if "localhost" in (host, *(it.bind for it in other)) else [])
    else:
        # the machine's own name is not its loopback address
        other = [it for it in found if not is_loopback(it.bind) and it not in everywhere]
        same = [it for it in other if it.bind == host] or [it for it in other if it.bind == address]
        # an address that only a certificate or a load balancer knows may be translated to any
        choices = same or ([] if everywhere else other)
    choices = choices or everywhere
    if len({_demands(it) for it in choices}) < 2:
        return choices[0] if choices else None
    why = f"several listen on port {choices[0].port}, and which one is called is not known"
    unknown = Claim("unknown", why, choices[0].encryption.source)
    return replace(
        choices[0],
        bind="",
        encryption=unknown,
        client_authentication=unknown,
        authorization=unknown,
    )


def _demands(it: Listener) -> tuple[str, ...]:
    claims = (it.encryption, it.client_authentication, it.authorization)
    return (it.server, it.role, it.protocol, *(claim.value for claim in claims))


def channel_to(
    client: str,
    client_zone: str,
    listener: Listener,
    server_authentication: Claim,
    credential: str | None,
    data: tuple[str, ...],
    protocol: str = "",
) -> Channel:
    """Return a client's channel to a listener."""
    place = listener.path or listener.port
    return Channel(
        id=f"{client} -> {listener.server}:{place}",
        client=client,
        server=listener.server,
        protocol=protocol or listener.protocol,
        port=listener.port,
        path=listener.path,
        open=listener.open,
        encryption=listener.encryption,
        server_authentication=server_authentication if listener.open else listener.encryption,
        client_authentication=listener.client_authentication,
        authorization=listener.authorization,
        credential=credential if listener.open else None,
        data=data,
        client_zone=client_zone,
        server_zone=listener.zone,
        bind=listener.bind,
    )
