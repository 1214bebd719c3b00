"""Which machine and component a name or address in the configuration means."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from labkit.cluster.facts import Component, Environment
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.source import Setting, broken

__all__ = ["apiserver_of", "is_loopback", "node_of", "port_of", "url_of"]


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from its own machine only.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host in {"localhost", "::1"} or host.startswith("127.")


def port_of(setting: Setting) -> int:
    """Read a port.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> port_of(Setting("6443", Source("a.service", 3, "--secure-port=6443")))
    6443
    """
    value = setting.value
    if not value.isascii() or not value.isdigit() or len(value) > 5 or int(value) > 65535:
        raise broken(setting.source.path, setting.source.line, f"no port: {setting.source.text}")
    return int(setting.value)


def url_of(setting: Setting) -> tuple[SplitResult, str, int]:
    """Read a URL; return it with its host and port.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> url_of(Setting("https://etcd1:2379", Source("a.service", 3, "")))[1:]
    ('etcd1', 2379)
    """
    try:
        url = urlsplit(setting.value)
        host = url.hostname or ""
        port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
    except ValueError as error:
        what = f"{setting.value!r} is no URL: {error}"
        raise broken(setting.source.path, setting.source.line, what) from error
    if not url.scheme or (not host and url.scheme not in {"unix", "fd", "unixs"}):
        raise broken(setting.source.path, setting.source.line, f"{setting.value!r} is no URL")
    return url, host, port


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
