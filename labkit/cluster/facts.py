"""The facts of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cluster.admission_hooks import HOOK_KINDS, AdmissionHook, admission_hooks, is_hook
from labkit.cluster.kinds import is_foreign
from labkit.cluster.syntax.disk import read_bytes
from labkit.cluster.syntax.source import Setting, Source, Unknown, decode
from labkit.cluster.syntax.yamldoc import Document, read_documents
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.cluster.accounts import Group, Permission, UserAccount
    from labkit.cluster.apiserver_files import ApiserverFiles
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
    "CloudKey",
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

    Attributes
    ----------
    path : Path
        The file on this computer.
    layer : str
        The folder of environments that it comes from.
    source : str
        Its name for messages.
    changed : bytes or None
        Its content if an edit changed it.

    Examples
    --------
    >>> from labkit import read_environment
    >>> unit = "/etc/systemd/system/etcd.service"
    >>> read_environment("hardened").node("etcd1").files[unit].read_text().splitlines()[0]
    '[Unit]'
    """

    path: Path
    layer: str
    source: str
    changed: bytes | None = field(default=None, repr=False)

    def read_bytes(self) -> bytes:
        """Return the content of the file, with the edits.

        Returns
        -------
        bytes

        Raises
        ------
        ConfigError
            The file cannot be read.
        """
        return read_bytes(self.path, self.source) if self.changed is None else self.changed

    def read_text(self) -> str:
        """Return the content of the file as text, with the edits.

        Returns
        -------
        str

        Raises
        ------
        ConfigError
            The file cannot be read, or is not text.
        """
        return decode(self.read_bytes(), self.source)


