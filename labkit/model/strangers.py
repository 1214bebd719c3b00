"""The channels of callers who are no component: the network's, and a machine's users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from labkit.model.addresses import is_loopback
from labkit.model.claims import Channel, Claim, closed
from labkit.model.endpoints import Endpoints, channel_to
from labkit.model.listener import Listener, socket_group

__all__ = ["ALL_OBJECTS", "DOCKER", "METRICS", "NETWORK", "STRANGERS", "strangers"]

NETWORK = "cluster network"
ANYONE = "anyone@network"
#: How a channel's client begins that is no component: whoever may call there.
STRANGERS = ("anyone@", "local-users@")
ALL_OBJECTS = ("all objects", "secrets")
DOCKER = ("containers", "root on the node")
#: All that etcd serves on a port of --listen-metrics-urls: /metrics and /health.
METRICS = ("etcd's metrics",)


def strangers(places: Endpoints, channels: Iterable[Channel]) -> Iterator[Channel]:
    """Yield the channels of callers who are no component: the network's, a machine's users."""
    used = {(channel.server, channel.bind, channel.port) for channel in channels}
    proxies = {item.node for item in places.all if item.role == "proxy"}
    for item in places.all:
        kind = item.server.partition("@")[0].partition(".")[0]
        if item.role == "proxy" or (
            item.role == "insecure" and (item.open or item.node not in proxies)
        ):
            yield _from_network(places, item, ALL_OBJECTS)
        elif item.role == "read-only":
            yield _from_network(places, item, ("pod specs", "node metrics"))
        elif kind == "dockerd" and item.protocol == "unix":
            trust = Claim("local", "unix socket", item.encryption.source)
            found = channel_to(f"local-users@{item.node}", item.zone, item, trust, None, DOCKER)
            group = socket_group(places.env, item.node, item.client_authentication)
            yield replace(found, members=tuple(member.member for member in group))
        elif kind == "dockerd" and (
            (item.server, item.bind, item.port) not in used
            or item.client_authentication.value != "required"
        ):
            # where a client of its own has to prove itself, that one's channel says it all
            yield _from_network(places, item, DOCKER)
        elif item.role == "client" and (item.server, item.bind, item.port) not in used:
            # an etcd listener that no component uses is still one
            yield _from_network(places, item, ALL_OBJECTS)
            if is_loopback(item.bind):
                yield _from_machine(item, ALL_OBJECTS)
        elif item.role == "metrics":
            yield _from_network(places, item, METRICS)


def _from_network(places: Endpoints, listener: Listener, data: tuple[str, ...]) -> Channel:
    """Make the channel of anyone on the network to a listener; its own machine's only is closed."""
    trust = listener.encryption
    if listener.open and is_loopback(listener.bind):
        where = next(c for c in places.env.components if c.id == listener.server)
        name = {"kubectl-proxy": "address", "dockerd": "host", "etcd": "listen-client-urls"}.get(
            where.kind, "bind-address"
        )
        if where.kind == "kubelet":
            name = "address"
        if listener.role == "metrics":
            name = "listen-metrics-urls"
        source = where.setting(name).source
        shut = closed(f"listens on {listener.bind} only", source)
        listener = Listener(
            server=listener.server,
            role=listener.role,
            node=listener.node,
            zone=listener.zone,
            protocol=listener.protocol,
            bind=listener.bind,
            port=listener.port,
            path=None,
            open=False,
            encryption=shut,
            client_authentication=shut,
            authorization=shut,
        )
    elif listener.open:
        trust = _no_trust(listener)
    return channel_to(ANYONE, NETWORK, listener, trust, None, data)


def _from_machine(listener: Listener, data: tuple[str, ...]) -> Channel:
    """Make the channel of any user of a machine to a listener on its loopback address."""
    client = f"local-users@{listener.node}"
    return channel_to(client, listener.zone, listener, _no_trust(listener), None, data)


def _no_trust(listener: Listener) -> Claim:
    """Claim what a caller without any intention to verify the server verifies."""
    if listener.encryption.value == "none":
        return Claim("none", listener.encryption.detail, listener.encryption.source)
    return Claim("unverified", "anyone may call without looking", listener.encryption.source)
