"""A cluster's objects, as its API shows them.

Of a secret only the name, the type and the service account remain. Pods with the same value for an
attacker form one group: twenty thousand pods become some hundred groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.cluster.admission_hooks import AdmissionHook
from labkit.cluster.objects.apiservers import Apiserver, any_of
from labkit.cluster.objects.open_ports import OpenPort
from labkit.cluster.policies import Rbac
from labkit.cluster.syntax.source import Unknown

__all__ = [
    "CONTROLLERS",
    "UNREAD",
    "Account",
    "Admission",
    "ApiExtension",
    "ClusterNode",
    "Container",
    "CustomWorkload",
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
    "StoredSecret",
]


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the node that a container mounts.

    Attributes
    ----------
    path : str
        ``/var/run`` is written as ``/run``; empty if it is not known.
    read_only : bool
    unknown : str
        What has to be found out about it, for a path that may give root; empty for nothing.
    by : str
        The volume or the claim that it is behind; empty for one of the pod's specification.
    """

    path: str
    read_only: bool
    unknown: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container with access to its node.

    Attributes
    ----------
    name : str
    privileged, host_process : bool
    root : bool
        False if the specification makes it run as another user.
    capabilities : tuple of str
        Those added, without ``CAP_``.
    host_paths : tuple of HostPath
    groups : tuple of int
        The groups that the specification gives to a container that is not root; group 0 if it
        names no main group, and the image does not either.
    no_new_privileges : bool
        No program gives an ordinary user the capabilities that were added.

    References
    ----------
    https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
    """

    name: str
    privileged: bool = False
    host_process: bool = False
    root: bool = True
    capabilities: tuple[str, ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    groups: tuple[int, ...] = ()
    no_new_privileges: bool = False


@dataclass(frozen=True, slots=True)
class PodSpec:
    """The part of a pod's specification that matters to an attacker inside it.

    Attributes
    ----------
    host_pid, host_network : bool
    host_users : bool or None
        False if the pod has its own user namespace: its root is not root on the node. None if it
        asks for one, and the apiserver or a kubelet may ignore that.
    token : bool
        A container has a token of the pod's service account for the apiserver.
    audiences : tuple of str
        For whom the other tokens of its service account are.
    containers : tuple of Container
        Those with access to the node.
    secrets : tuple of str
        The secrets that a container can read.
    configs : tuple of str
        The ConfigMaps that a container can read.
    holds : tuple of StoredSecret
        The credentials that stand in its environment, its commands and their arguments: who reads
        the pod reads them.
    host_ports : tuple of int
        The ports of its node that lead to a container.
    listens : bool or None
        A container may listen to the traffic of its node, and answer in it: it is in the network
        of the node, and has NET_RAW. None if the default of the container runtime decides.
    """

    host_pid: bool = False
    host_network: bool = False
    host_users: bool | None = True
    token: bool = False
    audiences: tuple[str, ...] = ()
    containers: tuple[Container, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    holds: tuple[StoredSecret, ...] = ()
    host_ports: tuple[int, ...] = ()
    listens: bool | None = False

    @property
    def near_host(self) -> bool:
        """Whether the node of such a pod matters."""
        return self.host_pid or bool(self.containers)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods of one owner with the same value for an attacker.

    Attributes
    ----------
    namespace, name : str
    account : str
        The service account.
    spec : PodSpec
    nodes : tuple of str
        One node for pods with access to it.
    pods : tuple of str
        Their names.
    labels : tuple of (str, str)
        Those that all of them have.
    varied : frozenset of str
        The keys of labels in which they differ.
    owner : str
        The deployment, daemon set or other object that made them, if known.
    kind : str
        The owner's kind; empty for pods that nothing made.
    """

    namespace: str
    name: str
    account: str
    spec: PodSpec
    nodes: tuple[str, ...]
    pods: tuple[str, ...] = field(repr=False)
    labels: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    owner: str = ""
    kind: str = ""
    varied: frozenset[str] = field(default=frozenset(), repr=False)

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
    """A node.

    Attributes
    ----------
    name : str
    control_plane : bool
        Whether it runs the control plane.
    version : str
        Its kubelet's version.
    cloud : str
        The cloud whose machine it is, if it serves metadata to its machines: "aws" ...
    hides_metadata : bool
        Pods get the metadata of their own account there, and not that of the machine.
    """

    name: str
    control_plane: bool
    version: str
    cloud: str = ""
    hides_metadata: bool = False


