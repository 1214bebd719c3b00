"""Drop malformed ports and URLs, and record each as an Unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from labkit.cluster.facts import Component, Socket
from labkit.cluster.syntax.source import Setting, Unknown, broken, unknown_of
from labkit.cluster.syntax.urls import port_of, url_of
from labkit.errors import ConfigError

__all__ = ["drop_malformed"]

PORTS = frozenset({"secure-port", "insecure-port", "port", "readOnlyPort", "healthzPort"})
#: Flags with the URLs of etcd's client port.
ETCD_CLIENTS = frozenset({"etcd-servers", "etcd-endpoints"})
URLS = frozenset(
    [
        "listen-client-urls",
        "listen-client-http-urls",
        "listen-peer-urls",
        "listen-metrics-urls",
        "host",
    ]
)


def drop_malformed(component: Component, unknowns: list[Unknown]) -> Component:
    """Return a component without malformed ports and URLs.

    Parameters
    ----------
    component : Component
    unknowns : list of Unknown
        The function adds each malformed value.

    Returns
    -------
    Component

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> kubelet = read_environment("hardened").component("kubelet@worker1")
    >>> drop_malformed(kubelet, []) == kubelet
    True
    """
    settings = {}
    for name, many in component.settings.items():
        check = _check(component.kind, name)
        good = tuple(item for item in many if _passes(check, item, unknowns))
        if good:
            settings[name] = good
    config = component.kubeconfig
    if config and not _passes(url_of, config.server, unknowns):
        config = None
    sockets = tuple(
        item for item in component.sockets if _passes(_socket(item), item.address, unknowns)
    )
    return replace(component, settings=settings, kubeconfig=config, sockets=sockets)


def _passes(
    check: Callable[[Setting], object] | None, item: Setting, unknowns: list[Unknown]
) -> bool:
    try:
        if check:
            check(item)
    except ConfigError as error:
        unknowns.append(unknown_of(error))
        return False
    return True


def _check(kind: str, name: str) -> Callable[[Setting], object] | None:
    if name in PORTS:
        return port_of
    if name in ETCD_CLIENTS:
        return _web_urls
    if name in URLS and (name != "host" or kind == "dockerd"):
        return _urls
    if kind == "kube-proxy" and name in {"metricsBindAddress", "healthzBindAddress"}:
        return _address
    return _members if name == "initial-cluster" else None


def _address(item: Setting) -> None:
    """Check an address with or without a port: 0.0.0.0:10249, [::]:10249, ::, an empty one."""
    host, colon, port = item.value.rpartition(":")
    if item.value.startswith("[") and "]" not in item.value:
        raise broken(item.source.path, item.source.line, f"not an address: {item.source.text}")
    if colon and (":" not in host or host.endswith("]")):
        port_of(Setting(port, item.source))


def _urls(item: Setting) -> None:
    for part in item.value.split(","):
        if part.strip():
            url_of(Setting(part.strip(), item.source))


def _web_urls(item: Setting) -> None:
    _urls(item)
    for part in item.value.split(","):
        if part.strip() and urlsplit(part.strip()).scheme not in {"http", "https"}:
            what = f"{part.strip()} is not followed: who serves it, and to whom, is not known"
            raise broken(item.source.path, item.source.line, what)


def _members(item: Setting) -> None:
    for part in item.value.split(","):
        name, _, url = part.strip().partition("=")
        if name and url:
            url_of(Setting(url, item.source))


def _socket(item: Socket) -> Callable[[Setting], object] | None:
    if item.address.value.startswith("/"):
        return None
    return lambda address: port_of(Setting(address.value.rpartition(":")[2], address.source))
