"""Read the machines of an environment from its topology file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from labkit.cluster.syntax.source import Source, Unknown
from labkit.cluster.syntax.yamldoc import read_one

__all__ = ["Machine", "SecretSpec", "Topology", "read_topology", "whole_of", "without_machines"]

ZONE = "cluster network"
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
        The machines of the other topology that this one is without.
    """

    roles: tuple[tuple[str, str], ...]
    machines: tuple[Machine, ...]
    secrets: tuple[SecretSpec, ...]
    unknowns: tuple[Unknown, ...]
    left_out: tuple[Machine, ...] = ()


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
    roles = {}
    for role in document.mapping("roles"):
        if role in {"manifests", "controls", "images"} or "/" in role or role.startswith("."):
            raise document.broken(f"a role cannot be called {role!r}", "roles", role)
        document.mapping("roles", role)
        unknowns += document.unknown_keys(frozenset({"zone"}), "not a key of a role", "roles", role)
        roles[role] = document.text("roles", role, "zone", default=ZONE)
    machines: list[Machine] = []
    hosts: dict[int, str] = {}
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


def without_machines(text: str, path: str, whole: Topology) -> Topology:
    """Read a topology file that names the machines of another topology that it leaves out.

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
        The file is malformed, or the other topology has no such machine.

    Examples
    --------
    >>> whole = read_topology('''
    ... roles: {etcd: {zone: master node}}
    ... nodes: {etcd1: {role: etcd, host: 11}, etcd2: {role: etcd, host: 12}}
    ... ''', "topology.yaml")
    >>> light = without_machines("{extends: topology.yaml, without: [etcd2]}", "light.yaml", whole)
    >>> [it.name for it in light.machines], [it.name for it in light.left_out]
    (['etcd1'], ['etcd2'])
    """
    document = read_one(text, path)
    known = frozenset({"extends", "without"})
    unknowns = document.unknown_keys(known, "not part of a topology that extends another")
    names = document.words("without")
    machines = {machine.name: machine for machine in whole.machines}
    for name in names:
        if name not in machines:
            what = f"no machine {name!r} to leave out; known: {', '.join(machines)}"
            raise document.broken(what, "without")
    kept = tuple(it for it in whole.machines if it.name not in names)
    if not kept:
        raise document.broken("it leaves no machine", "without")
    return replace(
        whole,
        machines=kept,
        left_out=tuple(it for it in whole.machines if it.name in names),
        unknowns=(*whole.unknowns, *unknowns),
    )
