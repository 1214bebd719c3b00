"""The model: components as nodes, channels as edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import networkx as nx

from labkit.cluster.facts import Credential, Environment
from labkit.model.claims import PROPERTIES, Channel
from labkit.model.clients import find_channels
from labkit.model.strangers import NETWORK
from labkit.model.threat_model import Component, Model

# networkx has no type hints of its own
Graph: TypeAlias = nx.MultiDiGraph

__all__ = ["build_model", "channels", "credential", "graph_of", "stranger"]


def build_model(env: Environment) -> Graph:
    """Build the threat model of an environment.

    Parameters
    ----------
    env : Environment
        What :func:`labkit.cluster.read_environment` returns.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes are components with ``kind``, ``node`` and ``zone``; edges are keyed by the
        channel's id and have the :class:`Channel` as ``channel``, and its values as plain
        strings. ``graph.graph`` holds the environment's name, credentials and unknowns.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> graph = build_model(read_environment("hardened"))
    >>> graph.nodes["kube-apiserver@master"]["zone"]
    'master node'
    """
    parts = [Component(it.id, it.kind, it.node, it.zone) for it in env.components]
    graph = _graph(parts, find_channels(env))
    graph.graph.update(
        name=env.name,
        description=env.description,
        credentials={(item.name, item.node): item for item in env.credentials},
        unknowns=env.unknowns,
    )
    return graph


def graph_of(model: Model) -> Graph:
    """Return a model as a graph: what :func:`build_model` makes of an environment.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> channels(graph_of(model)) == list(model.channels)
    True
    """
    graph = _graph(model.components, model.channels)
    graph.graph.update(name=model.name, description=model.description, unknowns=model.unknowns)
    return graph


def _graph(components: Iterable[Component], found: Iterable[Channel]) -> Graph:
    graph: Graph = nx.MultiDiGraph()
    for it in components:
        graph.add_node(it.id, kind=it.kind, node=it.node, zone=it.zone)
    for order, channel in enumerate(found):
        for end, zone in (
            (channel.client, channel.client_zone),
            (channel.server, channel.server_zone),
        ):
            if end not in graph:
                it = stranger(end, zone)
                graph.add_node(end, kind=it.kind, node=it.node, zone=it.zone)
        flat: dict[str, Any] = {name: getattr(channel, name).value for name in PROPERTIES}
        graph.add_edge(
            channel.client,
            channel.server,
            key=channel.id,
            channel=channel,
            order=order,
            protocol=channel.protocol,
            port=channel.port,
            path=channel.path,
            open=channel.open,
            credential=channel.credential,
            data=channel.data,
            client_zone=channel.client_zone or NETWORK,
            server_zone=channel.server_zone or NETWORK,
            **flat,
        )
    return graph


def stranger(end: str, zone: str) -> Component:
    """Return an end of a channel that is no component of its own.

    Examples
    --------
    >>> stranger("kubectl/alice@master", "master node").kind
    'kubectl'
    """
    kind, _, node = end.rpartition("@")
    return Component(end, kind.partition("/")[0], node, zone)


def channels(graph: Graph) -> list[Channel]:
    """Return the channels of a model, in a stable order.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> len(channels(build_model(read_environment("insecure"))))
    38
    """
    edges = graph.edges(keys=True, data=True)
    ordered = sorted(edges, key=lambda edge: (edge[3]["order"], edge[2]))
    return [edge[3]["channel"] for edge in ordered]


def credential(graph: Graph, channel: Channel) -> Credential | None:
    """Return the credential that a channel's client uses, with its paths on the machine.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> graph = build_model(read_environment("hardened"))
    >>> credential(graph, channels(graph)[0]).common_name
    'system:kube-controller-manager'
    """
    if channel.credential is None:
        return None
    node = graph.nodes[channel.client]["node"]
    found: Credential | None = graph.graph["credentials"].get((channel.credential, node))
    return found
