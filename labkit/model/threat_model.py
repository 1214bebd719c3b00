"""The model as an architect sees it: components, channels, credentials, whoever wrote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.cluster.source import Source
from labkit.model.claims import Channel, Claim

if TYPE_CHECKING:
    from labkit.cluster.dump import Dump
    from labkit.cluster.facts import Environment

__all__ = ["ADMIN", "SECRETS", "Component", "Held", "Model"]

#: What an attacker may be after, wherever it is said.
ADMIN, SECRETS = "cluster-admin", "reads the secrets"

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
    """

    id: str
    kind: str
    node: str = ""
    zone: str = ""
    claims: tuple[tuple[str, Claim], ...] = field(default=(), repr=False)
    description: str = ""

    def claim(self, name: str) -> Claim | None:
        """Return what is claimed of it under a name, or None."""
        return dict(self.claims).get(name)


@dataclass(frozen=True, slots=True)
class Held:
    """A credential as something that lies somewhere, can be found and reused.

    Attributes
    ----------
    name : str
    node : str
        The machine on which it lies.
    kind : {"certificate", "token", "password", "key", "exec"}
    identity : str
        Whom it makes its holder.
    rights : tuple of str
        What its holder has by it: goals, such as "cluster-admin".
    readable_by : tuple of str
        Who but root can read it there, as footholds: "user on master".
    opens : tuple of str
        Kubelets at which its holder may run commands: "kubelet@worker2".
    source : Source
    """

    name: str
    node: str
    kind: str
    identity: str = ""
    rights: tuple[str, ...] = ()
    readable_by: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    source: Source = BY_HAND


@dataclass(frozen=True)
class Model:
    """A threat model: what there is, and what is claimed of it.

    Two models are equal when they say the same, whatever they were read from.

    Attributes
    ----------
    name, description : str
    components : tuple of Component
    channels : tuple of Channel
    credentials : tuple of Held
    unknowns : tuple of str
        What could not be read, or was not understood.
    env : Environment or None
        The configuration that it was read from, where there is one.
    dump : Dump or None
        The objects of a cluster that it was read from, where it was these.

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
    credentials: tuple[Held, ...] = ()
    description: str = ""
    unknowns: tuple[str, ...] = field(default=(), compare=False)
    env: Environment | None = field(default=None, repr=False, compare=False)
    dump: Dump | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"{self.name}: {len(self.components)} components, {len(self.channels)} channels, "
            f"{len(self.zones)} trust zones"
        )

    @property
    def zones(self) -> tuple[str, ...]:
        """The trust zones, sorted."""
        return tuple(sorted({item.zone for item in self.components if item.zone}))

    @cached_property
    def _by_id(self) -> dict[str, Component]:
        return {item.id: item for item in self.components}

    def component(self, name: str) -> Component:
        """Return the component of an id, or raise KeyError."""
        return self._by_id[name]

    @cached_property
    def sealed(self) -> bool:
        """Whether secrets are encrypted before etcd gets them."""
        claims = [it.claim("secrets at rest") for it in self.components]
        return any(claim is not None and claim.value == "encrypted" for claim in claims)

    @cached_property
    def graph(self) -> Any:
        """The model as a :class:`networkx.MultiDiGraph`: components, and channels as edges."""
        from labkit.model.graph import graph_of

        return graph_of(self)

    def with_control(self, *names: str) -> Model:
        """Return the model as it would be with controls in place; no file is touched.

        Examples
        --------
        >>> from labkit.model import read_model
        >>> changed = read_model("insecure").with_control("kubelet-anonymous")
        >>> [c.client_authentication.value for c in changed.channels if c.port == 10250][0]
        'required'
        """
        from labkit.analysis.what_if import with_control

        return with_control(self, *names)
