"""What each file of this package holds: a component that listens, and its kinds of listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labkit.model.claims import Channel
from labkit.model.footholds import Foothold
from labkit.model.listener import Listener
from labkit.model.threat_model import Component as ComponentOfModel

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["COMMANDS_THE_MACHINE", "NO_GAP", "Gap", "ListenerKind", "Server", "cis"]

#: Why authorization does not apply to the socket of a container engine.
COMMANDS_THE_MACHINE = (
    "anyone who starts containers can mount the machine's disk: "
    "only the socket's mode restricts them"
)


@dataclass(frozen=True, slots=True)
class Gap:
    """One property that a listener may lack.

    Attributes
    ----------
    control : str
        The name of the control that closes it; empty if no control does.
    technique : str
        The name of the technique that demonstrates it in a lab; empty if no technique does.
    references : tuple of str
        Benchmarks and documentation, by name.
    by_client : mapping of str to str
        For some kinds of clients, the name of another technique that demonstrates it.

    Examples
    --------
    >>> Gap("etcd-client-cert-auth", "etcd-read", cis("2.2")).references
    ('CIS Kubernetes Benchmark 2.2',)
    """

    control: str = ""
    technique: str = ""
    references: tuple[str, ...] = ()
    by_client: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)


NO_GAP = Gap()


@dataclass(frozen=True, slots=True)
class ListenerKind:
    """One kind of listener: what access to it gives, and how each gap is closed.

    Attributes
    ----------
    name : str
        "etcd peer".
    gives : tuple of str
        Kinds of the footholds that commanding it gives; "root" is on its machine.
    impact : int
        Impact of its loss, from 1 to 4.
    gaps : mapping of str to Gap
        By property.
    by_design : str
        Why authorization does not apply to this listener; empty if it does.
    for_everybody : bool
        True if it is meant to serve everybody by plain HTTP: `by_design` says why.
    with_credential : str
        The name of the technique that demonstrates what its clients' credentials open.
    protocol : str
        The protocol of its channels, where that tells it from the component's other listeners.
    client : str
        The kind of its clients, where that tells it.
    data : tuple of str
        What its channels carry, where that tells it.

    Examples
    --------
    >>> from labkit.model.listeners import listener_kinds
    >>> listener_kinds()["etcd"].gives
    ('admin',)
    """

    name: str
    gives: tuple[str, ...]
    impact: int
    gaps: Mapping[str, Gap] = field(default_factory=dict, hash=False)
    by_design: str = ""
    for_everybody: bool = False
    with_credential: str = ""
    protocol: str = ""
    client: str = ""
    data: tuple[str, ...] = ()

    def gains(self, server: ComponentOfModel) -> tuple[Foothold, ...]:
        """Return the footholds that commanding a server of this kind gives.

        Parameters
        ----------
        server : labkit.model.Component

        Returns
        -------
        tuple of Foothold
        """
        where = {"root": server.node, "commands": server.id}
        return tuple([Foothold(kind, where.get(kind, "")) for kind in self.gives])

    def gap(self, channel: Channel, property_: str) -> Gap:
        """Return what closes and what demonstrates a property that a channel lacks.

        Parameters
        ----------
        channel : Channel
            A channel to a listener of this kind.
        property_ : str
            One of :data:`labkit.model.PROPERTIES`.

        Returns
        -------
        Gap
            Empty if nothing is known about it.

        Examples
        --------
        >>> from labkit.model import read_model
        >>> from labkit.model.listeners import kind_of_listener
        >>> [channel] = read_model("insecure").open_channels("kube-proxy@worker1 -> *:8080")
        >>> kind_of_listener(channel).gap(channel, "encryption").technique
        'eavesdrop-kube-proxy'
        """
        gap = self.gaps.get(property_, NO_GAP)
        if not gap.by_client:
            return gap
        technique = gap.by_client.get(channel.client_name)
        return replace(gap, technique=technique) if technique else gap

    def fits(self, channel: Channel) -> bool:
        """Say whether a channel to the component goes to a listener of this kind.

        Parameters
        ----------
        channel : Channel

        Returns
        -------
        bool
        """
        return (
            (not self.protocol or self.protocol == channel.protocol)
            and (not self.client or self.client == channel.client_name)
            and (not self.data or self.data == channel.data)
        )


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of component that listens.

    Attributes
    ----------
    name : str
        The kind of component: "etcd", "kubelet".
    read : callable
        Takes an environment and a component of this kind, and yields its listeners, closed ones
        included.
    kinds : tuple of ListenerKind
        The first that fits a channel is its listener's kind; the last one fits all others.

    Examples
    --------
    >>> from labkit.model import listeners
    >>> [kind.name for kind in listeners["kubelet"].kinds]
    ['kubelet health', 'kubelet read-only', 'kubelet']
    """

    name: str
    read: Callable[[Environment, Component], Iterable[Listener]] = field(repr=False)
    kinds: tuple[ListenerKind, ...]

    def kind_of(self, channel: Channel) -> ListenerKind:
        """Return the kind of listener that a channel to this component goes to.

        Parameters
        ----------
        channel : Channel

        Returns
        -------
        ListenerKind
        """
        for kind in self.kinds[:-1]:
            if kind.fits(channel):
                return kind
        return self.kinds[-1]


def cis(*numbers: str) -> tuple[str, ...]:
    """Return recommendations of the CIS Kubernetes Benchmark, as references.

    Parameters
    ----------
    *numbers : str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> cis("2.1")
    ('CIS Kubernetes Benchmark 2.1',)
    """
    return tuple(f"CIS Kubernetes Benchmark {number}" for number in numbers)
