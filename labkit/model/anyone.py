"""The channels of callers who are not components: anyone on the network, a machine's users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from labkit.model.addresses import is_loopback
from labkit.model.claims import ANYONE, LOCAL_USERS, Channel, Claim, closed
from labkit.model.decision import ALLOWED, UNKNOWN
from labkit.model.endpoints import Endpoints, channel_to
from labkit.model.listener import Anyone, Listener, socket_users
from labkit.model.listeners import kind_of_listener
from labkit.model.threat_model import NETWORK_ZONE

__all__ = ["channels_of_anyone"]


def channels_of_anyone(endpoints: Endpoints, channels: Iterable[Channel]) -> Iterator[Channel]:
    """Yield the channels of callers who are not components.

    Parameters
    ----------
    endpoints : Endpoints
    channels : iterable of Channel
        Those of the components: a listener that one of them uses may need no other channel.

    Yields
    ------
    Channel
    """
    used = {(channel.server, channel.bind, channel.port) for channel in channels}
    for item in endpoints.all:
        if not _anyone_calls(item, is_used=(item.server, item.bind, item.port) in used):
            continue
        if item.protocol == "unix":
            yield _to_socket(endpoints, item)
            continue
        yield _from_network(item)
        if item.open and is_loopback(item.bind):
            users = f"{LOCAL_USERS}{item.node}"
            local = channel_to(users, item.zone, item, _no_trust(item), None, item.data)
            # metrics and health of a component give nothing to the users of its machine
            if item.anyone is Anyone.UNUSED or kind_of_listener(local).gives:
                yield local


def _anyone_calls(listener: Listener, *, is_used: bool) -> bool:
    match listener.anyone:
        case Anyone.NEVER:
            return False
        case Anyone.ALWAYS:
            return True
        case Anyone.UNUSED:
            return not is_used
        case Anyone.UNUSED_OR_UNPROVEN:
            return not is_used or listener.client_authentication.value != "required"


def _to_socket(endpoints: Endpoints, listener: Listener) -> Channel:
    """Return the channel of a machine's users to a unix socket.

    Which users it lets in is unknown if it may be one of whom nothing is known.
    """
    trust = Claim("local", "unix socket", listener.encryption.source)
    client = f"{LOCAL_USERS}{listener.node}"
    channel = channel_to(client, listener.zone, listener, trust, None, listener.data)
    claim = listener.client_authentication
    if claim.value != "file-mode" or listener.path is None:
        return channel
    users = socket_users(endpoints.env, listener.node, listener.path, claim)
    members = tuple(user for user, it in users.items() if it.value == ALLOWED)
    doubts = [it.claim for it in users.values() if it.value == UNKNOWN]
    if doubts and not members:
        detail = f"{claim.detail}; {doubts[0].detail}"
        claim = replace(claim, value=UNKNOWN, detail=detail)
    return replace(channel, client_authentication=claim, members=members)


def _from_network(listener: Listener) -> Channel:
    """Return the channel of anyone on the network; it is closed to a loopback address."""
    if listener.open and is_loopback(listener.bind):
        source = listener.bind_source or listener.encryption.source
        claim = closed(f"listens on {listener.bind} only", source)
        listener = replace(
            listener,
            open=False,
            encryption=claim,
            client_authentication=claim,
            authorization=claim,
        )
    client = f"{ANYONE}network"
    return channel_to(client, NETWORK_ZONE, listener, _no_trust(listener), None, listener.data)


def _no_trust(listener: Listener) -> Claim:
    """Return the server authentication of a caller who does not verify the server."""
    if listener.encryption.value == "none":
        return Claim("none", listener.encryption.detail, listener.encryption.source)
    return Claim("unverified", "anyone may call without looking", listener.encryption.source)
