"""Find the names and addresses of the machines of a user's cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from labkit.cluster.certificates import Certificate
from labkit.cluster.facts import Component, Node
from labkit.cluster.syntax.source import Unknown, decode, trying
from labkit.cluster.syntax.urls import is_loopback

__all__ = ["with_names"]

#: Flags that give a machine's own address, or URLs with it.
ADDRESS_FLAGS = {
    "kube-apiserver": ("advertise-address", "bind-address", "external-hostname"),
    "kubelet": ("node-ip", "hostname-override", "address"),
    "etcd": (
        "advertise-client-urls",
        "initial-advertise-peer-urls",
        "listen-client-urls",
        "listen-peer-urls",
    ),
}
#: Flags that name the serving certificate of a machine.
SERVING_CERTIFICATE_FLAGS = {
    "kube-apiserver": "tls-cert-file",
    "etcd": "cert-file",
    "kubelet": "tlsCertFile",
}
NOT_A_NAME = frozenset({"", "0.0.0.0", "::", "localhost"})
#: Pods of every cluster use this name for the apiserver.
SERVICE = "kubernetes"


def with_names(
    nodes: Iterable[Node],
    components: Iterable[Component],
    certificates: Mapping[tuple[str, str], tuple[Certificate, ...]],
    unknowns: list[Unknown],
) -> tuple[Node, ...]:
    """Return the machines with their names, and the first address of each.

    A name in the certificates of several machines belongs to a load balancer: the first machine
    gets it, and an unknown reports that.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
    certificates : mapping of (str, str) to tuple of Certificate
        By machine and path.
    unknowns : list of Unknown

    Returns
    -------
    tuple of Node
    """
    names = {node.name: dict.fromkeys(_own_addresses(node, components)) for node in nodes}
    hosts = list(_hosts(nodes, unknowns))
    for component in components:
        if component.kind == "etcd":
            hosts += _members(component)
    for node in nodes:
        mine = names[node.name]
        for together in hosts:
            if {node.name, *mine} & set(together):
                mine.update(dict.fromkeys(together))
    taken = {name: node for node, mine in names.items() for name in mine}
    for component in components:
        for read in certificates.get((component.node, _serving_certificate(component)), ())[:1]:
            for host in read.hosts:
                if taken.setdefault(host, component.node) == component.node and _useful(host):
                    names[component.node][host] = None
                elif _useful(host):
                    why = f"{component.node} has it too; labkit takes it for {taken[host]}"
                    unknowns.append(Unknown(read.path, None, host, why))
    result = []
    for node in nodes:
        useful = tuple(name for name in names[node.name] if _useful(name))
        address = next((name for name in useful if _is_address(name)), "")
        result.append(replace(node, address=address, names=useful))
    return tuple(result)


def _useful(name: str) -> bool:
    kubernetes = name == SERVICE or name.startswith(f"{SERVICE}.")
    return name not in NOT_A_NAME and not is_loopback(name) and not kubernetes


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _host(text: str) -> str:
    if "://" not in text:
        return text
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""


def _own_addresses(node: Node, components: Iterable[Component]) -> Iterator[str]:
    for component in components:
        if component.node == node.name:
            for flag in ADDRESS_FLAGS.get(component.kind, ()):
                if component.given(flag):
                    yield from (_host(item.value) for item in component.values(flag))


def _members(etcd: Component) -> Iterator[list[str]]:
    for item in etcd.values("initial-cluster"):
        name, _, url = item.value.partition("=")
        if host := _host(url):
            yield [name, host]


def _serving_certificate(component: Component) -> str:
    setting = component.given(SERVING_CERTIFICATE_FLAGS.get(component.kind, ""))
    return setting.value if setting else ""


def _hosts(nodes: Iterable[Node], unknowns: list[Unknown]) -> Iterator[list[str]]:
    """Yield the names that a line of some machine's /etc/hosts has."""
    for node in nodes:
        if file := node.files.get("/etc/hosts"):
            with trying(unknowns):
                for line in decode(file.read_bytes(), file.source).splitlines():
                    words = line.partition("#")[0].split()
                    if len(words) > 1 and not is_loopback(words[0]):
                        yield [word for word in words if _useful(word)]