#: The namespace of the controllers' accounts: who may do everything there, may do everything.
CONTROLLERS = "kube-system"
#: The Pod Security level of a namespace whose label or whose default could not be read.
UNREAD = "unknown"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace.

    Attributes
    ----------
    name : str
    enforce : str
        The Pod Security level that is enforced there; empty if none is, :data:`UNREAD` if nobody
        knows.
    labels : mapping or None
        Its labels; None if they are not known.
    """

    name: str
    enforce: str
    labels: Mapping[str, str] | None = field(default=None, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """A service account.

    Attributes
    ----------
    namespace, name : str
    automount : bool or None
        None if the object does not set it.
    """

    namespace: str
    name: str
    automount: bool | None = None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A credential among the contents of a Secret or a ConfigMap, without its value.

    Attributes
    ----------
    what : str
        In words: "a kubeconfig", "a key of AWS".
    user : str
        Whom it makes its holder, if it says so.
    groups : tuple of str
    """

    what: str
    user: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret without its value, or a ConfigMap with a credential.

    Attributes
    ----------
    namespace, name, type : str
    account : str
        The service account whose token it holds, if any.
    groups : tuple of str or None
        The groups of a bootstrap token's holder; None if the dump does not have them.
    holds : tuple of StoredSecret or None
        Other credentials among its contents; None if these are not known.
    """

    namespace: str
    name: str
    type: str
    account: str = ""
    groups: tuple[str, ...] | None = None
    holds: tuple[StoredSecret, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes
    ----------
    namespace, name, type : str
    selector : tuple of (str, str)
        The labels of its pods.
    ports : tuple of int
    external_ips : tuple of str
    external_name : str
        The host name of a service of type ExternalName.
    """

    namespace: str
    name: str
    type: str
    selector: tuple[tuple[str, str], ...]
    ports: tuple[int, ...]
    external_ips: tuple[str, ...] = ()
    external_name: str = ""

    @property
    def outside(self) -> bool:
        """Whether clients outside the cluster can call it."""
        return self.type in {"NodePort", "LoadBalancer"} or bool(self.external_ips)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The pods behind a service.

    Attributes
    ----------
    namespace, service : str
    pods : tuple of (str, str)
        Namespace and name of each: it may be in another namespace than the service.
    addresses : tuple of str
        Those of which the object does not say whose they are.
    """

    namespace: str
    service: str
    pods: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ingress:
    """An ingress.

    Attributes
    ----------
    namespace, name : str
    services : tuple of str
        The services of its namespace to which it routes.
    """

    namespace: str
    name: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A network policy.

    Attributes
    ----------
    namespace, name : str
    selector : mapping
        The label selector of its pods, as the API has it.
    directions : tuple of str
        "Ingress", "Egress" or both.
    from_outside : bool
        One of its rules admits everybody, or addresses.
    from_namespaces : bool
        One of its rules admits pods of other namespaces.
    to_metadata : bool
        One of its rules lets its pods call the address of a cloud's metadata.
    """

    namespace: str
    name: str
    selector: Mapping[str, Any] = field(hash=False)
    directions: tuple[str, ...]
    from_outside: bool
    from_namespaces: bool
    to_metadata: bool = True


@dataclass(frozen=True, slots=True)
class Admission:
    """What a request meets after the authorizers allowed it.

    Attributes
    ----------
    hooks : tuple of AdmissionHook
        The webhooks and policies that may refuse or change requests.
    disabled : frozenset of str
        The admission plugins that an apiserver has switched off.
    known : bool
        False if an apiserver's flags could not be read: then others may be off.
    configured : bool
        A file that the objects do not show configures plugins: defaults and exemptions.
    """

    hooks: tuple[AdmissionHook, ...] = ()
    disabled: frozenset[str] = frozenset()
    known: bool = True
    configured: bool = False

    def is_off(self, plugin: str) -> bool | None:
        """Say whether a plugin that is on by default is off; None if that is not known.

        Examples
        --------
        >>> admission = Admission(disabled=frozenset({"PodSecurity"}))
        >>> admission.is_off("PodSecurity"), admission.is_off("CertificateApproval")
        (True, False)
        """
        if plugin in self.disabled:
            return True
        return False if self.known else None

    @property
    def called(self) -> tuple[AdmissionHook, ...]:
        """The hooks whose plugin is on, or may be on."""
        return tuple(it for it in self.hooks if it.plugin not in self.disabled)


@dataclass(frozen=True, slots=True)
class ApiExtension:
    """A service that answers for the apiserver: for a group of the API, or to convert objects.

    Attributes
    ----------
    name : str
        The object in words: "APIService v1beta1.metrics.k8s.io".
    group : str
        The group of the API whose objects it gives or converts.
    converts : bool
        It is the webhook of a CustomResourceDefinition.
    service : tuple of (str, str)
        Its namespace and its name.
    """

    name: str
    group: str
    converts: bool
    service: tuple[str, str]


