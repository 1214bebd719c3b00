"""What the steps through a cluster's objects are put together with.

What may be done in a namespace is one foothold between those who may and what it gives, so there
are as many steps as objects, not as many as pairs of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.steps import Step
from labkit.cluster.feature_gates import EXEC_ASKS_FOR_CREATE, POD_SECURITY, Features
from labkit.cluster.objects.etcd_data import DATA
from labkit.cluster.objects.facts import (
    UNREAD,
    Dump,
    NetworkPolicy,
    PodGroup,
    SecretName,
    Service,
)
from labkit.cluster.versions import OLDEST, Version, apiserver_versions, oldest_kubelet
from labkit.model import Foothold
from labkit.model.admission_hooks import NamespaceLabels, is_cluster_scoped, may_refuse
from labkit.model.rules import Action

__all__ = [
    "BOOTSTRAPPERS",
    "BOOTSTRAP_TOKEN",
    "KUBEADM_TOKENS",
    "MEMBERSHIP",
    "ClusterIndex",
    "StepBuilder",
    "account",
    "bootstrap_user",
    "doubts",
    "inside",
]

#: The cost of what nobody has to do: belonging to a group, having what one is granted.
MEMBERSHIP = 0.01
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type
#: The audiences that usual apiservers take: those of kubeadm's issuer, and older ones.
AUDIENCES = frozenset(
    [
        "api",
        "kubernetes.default.svc",
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc.cluster.local",
    ]
)
BOOTSTRAPPERS = "system:bootstrappers"
#: The group that kubeadm gives its bootstrap tokens by default.
KUBEADM_TOKENS = f"{BOOTSTRAPPERS}:kubeadm:default-node-token"


@cache
def account(namespace: str, name: str) -> Foothold:
    """Return the foothold of being a service account.

    Examples
    --------
    >>> print(account("shop", "web"))
    is system:serviceaccount:shop:web
    """
    return Foothold("is", f"system:serviceaccount:{namespace}:{name}")


def inside(pods: PodGroup) -> Foothold:
    """Return the foothold of being inside one of a group of pods."""
    return _pod(pods.id)


@cache
def _pod(name: str) -> Foothold:
    return Foothold("pod", name)


def bootstrap_user(secret: str) -> str:
    """Return the user whose bootstrap token a secret of kube-system holds.

    Examples
    --------
    >>> bootstrap_user("bootstrap-token-abcdef")
    'system:bootstrap:abcdef'
    """
    return f"system:bootstrap:{secret.removeprefix('bootstrap-token-')}"


def doubts(*unknown: str) -> str:
    """Return what has to be found out for a step, each thing once; "" for nothing.

    Examples
    --------
    >>> doubts("", "what a webhook answers", "", "what a webhook answers")
    'what a webhook answers'
    """
    return "; ".join(dict.fromkeys(filter(None, unknown)))


@dataclass(slots=True)
class PodsOfNode:
    """What the pods of a node give, each thing made once for a group of pods.

    Attributes
    ----------
    groups : list of PodGroup
    inside : list of Foothold
    accounts : dict of (str, str)
        The namespaces and names of their service accounts.
    mounted : dict of Foothold
        The service accounts whose tokens for the apiserver are mounted.
    secrets : dict of (str, str)
        The namespaces and names of the Secrets that they refer to.
    with_audiences : list of PodGroup
        The groups with tokens for other audiences alone.
    """

    groups: list[PodGroup] = field(default_factory=list)
    inside: list[Foothold] = field(default_factory=list)
    accounts: dict[tuple[str, str], None] = field(default_factory=dict)
    mounted: dict[Foothold, None] = field(default_factory=dict)
    secrets: dict[tuple[str, str], None] = field(default_factory=dict)
    with_audiences: list[PodGroup] = field(default_factory=list)

    def add(self, pods: PodGroup, thing: Foothold, owner: tuple[str, str]) -> None:
        """Add a group, whose foothold and service account are given."""
        spec = pods.spec
        self.groups.append(pods)
        self.inside.append(thing)
        self.accounts[owner] = None
        if spec.token:
            self.mounted[account(*owner)] = None
        elif spec.audiences:
            self.with_audiences.append(pods)
        for name in spec.secrets:
            self.secrets[pods.namespace, name] = None


NO_PODS = PodsOfNode()


class ClusterIndex:
    """The objects of a cluster, with indexes."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump
        self.pods_of: dict[str, list[PodGroup]] = defaultdict(list)
        self._on: dict[str, PodsOfNode] = defaultdict(PodsOfNode)
        self.accounts_of: dict[str, dict[str, None]] = defaultdict(dict)
        self.tokens_of: dict[str, list[SecretName]] = defaultdict(list)
        self.tokens_named: dict[str, list[SecretName]] = defaultdict(list)
        self.policies_of: dict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in dump.network_policies:
            self.policies_of[policy.namespace].append(policy)
        enforced = {item.name: item.enforce for item in dump.namespaces}
        self.control_plane = {item.name for item in dump.nodes if item.control_plane}
        nodes = dict.fromkeys(item.name for item in dump.nodes)
        for item in dump.accounts:
            self.accounts_of[item.namespace][item.name] = None
        for pods in dump.pods:
            self.pods_of[pods.namespace].append(pods)
            self.accounts_of[pods.namespace][pods.account] = None
            nodes.update(dict.fromkeys(pods.nodes))
            thing, owner = inside(pods), (pods.namespace, pods.account)
            for node in pods.nodes:
                self._on[node].add(pods, thing, owner)
            static = pods.namespace == "kube-system" and pods.kind == "Node"
            if static and pods.name.startswith(("kube-apiserver", "etcd")):
                self.control_plane.update(pods.nodes)
        self.bootstrap_users: dict[str, tuple[str, ...] | None] = {}
        for secret in dump.secrets:
            if secret.namespace == "kube-system" and secret.type == BOOTSTRAP_TOKEN:
                if dump.bootstrap_tokens is not False:
                    self.bootstrap_users[bootstrap_user(secret.name)] = secret.groups
                    self.tokens_of["kube-system"].append(secret)
                    self.tokens_named[secret.name].append(secret)
            elif secret.account:
                self.tokens_of[secret.namespace].append(secret)
                self.tokens_named[secret.name].append(secret)
        # secrets with other credentials than tokens, or of unknown contents
        self.stored: dict[str, dict[str, SecretName]] = defaultdict(dict)
        for secret in dump.secrets:
            if secret.holds != ():
                self.stored[secret.namespace][secret.name] = secret
        self.stored_configs = {(it.namespace, it.name): it for it in dump.configs}
        self.with_credential = [pods for pods in dump.pods if pods.spec.holds]
        self.read_secrets = {(it.namespace, it.name) for it in dump.secrets}
        self.nodes = tuple(nodes)
        # every cluster has these
        unread = ("default", "kube-system") if dump.may_lack("Namespace") else ()
        every = (enforced, self.accounts_of, self.pods_of, self.tokens_of, unread)
        self.namespaces = tuple(dict.fromkeys(name for some in every for name in some))
        self.levels = {home: self._level(enforced.get(home)) for home in self.namespaces}
        self._by_pod: dict[tuple[str, str], PodGroup] = {}
        self.hooks = dump.admission.called
        # in its usual folder, it is found without its pod
        self.etcd_data: dict[str, dict[str, None]] = defaultdict(dict)
        for node, folder in dump.etcd_data:
            if folder != DATA:
                self.etcd_data[node][folder] = None
        labels = {item.name: item.labels for item in dump.namespaces}
        self._labels = {
            home: NamespaceLabels.of(home, labels.get(home)) for home in self.namespaces
        }
        self._objections: dict[Action, str] = {}

    def pods_on(self, node: str) -> PodsOfNode:
        """Return what the pods of a node give."""
        return self._on.get(node, NO_PODS)

    def _level(self, enforced: str | None) -> str:
        """Return what Pod Security enforces, from a namespace's label; None for an unread one."""
        off, has = self.dump.admission.is_off("PodSecurity"), self._has_pod_security
        if off or has is False:
            return ""
        if enforced is None or off is None or self.dump.admission.configured:
            return UNREAD
        return enforced if has or not enforced else UNREAD

    @cached_property
    def _has_pod_security(self) -> bool | None:
        found = {it.has(POD_SECURITY) for it in self.features}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def cloud_of(self) -> dict[str, str]:
        """The cloud of each node that is the machine of one."""
        return {it.name: it.cloud for it in self.dump.nodes if it.cloud}

    @cached_property
    def clouds(self) -> frozenset[str]:
        """The clouds whose machines the nodes are."""
        return frozenset(self.cloud_of.values())

    @cached_property
    def behind(self) -> dict[tuple[str, str], dict[tuple[str, str], None]]:
        """The namespaces and names of pods, by the namespaces and names of their services."""
        found: dict[tuple[str, str], dict[tuple[str, str], None]] = defaultdict(dict)
        for item in self.dump.endpoints:
            found[item.namespace, item.service].update(dict.fromkeys(item.pods))
        return found

    @cached_property
    def services(self) -> dict[tuple[str, str], Service]:
        """The services by their namespaces and names."""
        return {(it.namespace, it.name): it for it in self.dump.services}

    @cached_property
    def called(self) -> tuple[tuple[str, str], ...]:
        """Namespaces and names of the services that the apiserver calls."""
        found = (it.service for some in (self.hooks, self.dump.extensions) for it in some)
        return tuple(dict.fromkeys(it for it in found if it[1]))

    def labels_of(self, namespace: str) -> NamespaceLabels:
        """Return what is known of the labels of a namespace."""
        return self._labels.get(namespace) or NamespaceLabels.of(namespace, None)

    def may_be_control_plane(self, node: str) -> bool:
        """Say whether a node may run the control plane, because the dump does not have the node."""
        return node not in self.control_plane and self.dump.may_lack("Node", node)

    def open(self, namespace: str) -> bool:
        """Say whether Pod Security lets privileged pods into a namespace, or may do so."""
        return self.levels.get(namespace, UNREAD) not in {"baseline", "restricted"}

    def may_refuse(self, namespace: str) -> bool:
        """Say whether Pod Security keeps privileged pods out of a namespace, or may do so."""
        return not self.open(namespace) or self.levels.get(namespace, UNREAD) == UNREAD

    def level(self, namespace: str) -> str:
        """Return what Pod Security does in a namespace, in words."""
        level = self.levels.get(namespace, UNREAD)
        if level == UNREAD:
            return f"Namespace {namespace}: what Pod Security enforces could not be read"
        return f"Namespace {namespace}: Pod Security enforces {level or 'nothing'}"

    def doubt(self, namespace: str) -> str:
        """Return what has to be found out about Pod Security in a namespace; "" for nothing."""
        unread = self.levels.get(namespace, UNREAD) == UNREAD
        return f"what Pod Security refuses in {namespace}" if unread else ""

    def objection(self, action: Action) -> str:
        """Return what has to be found out about admission for a request; "" for nothing.

        Without a namespace, a request for an object in a namespace may be one in any of them.
        """
        if not self.hooks:
            return ""
        if action not in self._objections:
            anywhere = not action.namespace and not is_cluster_scoped(action)
            homes = self.namespaces if anywhere else (action.namespace,)
            found = (self._seen_by(replace(action, namespace=home)) for home in homes)
            self._objections[action] = next(filter(None, found), "")
        return self._objections[action]

    def _seen_by(self, action: Action) -> str:
        home = action.namespace
        labels = self.labels_of(home)
        for hook in self.hooks:
            if may_refuse(hook, action, labels):
                where = f" in {home}" if home else ""
                return f"what {hook.name} answers to: {action}{where} ({hook.source.path})"
        return ""

    def takes(self, audience: str) -> str | None:
        """Return what has to be found out for tokens of an audience to be taken; None if not."""
        known = [it.audiences for it in self.dump.apiservers]
        if any(it and audience in it for it in known) or (not known and audience in AUDIENCES):
            return ""
        if known and None not in known:
            return None
        return f"whether the apiserver takes tokens for {audience}"

    def without(self, plugin: str) -> str | None:
        """Return what has to be found out for an admission plugin to be off; None if it is on."""
        off = self.dump.admission.is_off(plugin)
        if off is None:
            return f"whether the apiserver has {plugin} switched off"
        return "" if off else None

    def new_token(self, namespace: str) -> str:
        """Return what has to be found out about admission for a new token; "" for nothing."""
        if not self.hooks:  # it is asked for each account of each node
            return ""
        return self.objection(Action("create", "serviceaccounts/token", namespace=namespace))

    def new_pod(self, namespace: str) -> str:
        """Return what has to be found out about admission for a new pod; "" for nothing."""
        return self.objection(Action("create", "pods", namespace=namespace))

    def named(self, namespace: str, names: Iterable[str]) -> list[PodGroup]:
        """Return the groups of pods of some names; without a namespace, of any."""
        if not self._by_pod:
            for pods in self.dump.pods:
                for pod in pods.pods:
                    self._by_pod[pods.namespace, pod] = pods
        homes = (namespace,) if namespace else tuple(self.pods_of)
        found = (self._by_pod.get((home, name)) for home in homes for name in names)
        return list({pods.id: pods for pods in found if pods}.values())

    @cached_property
    def features(self) -> tuple[Features, ...]:
        """What decides which features each apiserver has."""
        by_kubelets = apiserver_versions(it.version for it in self.dump.nodes)
        found = [it.features for it in self.dump.apiservers] or [Features()]
        return tuple(replace(it, versions=it.versions or by_kubelets) for it in found)

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The versions that an apiserver may have, the oldest first."""
        return tuple(sorted({version for it in self.features for version in it.versions}))

    @cached_property
    def kubelet_versions(self) -> dict[str, str]:
        """What the kubelet of each node reports as its version; "" where nobody knows."""
        known = {it.name: it.version for it in self.dump.nodes}
        return {node: known.get(node, "") for node in self.nodes}

    @cached_property
    def oldest_kubelet(self) -> Version:
        """The oldest version that a kubelet may have which does not report it."""
        return max((1, OLDEST), oldest_kubelet(self.versions[0]))

    @cached_property
    def exec_by_get(self) -> str | None:
        """What has to be found out for "get" to start a command in a pod; None if it does not."""
        asks = {it.has(EXEC_ASKS_FOR_CREATE) for it in self.features}
        if asks == {True}:
            return None
        major, minor = EXEC_ASKS_FOR_CREATE.on
        older = f"whether an apiserver is older than {major}.{minor}"
        return "" if asks == {False} else f"{older}, or has {EXEC_ASKS_FOR_CREATE.name} off"


@dataclass
class StepBuilder:
    """Collects steps, and writes the consequences of each foothold once.

    Attributes
    ----------
    steps : list of Step
        The steps so far.
    seen : set of Foothold
        The footholds whose consequences are written, or will be.
    waiting : list of callable
        What writes the consequences that are still missing.
    """

    steps: list[Step] = field(default_factory=list)
    seen: set[Foothold] = field(default_factory=set)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def add(
        self,
        name: str,
        foothold: Foothold,
        grants: Iterable[Foothold],
        because: tuple[str, ...],
        cost: float = 1.0,
        unknown: str = "",
    ) -> None:
        """Add a step; one that grants nothing new is left out.

        Parameters
        ----------
        name : str
            One of :data:`~labkit.analysis.attack_graph.from_objects.step_kinds.STEP_KINDS`.
        foothold : Foothold
        grants : iterable of Foothold
        because : tuple of str
            The objects that allow it.
        cost : float
        unknown : str
            What has to be found out, for a step that may not exist.
        """
        given = dict.fromkeys(grants)
        given.pop(foothold, None)
        if given:
            technique = STEP_KINDS[name].technique
            self.steps.append(
                Step(name, foothold, tuple(given), because, cost, technique, unknown=unknown)
            )

    def once(self, foothold: Foothold, write: Callable[[], None]) -> Foothold:
        """Have the consequences of a foothold written once, and return the foothold."""
        if foothold not in self.seen:
            self.seen.add(foothold)
            self.waiting.append(write)
        return foothold

    def settle(self) -> None:
        """Write the consequences that are still missing."""
        while self.waiting:
            self.waiting.pop()()
