"""The model as an architect sees it: components, channels and credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from labkit.cluster.syntax.source import Source
from labkit.errors import ConfigError
from labkit.model.claims import PROPERTIES, Channel, Claim
from labkit.model.footholds import Foothold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import networkx as nx

    from labkit.cluster.facts import Environment
    from labkit.cluster.objects.facts import Dump

# networkx's classes take no parameters when they run
Graph: TypeAlias = "nx.MultiDiGraph[str]"

__all__ = ["Component", "Graph", "Model", "StoredCredential", "end_of_channel"]

#: The trust zone of what is on no machine of its own.
NETWORK_ZONE = "cluster network"

#: The kinds of components by which a model is one of a cluster.
CLUSTER_KINDS = frozenset(
    [
        *("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager", "kubelet"),
        *("kube-proxy", "containerd", "dockerd", "flanneld", "kubectl-proxy", "pod", "node"),
    ]
)
#: What stands in a claim's source where a person made it up.
BY_HAND = Source("by hand", None, "")


@dataclass(frozen=True, slots=True)
class Component:
    """A process with an identity, or whatever else stands at an end of a channel.

    Attributes
    ----------
    id : str
        "kube-apiserver@master".
    kind : str
        What it is: "kube-apiserver", "etcd", "pod", "process", "datastore", "person" ...
    node : str
        The machine it is on; empty where that does not matter.
    zone : str
        Its trust zone.
    claims : tuple of (str, Claim)
        What is claimed of the component itself: "audit", "encryption at rest" ...
    description : str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> apiserver = read_model("insecure").component("kube-apiserver@master")
    >>> apiserver.zone, apiserver.claim("audit").value
    ('master node', 'none')
    """

    id: str
    kind: str
    node: str = ""
    zone: str = ""
    claims: tuple[tuple[str, Claim], ...] = field(default=(), repr=False)
    description: str = ""

    def claim(self, name: str) -> Claim | None:
        """Return the claim with a name, or None.

        Parameters
        ----------
        name : str
            "audit", "secrets at rest" ...

        Returns
        -------
        Claim or None
        """
        return dict(self.claims).get(name)


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential that lies on a machine, where it can be found and reused.

    Attributes
    ----------
    name : str
    node : str
        The machine on which it lies.
    kind : {"certificate", "token", "password", "key", "exec", "cloud key"}
    identity : str
        Whom it makes its holder.
    rights : tuple of Foothold
        The goals that its holder has by it.
    readable_by : tuple of Foothold
        From where it can be read there, beside root.
    perhaps_readable_by : tuple of Foothold
        From where it may be readable: the modes or owners that decide are not known.
    opens : tuple of str
        Servers that it opens: kubelets at which its holder may run commands ("kubelet@worker2"),
        and etcd where every client may read and write everything.
    source : Source

    Examples
    --------
    >>> StoredCredential("backup", "etcd1", "certificate", opens=("etcd@etcd1",)).id
    'backup@etcd1'
    """

    name: str
    node: str
    kind: str
    identity: str = ""
    rights: tuple[Foothold, ...] = ()
    readable_by: tuple[Foothold, ...] = ()
    opens: tuple[str, ...] = ()
    source: Source = BY_HAND
    perhaps_readable_by: tuple[Foothold, ...] = ()

    @property
    def id(self) -> str:
        """Its name and the machine that it lies on: "admin@master"."""
        return f"{self.name}@{self.node}"


class _Credentials:
    """A field that may be given as a function, which is called when it is first asked for.

    A control is flipped, and a technique predicted, without the credentials that lie about, and
    they take most of the time in which a model is read.
    """

    def __get__(self, model: Model | None, owner: type) -> tuple[StoredCredential, ...]:
        if model is None:  # the dataclass asks for the field's default
            return ()
        found = model.__dict__["credentials"]
        if callable(found):
            found = model.__dict__["credentials"] = found()
        return cast("tuple[StoredCredential, ...]", found)

    def __set__(
        self,
        model: Model,
        value: tuple[StoredCredential, ...] | Callable[[], tuple[StoredCredential, ...]],
    ) -> None:
        model.__dict__["credentials"] = value