@dataclass(frozen=True, slots=True)
class CustomWorkload:
    """A kind that Kubernetes does not have, whose objects have templates of pods.

    Attributes
    ----------
    group : str
        Of the API.
    resource, kind : str
        Its names.
    version : str
    cluster_scoped : bool
        Its objects are in no namespace.
    """

    group: str
    resource: str
    kind: str
    version: str
    cluster_scoped: bool = False


@dataclass(frozen=True)
class Dump:
    """A cluster's objects.

    Attributes
    ----------
    name : str
    kinds : frozenset of str
        The kinds that were read, including those without any object.
    nodes, namespaces, pods, accounts, secrets : tuple
    configs : tuple of SecretName
        The ConfigMaps that hold a credential.
    services, endpoints, network_policies, ingresses : tuple
    other_policies : frozenset of str
        The kinds of network policies of other projects that the dump has.
    rbac : Rbac
        Bindings and roles; an aggregated role has the rules of the roles it selects.
    aggregated : frozenset of str
        The cluster roles that have an aggregation rule.
    workloads : frozenset of (str, str, str)
        Kind, namespace and name of the workloads that the dump has, or that made one of its pods.
    unknowns : tuple of Unknown
        What labkit could not read, and what the dump lacks.
    unread : tuple of Unknown
        Files of which a part could not be read, and may hold more objects.
    gaps : tuple of Unknown
        What labkit could not read, or the dump lacks, so that an attack path may be missing.
    apiservers : tuple of Apiserver
        By their pods; empty if the dump has none.
    open_ports : tuple of (str, OpenPort)
        The ports of the control plane that serve everybody, each with its node; an empty one for
        the port of every kubelet.
    lacking : mapping of str to frozenset of str
        The kinds of which the dump may lack objects, each with the namespaces whose objects it has.
    etcd_data : tuple of (str, str)
        Nodes with the folders in which etcd keeps its data; an empty folder for one that is not
        known.
    extensions : tuple of ApiExtension
        The services behind groups of the API and behind conversions.
    custom_workloads : tuple of CustomWorkload
        The kinds of other projects whose objects have templates of pods.
    admission : Admission
        Without an apiserver's pod in the dump, the plugins that are on by default are taken to be
        on.

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
    configs: tuple[SecretName, ...] = ()
    services: tuple[Service, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    network_policies: tuple[NetworkPolicy, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    other_policies: frozenset[str] = frozenset()
    rbac: Rbac = field(default_factory=Rbac)
    aggregated: frozenset[str] = frozenset()
    workloads: frozenset[tuple[str, str, str]] = frozenset()
    unknowns: tuple[Unknown, ...] = ()
    unread: tuple[Unknown, ...] = ()
    gaps: tuple[Unknown, ...] = ()
    apiservers: tuple[Apiserver, ...] = ()
    open_ports: tuple[tuple[str, OpenPort], ...] = ()
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    etcd_data: tuple[tuple[str, str], ...] = ()
    extensions: tuple[ApiExtension, ...] = ()
    custom_workloads: tuple[CustomWorkload, ...] = ()
    admission: Admission = field(default_factory=Admission)

    def may_lack(self, kind: str, namespace: str = "") -> bool:
        """Say whether there may be objects of a kind that the dump does not have.

        Parameters
        ----------
        kind : str
        namespace : str
            Empty for objects in any namespace.

        Returns
        -------
        bool

        Examples
        --------
        >>> dump = Dump("shop", lacking={"Pod": frozenset({"shop"})})
        >>> dump.may_lack("Pod"), dump.may_lack("Pod", "shop"), dump.may_lack("Secret")
        (True, False, False)
        """
        has = self.lacking.get(kind)
        return has is not None and namespace not in has

    @property
    def anonymous(self) -> bool | None:
        """Whether an apiserver lets anonymous callers in; None if no flag or pod says it."""
        return any_of(it.anonymous for it in self.apiservers) if self.apiservers else None

    @property
    def authorizer(self) -> str:
        """What may allow more than RBAC does; empty if nothing does."""
        return next((it.decides for it in self.apiservers if it.decides), "")

    @property
    def bindings_missing(self) -> dict[str, str]:
        """The kinds of bindings of which some may not be read, each with where one may give all."""
        places = {"ClusterRoleBinding": "", "RoleBinding": CONTROLLERS}
        return {kind: home for kind, home in places.items() if kind in self.rbac.missing}

    @property
    def bootstrap_tokens(self) -> bool | None:
        """Whether an apiserver takes bootstrap tokens; None if no pod says it."""
        return any_of(it.bootstrap_tokens for it in self.apiservers) if self.apiservers else None

    @property
    def pod_count(self) -> int:
        """The number of pods."""
        return sum(len(group.pods) for group in self.pods)

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.pod_count} pods in {len(self.pods)} groups on "
            f"{len(self.nodes)} nodes, {len(self.rbac.roles)} roles, "
            f"{len(self.rbac.bindings)} bindings"
        )
