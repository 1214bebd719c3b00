"""Which machine and component a name or address in the configuration means."""

from __future__ import annotations

from labkit.cluster.facts import Component, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.syntax.urls import is_loopback, port_of, url_of

__all__ = ["apiserver_of", "is_loopback", "node_of", "port_of", "url_of"]


def node_of(env: Environment, host: str, here: str) -> str | None:
    """Return the machine that a host name means, seen from another one.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> node_of(env, "master", "worker1"), node_of(env, "localhost", "worker1")
    ('master', 'worker1')
    """
    if is_loopback(host):
        return here
    for node in env.nodes:
        if host in {node.name, node.address} or host.split(".")[0] == node.name:
            return node.name
    for node in env.nodes:
        if host in node.names:
            return node.name
    return None


def apiserver_of(env: Environment, config: KubeConfig) -> Component | None:
    """Return the apiserver whose secure port a kubeconfig names, or None."""
    _, host, port = url_of(config.server)
    node = node_of(env, host, config.node)
    for component in env.components:
        if component.kind != "kube-apiserver" or component.node != node:
            continue
        if port_of(component.setting("secure-port")) == port:
            return component
    return None
