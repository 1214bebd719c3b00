"""The consequences of permissions and footholds in a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from labkit.analysis.attack_graph.from_objects.builder import (
    MEMBERSHIP,
    ClusterIndex,
    StepBuilder,
    account,
    bootstrap_user,
    doubts,
    inside,
)
from labkit.analysis.attack_graph.from_objects.entry_points import FLAW
from labkit.analysis.attack_graph.from_objects.escapes import (
    CONFIG,
    ETCD,
    KUBELET,
    PERSON,
    PKI,
    ROOT,
    TOKENS,
    Escape,
    escapes,
    reads_folder,
)
from labkit.cluster.kubelet_flaws import KUBELET_FLAWS, KubeletFlaw
from labkit.cluster.objects.facts import PodGroup, SecretName, StoredSecret
from labkit.cluster.objects.open_ports import OF_KUBELETS
from labkit.model import Foothold
from labkit.model.footholds import ADMIN, CALLS, NODE
from labkit.model.rules import Action

__all__ = ["BY_PORT", "EVERY_NAMESPACE", "MASTERS", "Consequences"]

MASTERS = "system:masters"
RESTRICTION = "CertificateSubjectRestriction"
#: What has to be found out for one who reaches the ports of a pod to be inside it.
BY_PORT = "whether what the pod serves lets a caller of its ports in"
#: Stands for a namespace's name where something holds in each of them; no name has a space.
EVERY_NAMESPACE = "every namespace"
#: Kinds whose pods are made again elsewhere when a node's taint drives them out.
MADE_AGAIN = frozenset(
    ["Deployment", "ReplicaSet", "StatefulSet", "Job", "CronJob", "ReplicationController"]
)
#: Kinds whose pods stay on their node.
ON_THEIR_NODE = frozenset({"DaemonSet", "Node"})


class Consequences:
    """The footholds in a cluster. Each method returns one, and writes its consequences once."""

    def __init__(self, cluster: ClusterIndex, builder: StepBuilder) -> None:
        self.cluster = cluster
        self.builder = builder
        #: Users and groups that a binding names: an attacker could become them.
        self.users: dict[str, None] = {}
        self.groups: dict[str, None] = {}

    def _spread(
        self, name: str, foothold: Foothold, grants: Iterable[Foothold], why: str = ""
    ) -> None:
        self.builder.add(name, foothold, grants, (why,) if why else (), MEMBERSHIP)

    # -- in a namespace, or in all ("") -------------------------------------------------------

    def reads_secrets(self, namespace: str) -> Foothold:
        """Return the foothold of reading the secrets of a namespace."""
        foothold = Foothold("secrets", namespace)
        return self.builder.once(foothold, partial(self._reads_secrets, foothold, namespace))

    def _reads_secrets(self, foothold: Foothold, namespace: str) -> None:
        tokens = self.cluster.tokens_of
        found = (
            tokens.get(namespace, [])
            if namespace
            else [s for some in tokens.values() for s in some]
        )
        for secret in found:
            self.token_in_secret(foothold, secret.namespace, secret.name)
        for home in [namespace] if namespace else list(self.cluster.accounts_of):
            if self.cluster.dump.may_lack("Secret", home):
                self._maybe_tokens(foothold, home)
        stored = self.cluster.stored
        homes = [stored.get(namespace, {})] if namespace else stored.values()
        mine = [it for some in homes for it in some.values()]
        # of contents that nobody has read, one step says it
        unread = [it for it in mine if it.holds is None][:1]
        for secret in (*unread, *(it for it in mine if it.holds)):
            self._stored(foothold, secret.holds, f"Secret {secret.namespace}/{secret.name}")

    def stored_in_secret(self, foothold: Foothold, namespace: str, name: str) -> None:
        """Write the steps from having a secret to what else it holds, or perhaps holds."""
        cluster = self.cluster
        key = (namespace, name)
        if found := cluster.stored.get(namespace, {}).get(name):
            self._stored(foothold, found.holds, f"Secret {namespace}/{name}")
        elif key not in cluster.read_secrets and cluster.dump.may_lack("Secret", namespace):
            self._stored(foothold, None, f"Secret {namespace}/{name}")

    def in_config(self, config: SecretName) -> Foothold:
        """Return the foothold of reading a ConfigMap that holds a credential."""
        shown = f"{config.namespace}/{config.name}"
        foothold = Foothold("config", shown)
        write = partial(self._stored, foothold, config.holds, f"ConfigMap {shown}")
        return self.builder.once(foothold, write)

    def in_spec(self, pods: PodGroup) -> Foothold:
        """Return the foothold of reading the specification of pods that holds a credential."""
        foothold = Foothold("spec", pods.id)
        write = partial(self._stored, foothold, pods.spec.holds, f"the specification of {pods.id}")
        return self.builder.once(foothold, write)

    def _stored(self, foothold: Foothold, holds: Iterable[StoredSecret] | None, shown: str) -> None:
        add = self.builder.add
        if holds is None:
            unknown = f"what {shown} holds: its contents were not read"
            add("stored-credential", foothold, [self.admin()], (shown,), 2.0, unknown)
        for it in holds or ():
            why = (f"{shown}: {it.what}{f' of {it.user}' if it.user else ''}",)
            if not it.user:
                unknown = f"what {it.what} in {shown} opens"
                add("stored-credential", foothold, [self.admin()], why, 1.5, unknown)
                continue
            unknown = f"whether the apiserver takes {it.what} of {it.user} in {shown}"
            grants = [Foothold("is", it.user), *map(self.in_group, it.groups)]
            add("stored-credential", foothold, grants, why, 1.0, unknown)

    def _maybe_tokens(self, foothold: Foothold, home: str) -> None:
        names = self.cluster.accounts_of.get(home, ())
        grants = [account(home, name) for name in names]
        why = f"which secrets of {home} hold a token: the dump does not have them"
        self.builder.add("token-in-secret", foothold, grants, (f"Namespace {home}",), 1.0, why)

    def in_secret(self, foothold: Foothold, namespace: str, name: str) -> None:
        """Write the steps from having a secret to whatever it holds."""
        self.token_in_secret(foothold, namespace, name)
        self.stored_in_secret(foothold, namespace, name)

    def token_in_secret(self, foothold: Foothold, namespace: str, name: str) -> None:
        """Write the step from having a secret to the service account whose token it is."""
        for secret in self.cluster.tokens_named.get(name, ()):
            if secret.namespace != namespace:
                continue
            why = (f"Secret {namespace}/{name}: type {secret.type}",)
            if not secret.account:
                user = Foothold("is", bootstrap_user(name))
                self.builder.add("bootstrap-token", foothold, [user], why)
            else:
                self.builder.add(
                    "token-in-secret", foothold, [account(namespace, secret.account)], why
                )

    def makes_tokens(self, namespace: str) -> Foothold:
        """Return the foothold of making tokens of a namespace's service accounts."""
        return self._of_accounts("tokens", "token-request", namespace)

    def impersonates(self, namespace: str) -> Foothold:
        """Return the foothold of impersonating a namespace's service accounts."""
        return self._of_accounts("impersonates", "impersonate", namespace)

    def _of_accounts(self, kind: str, name: str, namespace: str) -> Foothold:
        foothold = Foothold(kind, namespace)

        def write() -> None:
            if namespace:
                names = self.cluster.accounts_of.get(namespace, ())
                grants = [account(namespace, each) for each in names]
                self.builder.add(name, foothold, grants, (f"Namespace {namespace}",))
            else:
                homes = self.cluster.accounts_of
                inner = [self._of_accounts(kind, name, home) for home in homes]
                self._spread("any-namespace", foothold, inner)

        return self.builder.once(foothold, write)

    def starts_pods(self, namespace: str) -> Foothold:
        """Return the foothold of starting the pods that Pod Security admits to a namespace."""
        foothold = Foothold("starts-pods", namespace)
        return self.builder.once(foothold, partial(self._starts_pods, foothold, namespace))

    def _starts_pods(self, foothold: Foothold, namespace: str) -> None:
        cluster = self.cluster
        admitted = cluster.new_pod(namespace)
        # every level of Pod Security lets a new pod mount any secret whose name is known
        why = (f"Namespace {namespace}" if namespace else "every namespace",)
        secrets = [self.reads_secrets(namespace)]
        self.builder.add("mount-secret", foothold, secrets, why, 2.0, admitted)
        if not namespace:
            homes = [self.starts_pods(home) for home in cluster.namespaces]
            self._spread("any-namespace", foothold, homes)
            return
        grants = [account(namespace, name) for name in cluster.accounts_of.get(namespace, ())]
        self.builder.add("pod-with-account", foothold, grants, why, unknown=admitted)
        if cluster.open(namespace):
            why, doubt = (cluster.level(namespace),), doubts(cluster.doubt(namespace), admitted)
            grants = [self.privileged()]
            self.builder.add("privileged-pod", foothold, grants, why, unknown=doubt)
            return
        why = (cluster.level(namespace),)
        for flaw in KUBELET_FLAWS:
            held = flaw.restricted if cluster.levels[namespace] == "restricted" else ""
            if held is not None and (grant := self._uses(flaw)):
                unknown = doubts(held, admitted)
                self.builder.add("pod-for-flaw", foothold, [grant], why, unknown=unknown)

    def _uses(self, flaw: KubeletFlaw) -> Foothold | None:
        """Return the foothold of starting pods that use a flaw, if a kubelet may have it."""
        affected = {
            node: affects
            for node, version in self.cluster.kubelet_versions.items()
            if (affects := flaw.affects(version, self.cluster.oldest_kubelet)) is not False
        }
        if not affected:
            return None
        foothold = Foothold("flaw", flaw.name)

        def write() -> None:
            for node, affects in affected.items():
                version = f"which version the kubelet of Node {node} has"
                unknown = doubts("" if affects else version, flaw.unknown)
                why = (f"Node {node}: {flaw.name}, {flaw.what}",)
                grants = [self.on_node(node), NODE]
                self.builder.add("kubelet-flaw", foothold, grants, why, unknown=unknown)

        return self.builder.once(foothold, write)

    def privileged(self) -> Foothold:
        """Return the foothold of starting privileged pods, on any node."""
        foothold = Foothold("privileged")

        def write() -> None:
            grants = [*map(self.on_node, self.cluster.nodes), NODE]
            why = ("spec.nodeName is the pod's own choice",)
            self.builder.add("escape-from-own-pod", foothold, grants, why)

        return self.builder.once(foothold, write)

    def enters(self, namespace: str) -> Foothold:
        """Return the foothold of entering the pods of a namespace."""
        foothold = Foothold("enters", namespace)

        def write() -> None:
            if namespace:
                pods = self.cluster.pods_of.get(namespace, ())
                self._spread("enter-pod", foothold, [inside(each) for each in pods])
            else:
                homes = [self.enters(home) for home in self.cluster.pods_of]
                self._spread("any-namespace", foothold, homes)

        return self.builder.once(foothold, write)

    def reaches_ports(self, namespace: str) -> Foothold:
        """Return the foothold of reaching the ports of a namespace's pods, also on loopback."""
        foothold = Foothold("ports", namespace)

        def write() -> None:
            if namespace:
                pods = self.cluster.pods_of.get(namespace, ())
                grants, why = [inside(each) for each in pods], (f"Namespace {namespace}",)
                self.builder.add("exploit-port", foothold, grants, why, FLAW, BY_PORT)
            else:
                homes = [self.reaches_ports(home) for home in self.cluster.pods_of]
                self._spread("any-namespace", foothold, homes)

        return self.builder.once(foothold, write)

    def enters_on(self, node: str) -> Foothold:
        """Return the foothold of entering the pods of a node."""
        foothold = Foothold("enters-on", node)

        def write() -> None:
            self._spread("enter-pod", foothold, self.cluster.pods_on(node).inside)

        return self.builder.once(foothold, write)

    def debugs(self, namespace: str) -> Foothold:
        """Return the foothold of adding containers to a namespace's running pods."""
        foothold = Foothold("debugs", namespace)

        def write() -> None:
            if not namespace:
                homes = [self.debugs(home) for home in self.cluster.pods_of]
                self._spread("any-namespace", foothold, homes)
                return
            self._spread("enter-pod", foothold, [self.enters(namespace)])
            pods = self.cluster.pods_of.get(namespace, ())
            grants = [it for each in pods for it in self.by_debugging(each)]
            why, doubt = (self.cluster.level(namespace),), self.cluster.doubt(namespace)
            name = "privileged-debug-container"
            self.builder.add(name, foothold, grants, why, unknown=doubt)

        return self.builder.once(foothold, write)

    def by_debugging(self, pods: PodGroup) -> list[Foothold]:
        """Return what a privileged container in a running pod gives, where it is let in."""
        if not self.cluster.open(pods.namespace) or not pods.nodes:
            return []
        return [*map(self.on_node, pods.nodes), NODE]

    def everything(self, namespace: str) -> Foothold:
        """Return the foothold of doing everything in a namespace, or in the cluster."""
        if not namespace:
            return self.admin()
        foothold = Foothold("everything", namespace)

        def write() -> None:
            # whether admission refuses a new pod is said where one is started
            inner = (self.reads_secrets, self.starts_pods)
            self._spread("any-request", foothold, [each(namespace) for each in inner])
            self._admitted(foothold, self.enters(namespace), "pods/exec", namespace)
            tokens = self.makes_tokens(namespace)
            self._admitted(foothold, tokens, "serviceaccounts/token", namespace)

        return self.builder.once(foothold, write)

    def _admitted(self, foothold: Foothold, grant: Foothold, resource: str, namespace: str) -> None:
        """Write the step of one who may do everything in a namespace to one kind of request."""
        doubt = self.cluster.objection(Action("create", resource, namespace=namespace))
        self.builder.add("any-request", foothold, [grant], (), MEMBERSHIP, doubt)

    def everything_everywhere(self) -> Foothold:
        """Return the foothold of doing everything in each namespace, and nothing beside them."""
        foothold = Foothold("everything", EVERY_NAMESPACE)

        def write() -> None:
            homes = [self.everything(home) for home in self.cluster.namespaces]
            self._spread("any-namespace", foothold, homes)

        return self.builder.once(foothold, write)

    def admin(self) -> Foothold:
        """Return the foothold of cluster-admin."""

        def write() -> None:
            self._spread("any-request", ADMIN, [self.reads_secrets(""), self.privileged()])

        return self.builder.once(ADMIN, write)

    # -- identities --------------------------------------------------------------------------

    def any_user(self) -> Foothold:
        """Return the foothold of one who impersonates users; accounts are asked for by kind."""
        foothold = Foothold("any-user")

        def write() -> None:
            names = (n for n in self.users if not n.startswith("system:serviceaccount:"))
            grants, why = [Foothold("is", name) for name in names], ("users that a binding names",)
            self.builder.add("impersonate", foothold, grants, why)

        return self.builder.once(foothold, write)

    def in_group(self, name: str) -> Foothold:
        """Return the foothold of being in a group."""
        foothold = Foothold("group", name)
        if name != MASTERS:
            return foothold

        def write() -> None:
            why = ("the apiserver lets this group through before it asks any authorizer",)
            self._spread("member-of-masters", foothold, [self.admin()], why[0])

        return self.builder.once(foothold, write)

    def signs(self, kubelets_only: bool) -> Foothold:
        """Return the foothold of one who has client certificates issued, to any name but one.

        The admission plugin CertificateSubjectRestriction refuses the group system:masters, unless
        it is off.
        """
        foothold = Foothold("certificates", "kubelet" if kubelets_only else "")

        def write() -> None:
            nodes = [self.kubelet(node) for node in self.cluster.nodes]
            why = (f"{RESTRICTION} refuses system:masters alone",)
            grants = nodes
            if not kubelets_only:
                users = [Foothold("is", name) for name in self.users]
                groups = [Foothold("group", name) for name in self.groups if name != MASTERS]
                every = self.cluster.accounts_of.items()
                accounts = [account(home, name) for home, names in every for name in names]
                grants = [*nodes, *users, *groups, *accounts]
            self.builder.add("issued-certificate", foothold, grants, why)
            off = self.cluster.without(RESTRICTION)
            if not kubelets_only and off is not None:
                why = (f"without {RESTRICTION}",)
                masters = [self.in_group(MASTERS)]
                self.builder.add("issued-certificate", foothold, masters, why, unknown=off)

        return self.builder.once(foothold, write)

    # -- nodes and pods -----------------------------------------------------------------------

    def on_node(self, node: str) -> Foothold:
        """Return the foothold of root on a node."""
        foothold = Foothold("root", node)

        def write() -> None:
            add, why = self.builder.add, (f"Node {node}",)
            add("node-root", foothold, [NODE], why, MEMBERSHIP)
            add("kubelet-credential", foothold, [self.kubelet(node)], why)
            add("pods-of-the-node", foothold, self.cluster.pods_on(node).inside, why)
            if cloud := self.cluster.cloud_of.get(node, ""):
                add("cloud-metadata", foothold, [self.of_cloud(cloud)], why)
            if node in self.cluster.control_plane:
                held = (f"Node {node} runs the control plane: its keys are there",)
                add("control-plane-keys", foothold, [self.admin()], held)
            elif self.cluster.may_be_control_plane(node):
                unknown = (
                    f"whether Node {node}, which the dump does not have, runs the control plane"
                )
                add("control-plane-keys", foothold, [self.admin()], why, unknown=unknown)

        return self.builder.once(foothold, write)

    def of_cloud(self, cloud: str) -> Foothold:
        """Return the foothold of having the identity that a cloud gives to a machine."""
        foothold = Foothold("cloud", cloud)

        def write() -> None:
            unknown = f"what a machine at {cloud} may do there, and in the cluster"
            self.builder.add("cloud-identity", foothold, [self.admin()], (), 2.0, unknown)

        return self.builder.once(foothold, write)

    def draws_pods(
        self, node: str, names: Iterable[str], because: tuple[str, ...], unknown: str
    ) -> None:
        """Write the steps of root on a node who may taint others: their pods come to it.

        A taint with the effect NoExecute drives out the pods of a node; what made them makes them
        again where the scheduler may still put them.
        """
        tainted = set(names) or set(self.cluster.nodes)
        some = "" if tainted >= set(self.cluster.nodes) - {node} else "on which node they start"
        for pods in self.cluster.dump.pods:
            if pods.kind in ON_THEIR_NODE or node in pods.nodes or not tainted & set(pods.nodes):
                continue
            grants = [inside(pods), account(pods.namespace, pods.account)]
            bare = "" if pods.kind in MADE_AGAIN else f"whether something makes {pods.id} again"
            why = (*because, f"Node {node}: the taints of the others drive pods to it")
            found_out = doubts(bare, some, unknown)
            self.builder.add("draw-pods", Foothold("root", node), grants, why, 3.0, found_out)

    def kubelet(self, node: str) -> Foothold:
        """Return the foothold of one who is a kubelet, held by Node authorizer and NodeRestriction.

        It has tokens made for the service accounts of the pods on its node, mounted or not, and
        reads the secrets that these pods refer to; those of other nodes it does not.
        """
        foothold = Foothold("is", f"system:node:{node}")

        def write() -> None:
            pods = self.cluster.pods_on(node)
            why = (f"the Node authorizer: pods of Node {node}",)
            tokens: dict[str, list[Foothold]] = defaultdict(list)
            for home, name in pods.accounts:
                tokens[self.cluster.new_token(home)].append(account(home, name))
            for doubt, grants in tokens.items():
                self.builder.add("token-request-of-kubelet", foothold, grants, why, unknown=doubt)
            for home, name in pods.secrets:
                self.in_secret(foothold, home, name)
            if "system:nodes" in self.groups:
                self._spread("group-membership", foothold, [Foothold("group", "system:nodes")])

        return self.builder.once(foothold, write)

    def open_ports(self) -> None:
        """Write the steps through ports of the control plane that serve everybody.

        A port on loopback is called by the pods that share the network of its node.
        """
        for node, port in self.cluster.dump.open_ports:
            if port.kind == OF_KUBELETS:
                everywhere, said = [self.enters("")], (f"every kubelet: {port.said}",)
                self.builder.add("kubelet-exec", CALLS, everywhere, said, unknown=port.unknown)
                continue
            pods = self.cluster.pods_on(node).groups
            local = [inside(it) for it in pods if it.spec.host_network]
            why = (f"{port.kind} on Node {node}: {port.said}",)
            name = "insecure-port" if port.kind == "kube-apiserver" else "etcd-read"
            for place in local if port.local else [CALLS]:
                self.builder.add(name, place, [self.admin()], why, unknown=port.unknown)

    def inside_pod(self, pods: PodGroup) -> None:
        """Write the steps of an attacker inside a pod."""
        foothold, add = inside(pods), self.builder.add
        where = f"Pod {pods.namespace}/{pods.pods[0]}"
        if not pods.nodes and pods.kind:
            where = f"{pods.kind} {pods.workload}"
        if pods.spec.token:
            why = (f"{where}: a token of its service account is mounted",)
            add("mounted-token", foothold, [account(pods.namespace, pods.account)], why)
        for audience, unknown in self.other_tokens(pods):
            why = (f"{where}: a token of its service account for {audience} is mounted",)
            mine = [account(pods.namespace, pods.account)]
            add("mounted-token", foothold, mine, why, unknown=unknown)
        for name in pods.spec.secrets:
            self.in_secret(foothold, pods.namespace, name)
        for name in pods.spec.configs:
            if config := self.cluster.stored_configs.get((pods.namespace, name)):
                grants = [self.in_config(config)]
                add("read-config", foothold, grants, (f"{where}: {name} is mounted",), MEMBERSHIP)
        if pods.spec.holds:
            why = (f"{where}: its environment or its command",)
            add("read-pod", foothold, [self.in_spec(pods)], why, MEMBERSHIP)
        for way in escapes(pods):
            why = (f"{where}: {way.why}",)
            for node in pods.nodes:
                grants, unknown = self.given(way.gives, node), way.unknown
                unread = way.gives in (PKI, ETCD) and self.cluster.may_be_control_plane(node)
                if not grants and (way.of_distribution or unread):
                    grants = self._of_control_plane(way.gives)
                    where = f"whether Node {node} runs a control plane whose keys are there"
                    unknown = doubts(unknown, where)
                add(way.name, foothold, grants, why, way.cost, unknown)
                if way.gives == TOKENS:
                    self._other_tokens_on(foothold, node, way, why)
            if not pods.nodes:
                self._somewhere(foothold, way, why)
        if pods.spec.listens is not False:
            self._listens(foothold, pods, where)
        if self.cluster.etcd_data and pods.spec.containers:
            self._etcd_data(foothold, pods, where)

    def _listens(self, foothold: Foothold, pods: PodGroup, where: str) -> None:
        """Write the step of a pod that hears the traffic of its node, and answers in it.

        It answers for a cloud's metadata, by which agents of the node let users in; it hears what
        the node sends without TLS.
        """
        unknown = "whether something on the node trusts what it gets without TLS, as metadata"
        if pods.spec.listens is None:
            unknown = doubts("whether the container runtime gives NET_RAW", unknown)
        why = (f"{where}: hostNetwork, and NET_RAW is not dropped",)
        grants = [NODE, *map(self.on_node, pods.nodes)]
        self.builder.add("listen-on-node", foothold, grants, why, 3.0, unknown)

    def _etcd_data(self, foothold: Foothold, pods: PodGroup, where: str) -> None:
        """Write the steps of a pod with a folder of a node in which etcd keeps its data."""
        for node in pods.nodes:
            for folder in self.cluster.etcd_data.get(node, ()):
                if why := reads_folder(pods, folder):
                    unknown = "" if folder else f"where etcd on Node {node} keeps its data"
                    grants, because = [self.reads_secrets("")], (f"{where}: {why}",)
                    self.builder.add("read-host-path", foothold, grants, because, 1.0, unknown)

    def _somewhere(self, foothold: Foothold, way: Escape, why: tuple[str, ...]) -> None:
        """Write what an escape gives a pod of which nobody knows on which node it will run."""
        nodes, add = self.cluster.nodes, self.builder.add
        if way.gives in (ROOT, PERSON):
            add(way.name, foothold, [NODE], why, way.cost, way.unknown)
        grants = dict.fromkeys(it for node in nodes for it in self.given(way.gives, node))
        unknown = doubts(way.unknown, "on which node the pod runs" if len(nodes) > 1 else "")
        add(way.name, foothold, grants, why, way.cost, unknown)

    def other_tokens(self, pods: PodGroup) -> list[tuple[str, str]]:
        """Return the other audiences of a pod's tokens, each with what has to be found out.

        Without those that an apiserver is known to refuse.
        """
        if pods.spec.token or not pods.spec.audiences:
            return []
        found = ((it, self.cluster.takes(it)) for it in pods.spec.audiences)
        return [(it, unknown) for it, unknown in found if unknown is not None]

    def _other_tokens_on(
        self, foothold: Foothold, node: str, way: Escape, why: tuple[str, ...]
    ) -> None:
        for pods in self.cluster.pods_on(node).with_audiences:
            for _, found_out in self.other_tokens(pods):
                mine = [account(pods.namespace, pods.account)]
                unknown = doubts(way.unknown, found_out)
                self.builder.add(way.name, foothold, mine, why, way.cost, unknown)

    def given(self, gives: str, node: str) -> list[Foothold]:
        """Return what an escape gives on a node; nothing where the node does not have it."""
        if gives == PERSON:
            return [self.on_node(node), NODE, self.admin()]
        if gives == CONFIG:
            return [self.admin()]
        if gives == ROOT:
            return [self.on_node(node), NODE]
        if gives == KUBELET:
            return [self.kubelet(node)]
        if gives == TOKENS:
            return list(self.cluster.pods_on(node).mounted)
        return self._of_control_plane(gives) if node in self.cluster.control_plane else []

    def _of_control_plane(self, gives: str) -> list[Foothold]:
        """Return what keys of a control plane give, or the data of its etcd."""
        return [self.admin()] if gives == PKI else [self.reads_secrets("")]
