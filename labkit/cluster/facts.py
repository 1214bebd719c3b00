"""The facts that an environment consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting, Source, Unknown, broken, decode

if TYPE_CHECKING:
    from labkit.cluster.accounts import Account, Group, Permission
    from labkit.cluster.certificates import (
        Authority,
        Certificate,
        KeyPair,
        Pki,
        PlannedCertificate,
    )
    from labkit.cluster.edits import Edit
    from labkit.cluster.kubeconfig import KubeConfig
    from labkit.cluster.policies import AbacRule, Encryption, EtcdAuth, EtcdPermission, Rbac
    from labkit.cluster.topology import SecretSpec

__all__ = [
    "Component",
    "Credential",
    "DockerClient",
    "Environment",
    "File",
    "Node",
    "Socket",
]


@dataclass(frozen=True, slots=True)
class File:
    """One file of an environment.

    ``path`` is where it is on this machine, ``layer`` the folder of environments that it
    comes from, ``source`` its name for messages. ``changed`` is its content where an edit
    changed it.
    """

    path: Path
    layer: str
    source: str
    changed: bytes | None = field(default=None, repr=False)

    def read_bytes(self) -> bytes:
        """Return the content."""
        if self.changed is not None:
            return self.changed
        try:
            return self.path.read_bytes()
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise broken(self.source, None, why, f"ls -l {self.path}") from error

    def read_text(self) -> str:
        """Return the content as text."""
        return decode(self.read_bytes(), self.source)


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: its role, its trust zone and the files at their paths on it.

    ``names`` are the other names and addresses under which it is called.
    """

    name: str
    role: str
    zone: str
    host: int
    address: str
    files: Mapping[str, File] = field(repr=False)
    accounts: tuple[Account, ...] = field(default=(), repr=False)
    groups: tuple[Group, ...] = field(default=(), repr=False)
    permissions: tuple[Permission, ...] = field(default=(), repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening address of a .socket unit: a path, or a port of a stream socket."""

    address: Setting
    mode: Setting
    user: Setting
    group: Setting


@dataclass(frozen=True, slots=True)
class Component:
    """A process with an identity on a node.

    ``settings`` holds all that its flags and configuration files say, in the order in which
    it reads them; ``defaults`` what it does where they are silent. ``complete`` is False where
    a file that it reads was not there: then a default says nothing.
    """

    id: str
    kind: str
    node: str
    zone: str
    user: str
    source: Source
    settings: Mapping[str, tuple[Setting, ...]] = field(repr=False)
    defaults: Mapping[str, str] = field(repr=False)
    config: str = field(default="", repr=False)
    sockets: tuple[Socket, ...] = field(default=(), repr=False)
    kubeconfig: KubeConfig | None = field(default=None, repr=False)
    complete: bool = True

    @property
    def flags(self) -> dict[str, Setting]:
        """What is written, by name: of several values the last."""
        return {name: found[-1] for name, found in self.settings.items()}

    def setting(self, name: str) -> Setting:
        """Return the value that counts: the last one written, or the default."""
        found = self.settings.get(name)
        return found[-1] if found else self.default(name)

    def given(self, name: str) -> Setting | None:
        """Return the last value written, or None."""
        found = self.settings.get(name)
        return found[-1] if found else None

    def default(self, name: str) -> Setting:
        """Return what the component does where nothing is written."""
        shown = name if self.config or "." in name else f"--{name}"
        path = self.config or self.source.path
        source = Source(path, None, f"{shown} absent", default=True)
        return Setting(self.defaults.get(name, ""), source)

    def values(self, name: str) -> tuple[Setting, ...]:
        """Return all values of a list: several flags, or one with commas."""
        found = self.settings.get(name) or (self.default(name),)
        return tuple(
            Setting(part.strip(), setting.source)
            for setting in found
            for part in setting.value.split(",")
            if part.strip()
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """Something that proves an identity, on one machine.

    ``kind`` is "certificate", "token", "password" or "exec"; ``certificate`` and ``key`` are
    paths on the machine, ``kubeconfig`` the file that holds an inline one.
    """

    name: str
    node: str
    kind: str
    certificate: str
    key: str
    common_name: str
    organizations: tuple[str, ...]
    signed_by: str
    usages: tuple[str, ...]
    hosts: tuple[str, ...]
    kubeconfig: str
    source: Source


@dataclass(frozen=True, slots=True)
class DockerClient:
    """An environment file of docker's client: the engine that it names, and how it calls it.

    Attributes
    ----------
    node : str
        The machine that has the file.
    path : str
        The file on that machine.
    host : Setting
        ``DOCKER_HOST``, the engine's URL.
    verify : Setting or None
        ``DOCKER_TLS_VERIFY``; None for a client that speaks plaintext.
    folder : str
        The folder of ``ca.pem``, ``cert.pem`` and ``key.pem``.
    """

    node: str
    path: str
    host: Setting
    verify: Setting | None
    folder: str


@dataclass(frozen=True, slots=True)
class Environment:
    """All facts of one cluster's configuration.

    ``complete`` is False where some of it may not have been copied: what is not there may be.
    """

    name: str
    description: str
    folder: Path
    layers: tuple[Path, ...]
    roles: Mapping[str, str]
    nodes: tuple[Node, ...]
    components: tuple[Component, ...]
    credentials: tuple[Credential, ...]
    pki: Pki
    certificate_files: tuple[Certificate, ...]
    kubeconfigs: tuple[KubeConfig, ...]
    docker_clients: tuple[DockerClient, ...]
    abac: Mapping[str, tuple[AbacRule, ...]]
    encryption: Mapping[str, Encryption]
    rbac: Rbac
    etcd_auth: EtcdAuth | None
    etcd_auth_source: Source
    manifests: tuple[File, ...]
    secrets: tuple[SecretSpec, ...]
    bootstrap_kubeconfig: str
    unknowns: tuple[Unknown, ...]
    edits: tuple[Edit, ...] = ()
    complete: bool = True

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """The planned authorities."""
        return self.pki.authorities

    @property
    def certificates(self) -> tuple[PlannedCertificate, ...]:
        """The planned certificates; those found as files are ``certificate_files``."""
        return self.pki.certificates

    @property
    def key_pairs(self) -> tuple[KeyPair, ...]:
        """The planned pairs of keys."""
        return self.pki.key_pairs

    @property
    def etcd_roles(self) -> dict[str, tuple[EtcdPermission, ...]]:
        """Return etcd's roles and what they may do; empty where etcd has no users."""
        return dict(self.etcd_auth.roles) if self.etcd_auth else {}

    @property
    def etcd_users(self) -> dict[str, tuple[str, ...]]:
        """Return etcd's users and their roles; empty where etcd has none."""
        return dict(self.etcd_auth.users) if self.etcd_auth else {}

    def node(self, name: str) -> Node:
        """Return the machine of a name, or raise KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def component(self, name: str) -> Component:
        """Return the component of an id ("etcd@etcd1"), or raise KeyError."""
        for component in self.components:
            if component.id == name:
                return component
        raise KeyError(name)

    def credential(self, name: str, node: str) -> Credential | None:
        """Return a machine's credential by its name, or None."""
        for credential in self.credentials:
            if (credential.name, credential.node) == (name, node):
                return credential
        return None
