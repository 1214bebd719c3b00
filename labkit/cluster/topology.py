"""Read the machines of an environment from its topology file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from labkit.cluster.syntax.source import Source, Unknown
from labkit.cluster.syntax.yamldoc import Document, read_one

__all__ = ["Machine", "SecretSpec", "Topology", "extended", "read_topology", "whole_of"]

ZONE = "cluster network"
#: Folders of an environment, or beside environments, that are no role's.
NO_ROLES = frozenset({"manifests", "controls", "images", "pki.d"})
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a topology.

    Attributes
    ----------
    name, role : str
    host : int
        The last part of its address in the lab; 0 if the topology names none.
    address : str
        Empty if the topology names none.
    source : Source
    """

    name: str
    role: str
    host: int
    address: str
    source: Source


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """A secret of a workload; the lab makes its values.

    Attributes
    ----------
    namespace, name : str
    keys : tuple of str
    """

    namespace: str
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """Roles, machines and secrets.

    Attributes
    ----------
    roles : tuple of (str, str)
        Each with its trust zone, in the order of start.
    machines : tuple of Machine
    secrets : tuple of SecretSpec
    unknowns : tuple of Unknown
    left_out : tuple of Machine
        The machines of the other topologies that this one is without.
    images : mapping of str to str
        By role: the image of the recipe that its machines are made of, where the topology says it.
    """

    roles: tuple[tuple[str, str], ...]
    machines: tuple[Machine, ...]
    secrets: tuple[SecretSpec, ...]
    unknowns: tuple[Unknown, ...]
    left_out: tuple[Machine, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)


def read_topology(text: str, path: str) -> Topology:
    """Read a topology file.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    Topology

    Raises
    ------
    ConfigError
        The file is malformed, a role is not defined, or two machines share a host number.

    Examples
    --------
    >>> topology = read_topology('''
    ... roles: {etcd: {zone: master node}}
    ... nodes: {etcd1: {role: etcd, host: 11}}
    ... ''', "topology.yaml")
    >>> topology.machines[0].role
    'etcd'
    """
    document = read_one(text, path)
    top = frozenset({"roles", "nodes", "secrets"})
    unknowns = list(document.unknown_keys(top, "not part of a topology"))
    roles = _roles(document, unknowns)
    machines = _machines(document, roles, {}, unknowns)
    if not machines:
        raise document.broken("no nodes", "nodes")
    secrets = []
    for index, _ in enumerate(document.sequence("secrets")):
        here = ("secrets", index)
        document.mapping(*here)
        secrets.append(
            SecretSpec(
                document.text(*here, "namespace"),
                document.text(*here, "name"),
                document.words(*here, "keys"),
            )
        )
    return Topology(tuple(roles.items()), tuple(machines), tuple(secrets), tuple(unknowns))


def _roles(document: Document, unknowns: list[Unknown]) -> dict[str, str]:
    """Return the roles of a topology file, with their trust zones."""
    roles = {}
    for role in document.mapping("roles"):
        if role in NO_ROLES or "/" in role or role.startswith("."):
            raise document.broken(f"a role cannot be called {role!r}", "roles", role)
        document.mapping("roles", role)
        unknowns += document.unknown_keys(frozenset({"zone"}), "not a key of a role", "roles", role)
        roles[role] = document.text("roles", role, "zone", default=ZONE)
    return roles


