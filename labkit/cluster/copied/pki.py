"""Find the certificate authorities of a user's cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import overload

from labkit.cluster.certificates import (
    Authority,
    Certificate,
    KeyPair,
    Pki,
    read_certificates,
)
from labkit.cluster.facts import Component, Node
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.syntax.source import Source, Unknown, trying

__all__ = ["pki_of", "with_readable_certificate"]

KEYS = (".key", "-key.pem")
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
Files = Mapping[tuple[str, str], tuple[Certificate, ...]]


def pki_of(
    nodes: Iterable[Node],
    certificates: Files,
    components: Iterable[Component],
    unknowns: list[Unknown],
) -> tuple[Pki, list[tuple[str, bytes]]]:
    """Return the authorities whose certificates are among the files.

    An authority's key is the key file with the same name; labkit does not read it, so it may be
    empty.

    Parameters
    ----------
    nodes : iterable of Node
    certificates : mapping of (str, str) to tuple of Certificate
        By machine and path.
    components : iterable of Component
    unknowns : list of Unknown
        The function adds the authorities without a key.

    Returns
    -------
    pki : Pki
    authorities : list of (str, bytes)
        Each name with its certificate.
    """
    data: dict[str, bytes] = {}
    made: dict[tuple[str, str], Authority] = {}
    files = {node.name: node.files for node in nodes}
    for (node, path), read in certificates.items():
        file = files[node][path]
        blocks: list[bytes] = []
        with trying(unknowns):
            blocks = BLOCK.findall(file.read_bytes())
        found = [(it, pem) for it, pem in zip(read, blocks, strict=False) if it.authority]
        for number, (authority, content) in enumerate(found):
            name = authority.subject or path
            if data.setdefault(name, content) != content:
                name = f"{name} ({path})"
                data.setdefault(name, content)
            # of a file with several certificates, the first is that of the key beside it
            key = "" if number else _key_of(files[node], path)
            source = Source(file.source, None, authority.subject)
            holders = (node,) if key else ()
            known = made.get((name, path))
            if known:
                holders = tuple(dict.fromkeys((*known.key_nodes, *holders)))
                key = key or known.key
            made[name, path] = Authority(
                name, authority.common_name, path, key, (), holders, source
            )
    with_key = {item.name for item in made.values() if item.key_nodes}
    without = {item.name: item.source for item in made.values() if item.name not in with_key}
    for name, source in without.items():
        why = "its key is not among the files: its holder is not known"
        unknowns.append(Unknown(source.path, None, name, why))
    pki = Pki(authorities=tuple(made.values()), key_pairs=tuple(_pairs(components)))
    return pki, list(data.items())


def _key_of(files: Mapping[str, object], path: str) -> str:
    stem = path.rpartition(".")[0]
    return next((stem + end for end in KEYS if stem + end in files), "")


def _pairs(components: Iterable[Component]) -> Iterable[KeyPair]:
    """Yield the key pair that signs service account tokens, once for each path."""
    public = {
        item.node: item.setting("service-account-key-file").value
        for item in components
        if item.kind == "kube-apiserver"
    }
    seen = set()
    for item in components:
        given = item.given("service-account-private-key-file")
        if item.kind == "kube-controller-manager" and given and given.value not in seen:
            seen.add(given.value)
            name = "service accounts"
            yield KeyPair(name, (), public.get(item.node, ""), given.value, given.source)


@overload
def with_readable_certificate(item: Component, unknowns: list[Unknown]) -> Component: ...
@overload
def with_readable_certificate(item: KubeConfig, unknowns: list[Unknown]) -> KubeConfig: ...


def with_readable_certificate(
    item: Component | KubeConfig, unknowns: list[Unknown]
) -> Component | KubeConfig:
    """Return the item with any unparsable inline certificate removed.

    Parameters
    ----------
    item : Component or KubeConfig
    unknowns : list of Unknown
        The function adds each removed certificate.

    Returns
    -------
    Component or KubeConfig
    """
    if isinstance(item, Component):
        if item.kubeconfig is None:
            return item
        return replace(item, kubeconfig=with_readable_certificate(item.kubeconfig, unknowns))
    if item.certificate_data:
        with trying(unknowns):
            read_certificates(item.certificate_data, item.user_source.source.path)
            return item
        return replace(item, certificate_data=b"")
    return item
