"""Find what a lab would not start with, before a lab is made of an environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from string import Template

from labkit.cluster.certificates import Authority, Bundle, KeyPair, PlannedCertificate
from labkit.cluster.facts import Component, Environment, Node
from labkit.cluster.syntax.disk import is_file, read_bytes
from labkit.cluster.syntax.source import Setting, Source, Unknown, broken, decode
from labkit.cluster.syntax.urls import is_loopback, url_of
from labkit.cluster.syntax.yamldoc import Document, read_documents, read_one
from labkit.cluster.validation import refuse_malformed

__all__ = ["obstacles", "refuse_unstartable"]

#: Settings that name servers.
SERVERS = ("etcd-servers", "etcd-endpoints", "initial-cluster", "master")
USAGES = frozenset({"client", "server"})
#: RFC 5280, appendix A.1: ub-common-name.
LONGEST_NAME = 64
VARIABLES = {"NODE": "node", "NODE_IP": "10.0.0.1"}
#: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
NETWORK = "flannel-network.json"
#: The components that no lab starts without, by the role of their machines.
NEEDED = {"etcd": "etcd", "master": "kube-apiserver"}


def refuse_unstartable(env: Environment) -> None:
    """Refuse an environment with a value that a lab would not start with.

    Parameters
    ----------
    env : Environment

    Raises
    ------
    ConfigError
        It names the file and the line.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> refuse_unstartable(read_environment("hardened"))
    """
    nodes = {node.name: node for node in env.nodes}
    for component in env.components:
        refuse_malformed(component)
        _refuse_strange_servers(component, nodes)
    _refuse_plan(env, frozenset(nodes))
    for file in env.manifests:
        for document in read_documents(file.read_text(), file.source):
            _refuse_manifest(document)
    for binding in env.rbac.bindings:
        if binding.role_kind not in {"Role", "ClusterRole"}:
            raise _broken(binding.source, f"roleRef: no kind of role: {binding.role_kind!r}")
    for layer in env.layers:
        shown = f"{layer.name}/{NETWORK}"
        if is_file(layer / NETWORK, shown, layer):
            read_one(decode(read_bytes(layer / NETWORK, shown), shown), shown)
    for secret in env.secrets:
        if not all(map(NAME.fullmatch, (secret.namespace, secret.name))):
            raise broken("secrets", None, f"{secret.namespace}/{secret.name} cannot name a Secret")
        if not secret.keys or not all(map(KEY.fullmatch, secret.keys)):
            raise broken("secrets", None, f"{secret.namespace}/{secret.name}: no keys, or bad ones")


def _broken(source: Source, what: str, hint: str = "") -> Exception:
    return broken(source.path, source.line, what, hint)


def _refuse_strange_servers(component: Component, nodes: dict[str, Node]) -> None:
    """Refuse a server that is no machine of the topology: nothing else is in the lab's network."""
    urls: list[Setting] = []
    for name in SERVERS:
        for item in component.values(name):
            url = item.value.partition("=")[2] if name == "initial-cluster" else item.value
            if url and not item.source.default:
                urls.append(Setting(url, item.source))
    if component.kubeconfig:
        urls.append(component.kubeconfig.server)
    known = {name for node in nodes.values() for name in (node.name, node.address, *node.names)}
    hosts = nodes[component.node].files.get("/etc/hosts")
    named = set(hosts.read_text().split()) if hosts else set()
    for setting in urls:
        _, host, _ = url_of(setting)
        if host and host not in known | named and not is_loopback(host):
            what = f"{host} is no machine of the topology, and a lab reaches nothing else"
            raise _broken(setting.source, what, f"name one of: {', '.join(nodes)}")