def _machines(
    document: Document, roles: Mapping[str, str], hosts: dict[int, str], unknowns: list[Unknown]
) -> list[Machine]:
    """Return the machines of a topology file; `hosts` has those of the file that it extends."""
    machines: list[Machine] = []
    for name in document.mapping("nodes"):
        at = ("nodes", name)
        entry = document.mapping(*at)
        unknowns += document.unknown_keys(
            frozenset({"role", "host", "address"}), "not a key of a node", *at
        )
        if not NAME.match(name):
            raise document.broken(f"{name!r} is not a name of a machine (a-z, 0-9, -)", *at)
        role = document.text(*at, "role")
        if role not in roles:
            raise document.broken(
                f"unknown role {role!r} of node {name}; known: {', '.join(roles)}", *at, "role"
            )
        host = entry.get("host", 0)
        if not isinstance(host, int) or isinstance(host, bool) or not 0 <= host <= 254:
            raise document.broken(f"host of {name} must be 1 to 254, not {host!r}", *at, "host")
        if host and host in hosts:
            raise document.broken(f"{name} and {hosts[host]} both have host {host}", *at, "host")
        hosts[host] = name
        address = document.text(*at, "address", default="")
        machines.append(Machine(name, role, host, address, document.source(*at)))
    return machines


def whole_of(text: str, path: str) -> str:
    """Return the name of the topology file of which a topology file is a part.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    str
        As it stands after ``extends``; empty if the file is no part of another.

    Raises
    ------
    ConfigError
        The file is malformed.

    Examples
    --------
    >>> whole_of("{extends: topology.yaml, without: [etcd3]}", "light.yaml")
    'topology.yaml'
    """
    return read_one(text, path).text("extends", default="")


def extended(text: str, path: str, whole: Topology) -> Topology:
    """Read a topology file that extends another: it leaves machines out, or adds some.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.
    whole : Topology
        The other topology.

    Returns
    -------
    Topology

    Raises
    ------
    ConfigError
        The file is malformed, the other topology has no machine that it leaves out, or has one that
        it adds.

    Examples
    --------
    >>> whole = read_topology('''
    ... roles: {etcd: {zone: master node}}
    ... nodes: {etcd1: {role: etcd, host: 11}, etcd2: {role: etcd, host: 12}}
    ... ''', "topology.yaml")
    >>> light = extended("{extends: topology.yaml, without: [etcd2]}", "light.yaml", whole)
    >>> [it.name for it in light.machines], [it.name for it in light.left_out]
    (['etcd1'], ['etcd2'])
    >>> more = extended("nodes: {etcd3: {role: etcd, host: 13}}", "more.yaml", whole)
    >>> [it.name for it in more.machines]
    ['etcd1', 'etcd2', 'etcd3']
    """
    document = read_one(text, path)
    known = frozenset({"extends", "without", "roles", "nodes", "images"})
    unknowns = list(document.unknown_keys(known, "not part of a topology that extends another"))
    names = document.words("without")
    machines = {machine.name: machine for machine in whole.machines}
    for name in names:
        if name not in machines:
            what = f"no machine {name!r} to leave out; known: {', '.join(machines)}"
            raise document.broken(what, "without")
    kept = tuple(it for it in whole.machines if it.name not in names)
    roles = dict(whole.roles)
    for role, zone in (_roles(document, unknowns) if document.get("roles") else {}).items():
        if role in roles:
            raise document.broken(f"{role} is a role of the other topology", "roles", role)
        roles[role] = zone
    added: list[Machine] = []
    if document.get("nodes"):
        hosts = {it.host: it.name for it in whole.machines}
        added = _machines(document, roles, hosts, unknowns)
    for machine in added:
        if machine.name in machines or machine.name in {it.name for it in whole.left_out}:
            what = f"{machine.name} is a machine of the other topology"
            raise document.broken(what, "nodes", machine.name)
    images = {role: document.text("images", role) for role in document.mapping("images")}
    for role in images:
        if role not in roles:
            raise document.broken(f"{role} is no role; known: {', '.join(roles)}", "images", role)
    if not kept and not added:
        raise document.broken("it leaves no machine", "without")
    return replace(
        whole,
        roles=tuple(roles.items()),
        machines=(*kept, *added),
        left_out=(*whole.left_out, *(it for it in whole.machines if it.name in names)),
        images={**whole.images, **images},
        unknowns=(*whole.unknowns, *unknowns),
    )
