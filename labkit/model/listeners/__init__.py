"""Components that listen, one file each: their listeners, and what access to each kind gives.

A module of this package that does not begin with ``_`` holds one kind of component, as
``SERVER``; adding a listener is adding one file. Controls and techniques are names here: the
model knows neither.

Examples
--------
>>> from labkit.model import listeners
>>> sorted(listeners)[2:5]
['containerd', 'dockerd', 'etcd']
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from labkit.model.claims import Channel
from labkit.model.listener import Listener
from labkit.model.listeners._base import NO_GAP, Gap, ListenerKind, Server
from labkit.registry import Registry

if TYPE_CHECKING:
    from labkit.cluster.facts import Environment

__all__ = [
    "NO_GAP",
    "Gap",
    "ListenerKind",
    "Server",
    "find_listeners",
    "kind_of_listener",
    "listener_kinds",
]

#: The kind of listener of every component that no file of this package describes.
SERVICE = Server(
    "service", lambda _env, _component: (), (ListenerKind("service", ("commands",), 3),)
)


class _Servers(Registry[Server]):
    ATTRIBUTE = "SERVER"


_servers: Any = sys.modules[__name__]
_servers.__class__ = _Servers


def find_listeners(env: Environment) -> list[Listener]:
    """Return the listeners of all components of an environment, closed ones included.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    list of Listener

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = find_listeners(read_environment("hardened"))
    >>> [item.port for item in found if item.server == "etcd@etcd1"]
    [2379, 2380]
    """
    return [
        listener
        for component in env.components
        for listener in _servers.get(component.kind, SERVICE).read(env, component)
    ]


def listener_kinds() -> dict[str, ListenerKind]:
    """Return all kinds of listeners, by name.

    Returns
    -------
    dict of str to ListenerKind

    Examples
    --------
    >>> listener_kinds()["docker socket"].gives
    ('root',)
    """
    return {kind.name: kind for it in (*_servers.values(), SERVICE) for kind in it.kinds}


def kind_of_listener(channel: Channel) -> ListenerKind:
    """Return the kind of listener that a channel goes to.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    ListenerKind
        "service" for a server that this package does not know.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> sorted({kind_of_listener(it).name for it in read_model("insecure").channels})[:4]
    ['apiserver', 'containerd socket', 'docker', 'docker socket']
    """
    server: Server = _servers.get(channel.server_name, SERVICE)
    return server.kind_of(channel)
