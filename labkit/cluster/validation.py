"""Find values with which a component does not start: ports, URLs, booleans, modes and versions.

An environment with one is refused. In other people's files it becomes an :class:`Unknown`, and
what its component does by default is then no fact either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from urllib.parse import urlsplit

from labkit.cluster.defaults import DEFAULTS
from labkit.cluster.facts import Component, Socket
from labkit.cluster.known_flags import known_flags
from labkit.cluster.syntax.source import Setting, Unknown, bool_of, broken, unknown_of
from labkit.cluster.syntax.urls import port_of, url_of
from labkit.errors import ConfigError

__all__ = ["drop_malformed", "refuse_malformed"]

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
TLS = frozenset({"VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"})
#: The values of settings that take one of a few: component, setting.
CHOICES: dict[tuple[str, str], frozenset[str]] = {
    # staging/src/k8s.io/component-base/cli/flag/ciphersuites_flag.go
    ("kube-apiserver", "tls-min-version"): TLS,
    ("kube-controller-manager", "tls-min-version"): TLS,
    ("kube-scheduler", "tls-min-version"): TLS,
    ("kubelet", "tlsMinVersion"): TLS,
    # server/embed/config.go
    ("etcd", "tls-min-version"): frozenset({"TLS1.2", "TLS1.3"}),
    # pkg/kubeapiserver/authorizer/modes/modes.go
    ("kube-apiserver", "authorization-mode"): frozenset(
        {"AlwaysAllow", "AlwaysDeny", "ABAC", "RBAC", "Node", "Webhook"}
    ),
    # pkg/kubelet/apis/config/types.go
    ("kubelet", "authorization.mode"): frozenset({"AlwaysAllow", "Webhook"}),
}
CONTAINERD_PORTS = frozenset({"grpc.tcp_address", "debug.address", "metrics.address"})
#: Addresses with a port, of components that collect logs and metrics.
ADDRESSES = frozenset(
    [
        ("prometheus", "web.listen-address"),
        ("systemd-journal-remote", "listen-http"),
        ("systemd-journal-remote", "listen-https"),
    ]
)
#: Settings that hold several values, separated by commas.
SEVERAL = frozenset({"authorization-mode"})


def refuse_malformed(component: Component) -> None:
    """Refuse a component with which a lab would not start.

    Parameters
    ----------
    component : Component

    Raises
    ------
    ConfigError
        A port, URL, boolean, mode or version is malformed.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> refuse_malformed(read_environment("hardened").component("kubelet@worker1"))
    """
    for name, many in component.settings.items():
        for item in many:
            if check := _check(component.kind, name):
                check(item)
    if component.kubeconfig:
        url_of(component.kubeconfig.server)
    for socket in component.sockets:
        if check := _socket(socket):
            check(socket.address)


def drop_malformed(component: Component, unknowns: list[Unknown]) -> Component:
    """Return a component without malformed values; it is incomplete if a default replaces one.

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
    settings, complete = {}, component.complete
    for name, many in component.settings.items():
        check = _check(component.kind, name)
        good = tuple(item for item in many if _passes(check, item, unknowns))
        if good:
            settings[name] = good
        if len(good) < len(many) and name in component.defaults:
            complete = False
    config = component.kubeconfig
    if config and not _passes(url_of, config.server, unknowns):
        config = None
    sockets = tuple(
        item for item in component.sockets if _passes(_socket(item), item.address, unknowns)
    )
    return replace(
        component, settings=settings, kubeconfig=config, sockets=sockets, complete=complete
    )


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
    if name == "initial-cluster":
        return _members
    if (kind, name) in CHOICES:
        return partial(_choice, CHOICES[kind, name], name in SEVERAL)
    if kind == "kube-proxy" and name in {"metricsBindAddress", "healthzBindAddress"}:
        return _address
    if kind == "containerd" and name in CONTAINERD_PORTS:
        return _listening
    if (kind, name) in ADDRESSES:
        return _listening
    if (kind, name) == ("systemd-journal-upload", "url"):
        return _upload
    flag = known_flags(kind).get(name)
    return _boolean if (flag and flag.type == "bool") or name in _switches(kind) else None


@cache
def _switches(kind: str) -> frozenset[str]:
    """Return the settings whose default is a boolean: keys of files are not in a table."""
    found = DEFAULTS.get(kind, {}).items()
    return frozenset(name for name, value in found if value in {"true", "false"})


def _boolean(item: Setting) -> None:
    if bool_of(item.value) is None:
        raise _none(item, "true or false")


def _choice(known: frozenset[str], several: bool, item: Setting) -> None:
    for part in item.value.split(",") if several else [item.value]:
        if part.strip() not in known and (several or item.value):
            raise _none(item, ", ".join(sorted(known)))


def _none(item: Setting, known: str) -> ConfigError:
    what = f"{item.source.text}: {item.value!r} is not one of {known}"
    return broken(item.source.path, item.source.line, what, f"write one of: {known}")


def _address(item: Setting) -> None:
    """Check an address with or without a port: 0.0.0.0:10249, [::]:10249, ::, an empty one."""
    host, colon, port = item.value.rpartition(":")
    if item.value.startswith("[") and "]" not in item.value:
        raise broken(item.source.path, item.source.line, f"not an address: {item.source.text}")
    if colon and (":" not in host or host.endswith("]")):
        port_of(Setting(port, item.source))


def _listening(item: Setting) -> None:
    """Check an address with a port, the path or the number of a socket, or nothing."""
    if item.value and not item.value.startswith(("/", "unix:", "-")):
        port_of(Setting(item.value.rpartition(":")[2], item.source))


def _upload(item: Setting) -> None:
    if item.value:
        url_of(Setting(f"https://{item.value.rpartition('://')[2]}", item.source))


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