def _refuse_plan(env: Environment, nodes: frozenset[str]) -> None:
    plan = env.pki
    entries: list[Authority | Bundle | PlannedCertificate | KeyPair] = []
    entries += [*plan.authorities, *plan.bundles, *plan.certificates, *plan.key_pairs]
    for item in entries:
        for name in ("certificate", "key", "public", "private"):
            _refuse_path(getattr(item, name, ""), item.source)
        for role in item.roles:
            if role not in env.roles:
                known = ", ".join(env.roles)
                raise _broken(item.source, f"no role {role!r} in the topology", f"one of: {known}")
        for node in (*getattr(item, "nodes", ()), *getattr(item, "key_nodes", ())):
            if node not in nodes:
                known = ", ".join(sorted(nodes))
                raise _broken(item.source, f"no node {node!r} in the topology", f"one of: {known}")
        common_name = getattr(item, "common_name", None)
        if common_name is not None:
            _refuse_words((common_name,), item.source)
            if not 0 < len(Template(common_name).substitute(VARIABLES)) <= LONGEST_NAME:
                what = f"common_name must have 1 to {LONGEST_NAME} characters"
                raise _broken(item.source, what)
    for certificate in plan.certificates:
        for usage in certificate.usages:
            if usage not in USAGES:
                raise _broken(certificate.source, f"no usage {usage!r}", "client or server")
        _refuse_words(certificate.hosts, certificate.source)
        for host in certificate.hosts:
            if not host.isascii() or not host:
                raise _broken(certificate.source, f"hosts: {host!r} is no name or address")


def _refuse_path(path: str, source: Source) -> None:
    pure = PurePosixPath(path)
    if path and (not pure.is_absolute() or ".." in pure.parts or not path.isprintable()):
        raise _broken(source, f"{path!r} is not a full path without '..'", "write /etc/...")


def _refuse_words(words: Iterable[str], source: Source) -> None:
    """Refuse words with variables that a lab does not know."""
    for word in words:
        try:
            Template(word).substitute(VARIABLES)
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${{{name}}}" for name in VARIABLES)
            raise _broken(source, f"{word!r} has an unknown variable", f"known: {known}") from error


def _refuse_manifest(document: Document) -> None:
    if not document.value:
        return
    document.mapping()
    for keys in (("apiVersion",), ("kind",), ("metadata", "name")):
        if not isinstance(document.get(*keys), str):
            raise document.broken(f"{'.'.join(keys)} must be given: one object a document", *keys)
    namespace = document.get("metadata", "namespace", default="")
    if not isinstance(namespace, str):
        raise document.broken("metadata.namespace must be a word", "metadata", "namespace")


def obstacles(env: Environment) -> tuple[Unknown, ...]:
    """Return what an environment lacks to become a lab; its model can be read without it.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    tuple of Unknown

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> obstacles(read_environment("insecure"))
    ()
    """
    return tuple(_obstacles(env))


def _obstacles(env: Environment) -> Iterator[Unknown]:
    path = f"{env.folder.name}/environment.yaml"
    why = "a lab does not start without it"
    for role, kind in NEEDED.items():
        on = {node.name for node in env.nodes if node.role == role}
        if not on:
            yield Unknown(path, None, f"no machine of the role {role} in the topology", why)
        elif not any(item.kind == kind and item.node in on for item in env.components):
            yield Unknown(path, None, f"no {kind} on a machine of the role {role}", why)
    if any(node.host == 0 for node in env.nodes):
        names = ", ".join(node.name for node in env.nodes if node.host == 0)
        yield Unknown(path, None, f"no host number in the topology: {names}", why)
    if not any((layer / NETWORK).is_file() for layer in env.layers):
        yield Unknown(path, None, f"no {NETWORK}", why)
    config = env.bootstrap_kubeconfig
    masters = [node for node in env.nodes if node.role == "master"]
    if masters and config not in masters[0].files:
        yield Unknown(path, None, f"bootstrap_kubeconfig: {config or 'absent'}", why)
    yield from _users(env)
    workers = any(node.role == "worker" for node in env.nodes)
    if not workers and any(item.get("kind") == "Pod" for item in env.objects):
        yield Unknown(path, None, "no machine of the role worker, but pods", why)


def _users(env: Environment) -> Iterator[Unknown]:
    """Yield the clients of etcd whose certificates name no user of it: etcd refuses them all."""
    if env.etcd_auth is None:
        return
    for it in env.components:
        certificate = it.given("etcd-certfile")
        for held in env.credentials:
            place = (held.node, held.certificate)
            if certificate is None or place != (it.node, certificate.value):
                continue
            if held.common_name not in env.etcd_users:
                what, source = f"no user {held.common_name} for {it.id}", env.etcd_auth_source
                yield Unknown(source.path, source.line, what, "etcd refuses what it asks")
