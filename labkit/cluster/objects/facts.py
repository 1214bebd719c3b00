"""A cluster's objects as its API shows them: who runs where, as whom, and who may do what.

Nothing of a secret but its name, its type and whose token it is. Pods that are equal in what
matters to an attacker are one group: of twenty thousand pods some hundreds remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.cluster.policies import Rbac
from labkit.cluster.syntax.source import Unknown

__all__ = [
    "Account",
    "ClusterNode",
    "Container",
    "Dump",
    "Endpoint",
    "HostPath",
    "Ingress",
    "Namespace",
    "NetworkPolicy",
    "PodGroup",
    "PodSpec",
    "SecretName",
    "Service",
]


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the node that a container sees; ``/var/run`` is written ``/run``."""

    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Container:
    """What a container has of its node; one that has nothing of it is not kept.

    ``root`` is False where the specification has it run as another user than root.
    """

    name: str
    privileged: bool = False
    host_process: bool = False
    root: bool = True
    capabilities: tuple[str, ...] = ()
    host_paths: tuple[HostPath, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What of a pod's specification matters to an attacker inside it.

    Attributes
    ----------
    host_pid, host_network : bool
    host_users : bool
        False where the pod has a user namespace of its own: its root is nobody on the node.
    token : bool
        A container has a token of the pod's service account that the apiserver takes.
    containers : tuple of Container
        Those that have something of the node.
    secrets : tuple of str
        The secrets that a container is given.
    """

    host_pid: bool = False
    host_network: bool = False
    host_users: bool = True
    token: bool = False
    containers: tuple[Container, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def near_host(self) -> bool:
        """Whether it matters on which node such a pod is."""
        return self.host_pid or bool(self.containers)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods of one owner that are equal for an attacker; those near the host are on one node.

    ``labels`` are those that all of them have. ``owner`` is what made them, where it is known: a
    deployment, a daemon set on all of its nodes.
    """

    namespace: str
    name: str
    account: str
    spec: PodSpec
    nodes: tuple[str, ...]
    pods: tuple[str, ...] = field(repr=False)
    labels: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    owner: str = ""

    @property
    def id(self) -> str:
        """The namespace and the group's name."""
        return f"{self.namespace}/{self.name}"

    @property
    def workload(self) -> str:
        """The namespace and the owner: the same on every node, and with every new pod."""
        return f"{self.namespace}/{self.owner or self.name}"


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node: whether the control plane is on it, and its kubelet's version."""

    name: str
    control_plane: bool
    version: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, with the Pod Security level that is enforced there; empty for none."""

    name: str
    enforce: str


@dataclass(frozen=True, slots=True)
class Account:
    """A service account; ``automount`` is None where it does not say."""

    namespace: str
    name: str
    automount: bool | None = None


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret without its value; ``account`` is the service account whose token it is."""

    namespace: str
    name: str
    type: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its type, the pods that it selects, its ports, its addresses outside."""

    namespace: str
    name: str
    type: str
    selector: tuple[tuple[str, str], ...]
    ports: tuple[int, ...]
    external_ips: tuple[str, ...] = ()

    @property
    def outside(self) -> bool:
        """Whether it is called from outside the cluster."""
        return self.type in {"NodePort", "LoadBalancer"} or bool(self.external_ips)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The pods behind a service."""

    namespace: str
    service: str
    pods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ingress:
    """A router's order: the services of its namespace that it passes calls on to."""

    namespace: str
    name: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A network policy: the pods that it selects, and the directions that it restricts.

    Attributes
    ----------
    selector : mapping
        A label selector, as the API has it.
    from_outside : bool
        One of its rules lets in who is no pod: anybody, or addresses.
    from_namespaces : bool
        One of its rules lets in pods of other namespaces.
    """

    namespace: str
    name: str
    selector: Mapping[str, Any] = field(hash=False)
    directions: tuple[str, ...]
    from_outside: bool
    from_namespaces: bool


@dataclass(frozen=True)
class Dump:
    """A cluster's objects.

    Attributes
    ----------
    name : str
    kinds : frozenset of str
        The kinds that were looked at, even where there is none of one.
    nodes, namespaces, pods, accounts, secrets : tuple
    services, endpoints, network_policies, ingresses : tuple
    rbac : Rbac
        The roles, aggregated ones with what is aggregated, and the bindings.
    unknowns : tuple of Unknown
        What could not be read, or is not in it.
    unread : tuple of Unknown
        The files of which something could not be read: what else they hold is not known.
    anonymous : bool or None
        What the flag ``--anonymous-auth`` of an apiserver's pod says; None where none is shown.

    Examples
    --------
    >>> Dump("empty")
    empty: 0 pods in 0 groups on 0 nodes, 0 roles, 0 bindings
    """

    name: str
    kinds: frozenset[str] = frozenset()
    nodes: tuple[ClusterNode, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[PodGroup, ...] = ()
    accounts: tuple[Account, ...] = ()
    secrets: tuple[SecretName, ...] = ()
    services: tuple[Service, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    network_policies: tuple[NetworkPolicy, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    rbac: Rbac = field(default_factory=Rbac)
    unknowns: tuple[Unknown, ...] = ()
    unread: tuple[Unknown, ...] = ()
    anonymous: bool | None = None

    @property
    def pod_count(self) -> int:
        """How many pods there are."""
        return sum(len(group.pods) for group in self.pods)

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.pod_count} pods in {len(self.pods)} groups on "
            f"{len(self.nodes)} nodes, {len(self.rbac.roles)} roles, "
            f"{len(self.rbac.bindings)} bindings"
        )
