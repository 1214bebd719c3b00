"""Feature gates of Kubernetes on which an answer depends: since when each is known and on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.cluster.syntax.source import bool_of
from labkit.cluster.versions import Version

__all__ = [
    "ACCOUNTS_FOR_KUBELETS",
    "EXEC_ASKS_FOR_CREATE",
    "NODES_BY_SELECTORS",
    "POD_SECURITY",
    "USER_NAMESPACES",
    "FeatureGate",
    "Features",
    "gates_in",
]


@dataclass(frozen=True, slots=True)
class FeatureGate:
    """A feature gate, by the versions in which its state changed.

    Attributes
    ----------
    name : str
    since : tuple of (int, int)
        The first version that has the feature.
    on : tuple of (int, int)
        The first version in which it is on by default.
    locked : tuple of (int, int) or None
        The first version in which nobody can switch it off.

    References
    ----------
    pkg/features/kube_features.go;
    https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/
    """

    name: str
    since: Version
    on: Version
    locked: Version | None = None


#: A kubelet reads only its own pods and its own node.
NODES_BY_SELECTORS = FeatureGate("AuthorizeNodeWithSelectors", (1, 31), (1, 32), (1, 34))
#: A kubelet reads the service accounts of its pods.
ACCOUNTS_FOR_KUBELETS = FeatureGate(
    "KubeletServiceAccountTokenForCredentialProviders", (1, 33), (1, 34)
)
#: A websocket to a pod's exec, attach or portforward needs "create" as well as "get".
EXEC_ASKS_FOR_CREATE = FeatureGate("AuthorizePodWebsocketUpgradeCreatePermission", (1, 35), (1, 35))
#: The labels of a namespace decide which pods are admitted.
POD_SECURITY = FeatureGate("PodSecurity", (1, 22), (1, 23), (1, 25))
#: A pod has a user namespace of its own if it asks for it.
USER_NAMESPACES = FeatureGate("UserNamespacesSupport", (1, 25), (1, 33), (1, 36))


def gates_in(values: Iterable[str]) -> dict[str, bool | None]:
    """Return the gates that ``--feature-gates`` sets; None for what is no boolean.

    Parameters
    ----------
    values : iterable of str
        One for each gate, in the order of the flags: the last of a name counts.

    Returns
    -------
    dict of str to bool or None

    Examples
    --------
    >>> gates_in(["A=true", "B=0", "A=false", "C=maybe"])
    {'A': False, 'B': False, 'C': None}
    """
    pairs = (value.partition("=") for value in values)
    return {name.strip(): bool_of(text.strip()) for name, _, text in pairs}


def _is_on(
    gate: FeatureGate, version: Version, given: Mapping[str, bool | None], *, complete: bool
) -> bool | None:
    if version < gate.since:
        return False
    if gate.locked is not None and version >= gate.locked:
        return True
    if gate.name in given:
        return given[gate.name]
    default = version >= gate.on
    # what is on by default is beta; what is off may be of either stage
    stages = ("AllBeta",) if default else ("AllAlpha", "AllBeta")
    others = {given[stage] for stage in stages if stage in given} - {default}
    return None if others or not complete else default


@dataclass(frozen=True, slots=True)
class Features:
    """What decides which features a component has.

    Attributes
    ----------
    versions : tuple of (int, int)
        Those that it may have.
    gates : tuple of (str, bool or None)
        What its flags set: :func:`gates_in`.
    complete : bool
        Whether all of its flags were read.
    """

    versions: tuple[Version, ...] = ()
    gates: tuple[tuple[str, bool | None], ...] = ()
    complete: bool = True

    def has(self, gate: FeatureGate) -> bool | None:
        """Say whether the component has a feature; None if that is not known.

        Parameters
        ----------
        gate : FeatureGate

        Returns
        -------
        bool or None

        Examples
        --------
        >>> off = tuple(gates_in(["AuthorizeNodeWithSelectors=false"]).items())
        >>> [Features(((1, it),), off).has(NODES_BY_SELECTORS) for it in (30, 33, 34)]
        [False, False, True]
        >>> [Features(((1, it),)).has(NODES_BY_SELECTORS) for it in (31, 32)]
        [False, True]
        >>> print(Features(((1, 31), (1, 32))).has(NODES_BY_SELECTORS))
        None
        """
        given = dict(self.gates)
        found = {_is_on(gate, it, given, complete=self.complete) for it in self.versions}
        return found.pop() if len(found) == 1 else None
