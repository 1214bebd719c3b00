"""The steps through a dumped cluster, while they are put together: what things are called.

Of what may be done in a namespace there is one fact between those who may and what it gives, so
there are as many steps as objects, not as many as pairs of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from labkit.analysis.roles import ADMIN, SECRETS
from labkit.analysis.roles import NODE_ROOT as ROOT_ON_A_NODE
from labkit.analysis.steps import Step
from labkit.cluster.dump import Dump, NetworkPolicy, PodGroup, SecretName

__all__ = [
    "ADMIN",
    "PRIVILEGED",
    "ROOT_ON_A_NODE",
    "SECRETS",
    "SMALL",
    "Cluster",
    "Ledger",
    "account",
    "group",
    "identity",
    "inside",
    "root",
]


PRIVILEGED = "starts privileged pods"
#: The cost of what nobody has to do.
SMALL = 0.01


def identity(name: str) -> str:
    """Return what having a user's name is called.

    Examples
    --------
    >>> identity("alice")
    'is alice'
    """
    return f"is {name}"


def account(namespace: str, name: str) -> str:
    """Return what having a service account is called.

    Examples
    --------
    >>> account("shop", "web")
    'is system:serviceaccount:shop:web'
    """
    return identity(f"system:serviceaccount:{namespace}:{name}")


def group(name: str) -> str:
    """Return what being in a group is called.

    Examples
    --------
    >>> group("system:masters")
    'in group system:masters'
    """
    return f"in group {name}"


def inside(pods: PodGroup) -> str:
    """Return what being inside a pod is called."""
    return f"inside pod {pods.id}"


def root(node: str) -> str:
    """Return what being root on a node is called.

    Examples
    --------
    >>> root("worker1")
    'root on node worker1'
    """
    return f"root on node {node}"


class Cluster:
    """A dump with its indexes."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump
        self.pods_of: dict[str, list[PodGroup]] = defaultdict(list)
        self.pods_on: dict[str, list[PodGroup]] = defaultdict(list)
        self.accounts_of: dict[str, dict[str, None]] = defaultdict(dict)
        self.tokens_of: dict[str, list[SecretName]] = defaultdict(list)
        self.tokens_named: dict[str, list[SecretName]] = defaultdict(list)
        self.policies_of: dict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in dump.network_policies:
            self.policies_of[policy.namespace].append(policy)
        self.levels = {item.name: item.enforce for item in dump.namespaces}
        self.control_plane = {item.name for item in dump.nodes if item.control_plane}
        nodes = dict.fromkeys(item.name for item in dump.nodes)
        for item in dump.accounts:
            self.accounts_of[item.namespace][item.name] = None
        for pods in dump.pods:
            self.pods_of[pods.namespace].append(pods)
            self.accounts_of[pods.namespace][pods.account] = None
            nodes.update(dict.fromkeys(pods.nodes))
            for node in pods.nodes:
                self.pods_on[node].append(pods)
            if pods.namespace == "kube-system" and pods.name.startswith("kube-apiserver"):
                self.control_plane.update(pods.nodes)
        for secret in dump.secrets:
            if secret.account:
                self.tokens_of[secret.namespace].append(secret)
                self.tokens_named[secret.name].append(secret)
        self.nodes = tuple(nodes)
        every = (self.levels, self.accounts_of, self.pods_of, self.tokens_of)
        self.namespaces = tuple(dict.fromkeys(name for some in every for name in some))
        self._by_pod: dict[tuple[str, str], PodGroup] = {}

    def open(self, namespace: str) -> bool:
        """Say whether Pod Security lets privileged pods into a namespace."""
        return self.levels.get(namespace, "") not in {"baseline", "restricted"}

    def level(self, namespace: str) -> str:
        """Return what Pod Security does in a namespace, in words."""
        level = self.levels.get(namespace)
        if level is None:
            return f"Namespace {namespace} is not in the dump"
        return f"Namespace {namespace}: Pod Security enforces {level or 'nothing'}"

    def named(self, namespace: str, names: Iterable[str]) -> list[PodGroup]:
        """Return the groups of pods of some names; without a namespace, of any."""
        if not self._by_pod:
            for pods in self.dump.pods:
                for pod in pods.pods:
                    self._by_pod[pods.namespace, pod] = pods
        homes = (namespace,) if namespace else tuple(self.pods_of)
        found = (self._by_pod.get((home, name)) for home in homes for name in names)
        return list({pods.id: pods for pods in found if pods}.values())

    def newest(self) -> tuple[int, int] | None:
        """Return the newest version of a kubelet: the apiserver's is no older."""
        found = []
        for item in self.dump.nodes:
            parts = item.version.removeprefix("v").split(".")
            if len(parts) > 1 and all(part.isascii() and part.isdigit() for part in parts[:2]):
                found.append((int(parts[0][:6]), int(parts[1][:6])))
        return max(found, default=None)


@dataclass
class Ledger:
    """The steps so far, and what has been granted whose own steps are still to be written."""

    steps: list[Step] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def add(
        self,
        technique: str,
        foothold: str,
        grants: Iterable[str],
        because: tuple[str, ...],
        cost: float = 1.0,
    ) -> None:
        """Write down a step."""
        given = tuple(dict.fromkeys(thing for thing in grants if thing != foothold))
        if given:
            self.steps.append(Step(technique, foothold, given, because, cost))

    def once(self, fact: str, write: Callable[[], None]) -> str:
        """Have what follows from a fact written once, and return the fact."""
        if fact not in self.seen:
            self.seen.add(fact)
            self.waiting.append(write)
        return fact

    def settle(self) -> None:
        """Write what is still to be written."""
        while self.waiting:
            self.waiting.pop()()