@dataclass(frozen=True)
class Model:
    """A threat model: what there is, and what is claimed of it.

    Two models are equal when they say the same, whatever they were read from.

    Attributes
    ----------
    name, description : str
    components : tuple of Component
    channels : tuple of Channel
    credentials : tuple of StoredCredential
        It may be given as a function that returns them.
    unknowns : tuple of str
        What could not be read, or was not understood.
    out_of_scope : tuple of (str, str)
        The components and channels that somebody put out of scope, each with the reason.
    env : Environment or None
        The configuration that it was read from, where there is one.
    dump : Dump or None
        The objects of a cluster that it was read from, where it was these.
    original : tuple of (str, mapping) or None
        The format and the document of another tool that it was read from, where it was one.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> model.zones
    ('cluster network', 'master node', 'worker node')
    >>> model.component("kube-apiserver@master").zone
    'master node'
    """

    name: str
    components: tuple[Component, ...]
    channels: tuple[Channel, ...]
    credentials: _Credentials = _Credentials()
    description: str = ""
    unknowns: tuple[str, ...] = field(default=(), compare=False)
    out_of_scope: tuple[tuple[str, str], ...] = ()
    env: Environment | None = field(default=None, repr=False, compare=False)
    dump: Dump | None = field(default=None, repr=False, compare=False)
    original: tuple[str, Mapping[str, Any]] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        counts = {
            "component": len(self.components),
            "channel": len(self.channels),
            "trust zone": len(self.zones),
        }
        said = (f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
        return f"{self.name}: {', '.join(said)}"

    @cached_property
    def of_cluster(self) -> bool:
        """Whether it has a part of a Kubernetes cluster, so that its goals mean something."""
        kinds = CLUSTER_KINDS
        return (
            self.env is not None
            or self.dump is not None
            or bool(self.credentials)
            or any(it.kind in kinds for it in self.components)
        )

    @property
    def zones(self) -> tuple[str, ...]:
        """The trust zones, sorted."""
        return tuple(sorted({item.zone for item in self.components if item.zone}))

    @cached_property
    def _by_id(self) -> dict[str, Component]:
        return {item.id: item for item in self.components}

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
        return self._by_id[name]

    @cached_property
    def secrets_at_rest(self) -> str:
        """What etcd gets of a secret: "encrypted", "none" (plaintext), or "unknown".

        One apiserver that does not encrypt is enough for plaintext, and without a claim
        Kubernetes' default counts.
        """
        claims = [it.claim("secrets at rest") for it in self.components]
        values = {claim.value for claim in claims if claim is not None}
        if not values or "none" in values:
            return "none"
        return "encrypted" if values == {"encrypted"} else "unknown"

    @property
    def environment(self) -> Environment:
        """The configuration that it was read from.

        Raises
        ------
        ConfigError
            It was not read from one: it was written by hand, or comes from another tool.
        """
        if self.env is None:
            raise ConfigError(
                f"{self.name} was not read from a cluster's configuration, which techniques and "
                "controls need",
                hint="give the folder of an environment",
            )
        return self.env

    @cached_property
    def _open(self) -> dict[str, tuple[Channel, ...]]:
        return {}

    def open_channels(self, pattern: str = "*") -> tuple[Channel, ...]:
        """Return the open channels whose ids match a shell pattern, in the model's order.

        Parameters
        ----------
        pattern : str
            ``*`` stands for any text: ``flanneld@worker1 -> *``.

        Returns
        -------
        tuple of Channel

        Examples
        --------
        >>> from labkit.model import read_model
        >>> [it.id for it in read_model("hardened").open_channels("flanneld@worker1 -> *")][0]
        'flanneld@worker1 -> etcd@etcd1:2379'
        """
        if pattern not in self._open:
            self._open[pattern] = tuple(
                it for it in self.channels if it.open and fnmatchcase(it.id, pattern)
            )
        return self._open[pattern]

    def closed_channels(self, pattern: str = "*") -> tuple[Channel, ...]:
        """Return the closed channels whose ids match a shell pattern, in the model's order.

        Parameters
        ----------
        pattern : str
            ``*`` stands for any text: ``anyone@network -> *``.

        Returns
        -------
        tuple of Channel
        """
        return tuple(it for it in self.channels if not it.open and fnmatchcase(it.id, pattern))

    @cached_property
    def graph(self) -> Graph:
        """The model as a networkx graph.

        Returns
        -------
        networkx.MultiDiGraph
            Nodes are components with ``kind``, ``node`` and ``zone``; edges are keyed by the
            channel's id and have the :class:`Channel` as ``channel``, and its values as plain
            strings.

        Examples
        --------
        >>> from labkit.model import read_model
        >>> read_model("hardened").graph.nodes["kube-apiserver@master"]["zone"]
        'master node'
        """
        import networkx as nx

        graph: Graph = nx.MultiDiGraph(
            name=self.name, description=self.description, unknowns=self.unknowns
        )
        for it in self.components:
            graph.add_node(it.id, kind=it.kind, node=it.node, zone=it.zone)
        for channel in self.channels:
            for end, zone in (
                (channel.client, channel.client_zone),
                (channel.server, channel.server_zone),
            ):
                if end not in graph:
                    it = end_of_channel(end, zone)
                    graph.add_node(end, kind=it.kind, node=it.node, zone=it.zone)
            flat: dict[str, Any] = {name: getattr(channel, name).value for name in PROPERTIES}
            graph.add_edge(
                channel.client,
                channel.server,
                key=channel.id,
                channel=channel,
                protocol=channel.protocol,
                port=channel.port,
                path=channel.path,
                open=channel.open,
                credential=channel.credential,
                data=channel.data,
                client_zone=channel.client_zone or NETWORK_ZONE,
                server_zone=channel.server_zone or NETWORK_ZONE,
                **flat,
            )
        return graph


def end_of_channel(end: str, zone: str) -> Component:
    """Return the component for an end of a channel that the configuration does not list.

    Examples
    --------
    >>> end_of_channel("kubectl/alice@master", "master node").kind
    'kubectl'
    """
    kind, _, node = end.rpartition("@")
    return Component(end, kind.partition("/")[0], node, zone)