@dataclass(frozen=True, slots=True)
class Node:
    """A machine.

    Attributes
    ----------
    name, role, zone : str
        ``zone`` is its trust zone.
    host : int
        The last part of its address in the lab; 0 if the topology names none.
    address : str
        Empty if it is not known.
    files : mapping of str to File
        By their paths on the machine.
    accounts : tuple of UserAccount
    groups : tuple of Group
    permissions : tuple of Permission
    names : tuple of str
        Its other names and addresses.
    image : str
        The image of the recipe that it is made of in a lab, where its topology says it.

    Examples
    --------
    >>> from labkit import read_environment
    >>> node = read_environment("hardened").node("worker1")
    >>> node.role, node.zone
    ('worker', 'worker node')
    """

    name: str
    role: str
    zone: str
    host: int
    address: str
    files: Mapping[str, File] = field(repr=False)
    accounts: tuple[UserAccount, ...] = field(default=(), repr=False)
    groups: tuple[Group, ...] = field(default=(), repr=False)
    permissions: tuple[Permission, ...] = field(default=(), repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)
    image: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening address of a .socket unit.

    Attributes
    ----------
    address : Setting
        A path, or a port with or without an address.
    mode, user, group : Setting
        Of the socket's file.

    Examples
    --------
    >>> from labkit import read_environment
    >>> [socket] = read_environment("insecure").component("dockerd@worker1").sockets
    >>> socket.address.value, socket.mode.value
    ('/run/docker.sock', '0666')
    """

    address: Setting
    mode: Setting
    user: Setting
    group: Setting


@dataclass(frozen=True, slots=True)
class Component:
    """A process with an identity on a node.

    Attributes
    ----------
    id, kind : str
        For example "etcd@etcd1" and "etcd".
    node, zone, user : str
        Its machine, the machine's trust zone, and its account.
    source : Source
        The command that starts it.
    settings : mapping of str to tuple of Setting
        The values in its flags and configuration files, in the order in which it reads them.
    defaults : mapping of str to str
        Its behaviour if no file sets a value.
    config : str
        Its configuration file, if it has one.
    sockets : tuple of Socket
        The sockets that systemd opens for it.
    kubeconfig : KubeConfig or None
    complete : bool
        False if one of its files was not available: then a default means nothing.
    version : tuple of int or None
        Major and minor version, where the image's tag says it.
    doubtful : frozenset of str
        The settings that a flag or a file may override which was not available.

    Examples
    --------
    >>> from labkit import read_environment
    >>> kubelet = read_environment("insecure").component("kubelet@worker1")
    >>> kubelet.kind, kubelet.setting("authentication.anonymous.enabled").value
    ('kubelet', 'true')
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
    version: tuple[int, int] | None = None
    doubtful: frozenset[str] = frozenset()

    @property
    def flags(self) -> dict[str, Setting]:
        """The written values by name; the last one counts."""
        return {name: found[-1] for name, found in self.settings.items()}

    def setting(self, name: str) -> Setting:
        """Return the value that counts: the last one written, or the default.

        Parameters
        ----------
        name : str
            A flag without its dashes, or a key with dots: "authentication.anonymous".

        Returns
        -------
        Setting
        """
        found = self.settings.get(name)
        return found[-1] if found else self.default(name)

    def given(self, name: str) -> Setting | None:
        """Return the last value written, or None.

        Parameters
        ----------
        name : str
            A flag without its dashes, or a key with dots: "authentication.anonymous".

        Returns
        -------
        Setting or None
        """
        found = self.settings.get(name)
        return found[-1] if found else None

    def unread(self, name: str) -> bool:
        """Say whether the value that counts may stand in something that was not available.

        Parameters
        ----------
        name : str
            A flag without its dashes, or a key with dots: "authentication.anonymous".

        Returns
        -------
        bool
        """
        return name in self.doubtful or (not self.complete and self.given(name) is None)

    def default(self, name: str) -> Setting:
        """Return the value that the component uses if no file sets one.

        Parameters
        ----------
        name : str
            A flag without its dashes, or a key with dots: "authentication.anonymous".

        Returns
        -------
        Setting
            Its value is "" if labkit knows no default.
        """
        shown = name if self.config or "." in name else f"--{name}"
        path = self.config or self.source.path
        source = Source(path, None, f"{shown} absent", default=True)
        return Setting(self.defaults.get(name, ""), source)

    def values(self, name: str) -> tuple[Setting, ...]:
        """Return all values of a list: from several flags, or separated by commas.

        Parameters
        ----------
        name : str
            A flag without its dashes, or a key with dots: "authentication.anonymous".

        Returns
        -------
        tuple of Setting
        """
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

    Attributes
    ----------
    name, node : str
    kind : str
        "certificate", "token", "password" or "exec".
    certificate, key : str
        Paths on the machine.
    common_name : str
    organizations : tuple of str
    signed_by : str
        The authority.
    usages : tuple of str
        "client", "server" or object identifiers.
    hosts : tuple of str
        Subject alternative names.
    kubeconfig : str
        The kubeconfig that contains it, if any.
    source : Source

    Examples
    --------
    >>> from labkit import read_environment
    >>> admin = read_environment("insecure").credential("admin", "master")
    >>> admin.organizations, admin.signed_by
    (('system:masters',), 'cluster-ca')
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

    Examples
    --------
    >>> from labkit import read_environment
    >>> read_environment("hardened").docker_clients[0].host.value
    'tcp://worker1:2376'
    """

    node: str
    path: str
    host: Setting
    verify: Setting | None
    folder: str


@dataclass(frozen=True, slots=True)
class CloudKey:
    """A file with a key for a cloud.

    Attributes
    ----------
    node : str
        The machine that it lies on.
    path : str
    user : str
        Whom it makes its holder, as the file says; empty if it does not.
    source : Source
        The line of the secret, without the secret.
    """

    node: str
    path: str
    user: str
    source: Source


@dataclass(frozen=True)
class Environment:
    """All facts of one cluster's configuration.

    Attributes
    ----------
    name, description : str
    folder : Path
    layers : tuple of Path
        The folders that it consists of; the last one wins.
    roles : mapping of str to str
        The machines' roles, each with its trust zone.
    nodes : tuple of Node
    components : tuple of Component
    credentials : tuple of Credential
    pki : Pki
        The plan of keys and certificates, or the authorities found.
    certificate_files : tuple of Certificate
    kubeconfigs : tuple of KubeConfig
        Those that no component uses.
    docker_clients : tuple of DockerClient
    apiserver_files : ApiserverFiles
        What the files say that apiservers' flags name.
    rbac : Rbac
    etcd_auth : EtcdAuth or None
        None if etcd has no users.
    etcd_auth_source : Source
    manifests : tuple of File
    secrets : tuple of SecretSpec
    bootstrap_kubeconfig : str
        The kubeconfig with which the lab creates the manifests' objects.
    unknowns : tuple of Unknown
        What labkit did not understand.
    edits : tuple of Edit
        The changes made to the files.
    complete : bool
        False if some files may not have been copied: an absent file then means nothing.
    cloud_keys : tuple of CloudKey
        The files that hold keys for a cloud.

    Examples
    --------
    >>> from labkit import read_environment
    >>> env = read_environment("hardened")
    >>> setting = env.component("etcd@etcd1").setting("client-cert-auth")
    >>> setting.value, setting.source.path
    ('true', 'hardened/etcd/etc/systemd/system/etcd.service')
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
    apiserver_files: ApiserverFiles
    rbac: Rbac
    etcd_auth: EtcdAuth | None
    etcd_auth_source: Source
    manifests: tuple[File, ...]
    secrets: tuple[SecretSpec, ...]
    bootstrap_kubeconfig: str
    unknowns: tuple[Unknown, ...]
    edits: tuple[Edit, ...] = ()
    complete: bool = True
    cloud_keys: tuple[CloudKey, ...] = ()

    @cached_property
    def _manifests_read(self) -> tuple[tuple[Document, ...], ConfigError | None]:
        found: list[Document] = []
        broken: ConfigError | None = None
        for file in self.manifests:
            try:
                documents = read_documents(file.read_text(), file.source)
                found += [
                    item
                    for document in documents
                    for item in document.objects()
                    if not is_foreign(item.get("apiVersion"), item.get("kind"))
                ]
            except ConfigError as error:
                broken = broken or error
        return tuple(found), broken

    @cached_property
    def namespaces(self) -> Mapping[str, Document]:
        """The namespaces that manifests describe, by name; of two with one name the first."""
        named = [it for it in self.objects if it.get("kind") == "Namespace"]
        return {str(it.get("metadata", "name")): it for it in reversed(named)}

    @cached_property
    def kubelet_versions(self) -> tuple[str, ...]:
        """The versions of kubelets, as the Node objects of the manifests report them."""
        nodes = (it for it in self.objects if it.get("kind") == "Node")
        found = (it.get("status", "nodeInfo", "kubeletVersion") for it in nodes)
        return tuple(text for text in found if isinstance(text, str))

    @cached_property
    def admission_hooks(self) -> tuple[AdmissionHook, ...]:
        """The webhooks and bound policies of the manifests that may refuse or change requests."""
        found = [
            (it.value, Source(it.path, it.line("metadata", "name"), _shown(it)))
            for it in self.objects
            if is_hook(it.get("kind"))
        ]
        return admission_hooks(found, HOOK_KINDS if self.complete else ())

    @property
    def objects(self) -> tuple[Document, ...]:
        """The objects of the manifests, also those in lists.

        A copied cluster's broken manifests are left out: see ``broken_manifest``.
        """
        found, broken = self._manifests_read
        if broken and self.complete:
            raise broken
        return found

    @property
    def broken_manifest(self) -> ConfigError | None:
        """Why a manifest could not be read: then an object that is not found may be in it."""
        return self._manifests_read[1]

    @property
    def abac(self) -> Mapping[str, tuple[AbacRule, ...]]:
        """The ABAC policies by apiserver."""
        return self.apiserver_files.abac

    @property
    def encryption(self) -> Mapping[str, Encryption]:
        """The configurations of encryption at rest by apiserver."""
        return self.apiserver_files.encryption

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
        """The planned key pairs."""
        return self.pki.key_pairs

    @property
    def etcd_roles(self) -> dict[str, tuple[EtcdPermission, ...]]:
        """Roles of etcd with their permissions; empty if etcd has no users."""
        return dict(self.etcd_auth.roles) if self.etcd_auth else {}

    @property
    def etcd_users(self) -> dict[str, tuple[str, ...]]:
        """Users of etcd with their roles; empty if etcd has none."""
        return dict(self.etcd_auth.users) if self.etcd_auth else {}

    def node(self, name: str) -> Node:
        """Return the machine with a name.

        Parameters
        ----------
        name : str

        Returns
        -------
        Node

        Raises
        ------
        KeyError
            There is no such machine.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def lacks(self, machines: Iterable[str]) -> str:
        """Say which machines of some the cluster does not have.

        Parameters
        ----------
        machines : iterable of str
            Names.

        Returns
        -------
        str
            Empty if it has all.

        Examples
        --------
        >>> from labkit.cluster import read_environment
        >>> read_environment("light-insecure").lacks(["worker1", "worker2"])
        'there is no worker2'
        """
        there = {node.name for node in self.nodes}
        missing = [name for name in machines if name not in there]
        return f"there is no {' and no '.join(missing)}" if missing else ""

    def component(self, name: str) -> Component:
        """Return the component with an id.

        Parameters
        ----------
        name : str
            The kind of the component and its machine: "etcd@etcd1".

        Returns
        -------
        Component

        Raises
        ------
        KeyError
            There is no such component.
        """
        for component in self.components:
            if component.id == name:
                return component
        raise KeyError(name)

    def credential(self, name: str, node: str) -> Credential | None:
        """Return the credential with a name on a machine, or None.

        Parameters
        ----------
        name : str
        node : str
            The name of the machine.

        Returns
        -------
        Credential or None
        """
        for credential in self.credentials:
            if (credential.name, credential.node) == (name, node):
                return credential
        return None


def _shown(document: Document) -> str:
    return f"{document.get('kind')} {document.get('metadata', 'name')}"
