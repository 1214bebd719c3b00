"""The model: components as nodes, channels as edges."""

from __future__ import annotations

from typing import Any, TypeAlias

import networkx as nx

from labkit.cluster.facts import Credential, Environment
from labkit.model.claims import PROPERTIES, Channel
from labkit.model.clients import NETWORK, find_channels

# networkx has no type hints of its own
Graph: TypeAlias = nx.MultiDiGraph

__all__ = ["build_model", "channels", "credential"]


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
    graph: Graph = nx.MultiDiGraph(
        name=env.name,
        description=env.description,
        credentials={(item.name, item.node): item for item in env.credentials},
        unknowns=env.unknowns,
    )
    for component in env.components:
        graph.add_node(component.id, kind=component.kind, node=component.node, zone=component.zone)
    for order, channel in enumerate(find_channels(env)):
        ends = ((channel.client, channel.client_zone), (channel.server, channel.server_zone))
        for end, zone in ends:
            if end not in graph:
                kind, _, node = end.rpartition("@")
                graph.add_node(end, kind=kind.partition("/")[0], node=node, zone=zone)
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
