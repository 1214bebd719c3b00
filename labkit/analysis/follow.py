"""What follows in a dumped cluster from what somebody may do there, whoever it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from labkit.analysis.ledger import (
    ADMIN,
    PRIVILEGED,
    ROOT_ON_A_NODE,
    SECRETS,
    SMALL,
    Cluster,
    Ledger,
    account,
    group,
    identity,
    inside,
    root,
)
from labkit.analysis.pods import KUBELET, PKI, ROOT, TOKENS, escapes
from labkit.cluster.dump import PodGroup

__all__ = ["Follow"]

MASTERS = "system:masters"


class Follow:
    """Facts about a cluster by name; asking for one has what follows from it written."""

    def __init__(self, cluster: Cluster, ledger: Ledger) -> None:
        self.cluster = cluster
        self.ledger = ledger
        #: Users and groups that somebody could become: those that a binding names.
        self.users: dict[str, None] = {}
        self.groups: dict[str, None] = {}

    def _spread(self, technique: str, fact: str, grants: Iterable[str], why: str = "") -> None:
        self.ledger.add(technique, fact, grants, (why,) if why else (), SMALL)

    # -- in a namespace, or in all ("") -------------------------------------------------------

    def reads_secrets(self, namespace: str) -> str:
        """Return the fact that somebody reads the secrets there."""
        fact = f"{SECRETS} of {namespace}" if namespace else SECRETS
        return self.ledger.once(fact, partial(self._reads_secrets, fact, namespace))

    def _reads_secrets(self, fact: str, namespace: str) -> None:
        tokens = self.cluster.tokens_of
        found = (
            tokens.get(namespace, [])
            if namespace
            else [s for some in tokens.values() for s in some]
        )
        for secret in found:
            self.token_in_secret(fact, secret.namespace, secret.name)

    def token_in_secret(self, fact: str, namespace: str, name: str) -> None:
        """Write the step from having a secret to the service account whose token it is."""
        for secret in self.cluster.tokens_named.get(name, ()):
            if secret.namespace == namespace:
                why = (f"Secret {namespace}/{name}: type {secret.type}",)
                self.ledger.add("token-in-secret", fact, [account(namespace, secret.account)], why)

    def makes_tokens(self, namespace: str) -> str:
        """Return the fact that somebody makes tokens of the service accounts there."""
        return self._of_accounts("makes tokens", "token-request", namespace)

    def impersonates(self, namespace: str) -> str:
        """Return the fact that somebody impersonates the service accounts there."""
        return self._of_accounts("impersonates accounts", "impersonate", namespace)

    def _of_accounts(self, doing: str, technique: str, namespace: str) -> str:
        fact = f"{doing} in {namespace}" if namespace else f"{doing} anywhere"

        def write() -> None:
            if namespace:
                names = self.cluster.accounts_of.get(namespace, ())
                grants = [account(namespace, name) for name in names]
                self.ledger.add(technique, fact, grants, (f"Namespace {namespace}",))
            else:
                homes = self.cluster.accounts_of
                inner = [self._of_accounts(doing, technique, home) for home in homes]
                self._spread("any-namespace", fact, inner)

        return self.ledger.once(fact, write)

    def starts_pods(self, namespace: str) -> str:
        """Return the fact that somebody starts pods there, as far as Pod Security lets them in."""
        fact = f"starts pods in {namespace}" if namespace else "starts pods anywhere"
        return self.ledger.once(fact, partial(self._starts_pods, fact, namespace))

    def _starts_pods(self, fact: str, namespace: str) -> None:
        cluster = self.cluster
        if not namespace:
            homes = [self.starts_pods(home) for home in cluster.namespaces]
            self._spread("any-namespace", fact, homes)
            return
        grants = [account(namespace, name) for name in cluster.accounts_of.get(namespace, ())]
        self.ledger.add("pod-with-account", fact, grants, (f"Namespace {namespace}",))
        if cluster.open(namespace):
            why = (cluster.level(namespace),)
            self.ledger.add("privileged-pod", fact, [self.privileged()], why)

    def privileged(self) -> str:
        """Return the fact that somebody starts privileged pods, on whatever node."""

        def write() -> None:
            grants = [*map(self.on_node, self.cluster.nodes), ROOT_ON_A_NODE]
            why = ("spec.nodeName is the pod's own choice",)
            self.ledger.add("escape-from-own-pod", PRIVILEGED, grants, why)

        return self.ledger.once(PRIVILEGED, write)

    def enters(self, namespace: str) -> str:
        """Return the fact that somebody enters the pods there."""
        fact = f"enters the pods of {namespace}" if namespace else "enters every pod"

        def write() -> None:
            if namespace:
                pods = self.cluster.pods_of.get(namespace, ())
                self._spread("enter-pod", fact, [inside(each) for each in pods])
            else:
                homes = [self.enters(home) for home in self.cluster.pods_of]
                self._spread("any-namespace", fact, homes)

        return self.ledger.once(fact, write)

    def enters_on(self, node: str) -> str:
        """Return the fact that somebody enters the pods of a node."""
        fact = f"enters the pods on {node}"

        def write() -> None:
            pods = self.cluster.pods_on.get(node, ())
            self._spread("enter-pod", fact, [inside(each) for each in pods])

        return self.ledger.once(fact, write)

    def debugs(self, namespace: str) -> str:
        """Return the fact that somebody adds containers to running pods there."""
        fact = f"debugs the pods of {namespace}" if namespace else "debugs every pod"

        def write() -> None:
            if not namespace:
                homes = [self.debugs(home) for home in self.cluster.pods_of]
                self._spread("any-namespace", fact, homes)
                return
            self._spread("enter-pod", fact, [self.enters(namespace)])
            if self.cluster.open(namespace):
                pods = self.cluster.pods_of.get(namespace, ())
                nodes = dict.fromkeys(node for each in pods for node in each.nodes)
                why = (self.cluster.level(namespace),)
                grants = [*map(self.on_node, nodes), *[ROOT_ON_A_NODE] * bool(nodes)]
                self.ledger.add("privileged-debug-container", fact, grants, why)

        return self.ledger.once(fact, write)

    def everything(self, namespace: str) -> str:
        """Return the fact that somebody may do everything in a namespace, or in the cluster."""
        if not namespace:
            return self.admin()
        fact = f"everything in {namespace}"

        def write() -> None:
            inner = (self.reads_secrets, self.starts_pods, self.enters, self.makes_tokens)
            self._spread("any-request", fact, [each(namespace) for each in inner])

        return self.ledger.once(fact, write)

    def admin(self) -> str:
        """Return the fact that somebody may do everything."""

        def write() -> None:
            self._spread("any-request", ADMIN, [self.reads_secrets(""), self.privileged()])

        return self.ledger.once(ADMIN, write)

    # -- who one may become -------------------------------------------------------------------

    def any_user(self) -> str:
        """Return the fact that somebody impersonates users; accounts are asked for by kind."""
        fact = "impersonates any user"

        def write() -> None:
            names = (n for n in self.users if not n.startswith("system:serviceaccount:"))
            grants, why = [identity(name) for name in names], ("users that a binding names",)
            self.ledger.add("impersonate", fact, grants, why)

        return self.ledger.once(fact, write)

    def in_group(self, name: str) -> str:
        """Return the fact of being in a group."""
        fact = group(name)
        if name != MASTERS:
            return fact

        def write() -> None:
            why = ("the apiserver lets this group through before it asks any authorizer",)
            self._spread("member-of-masters", fact, [self.admin()], why[0])

        return self.ledger.once(fact, write)

    def signs(self, kubelets_only: bool) -> str:
        """Return the fact that somebody has client certificates issued, to any name but one.

        The admission plugin CertificateSubjectRestriction refuses the group system:masters.
        """
        fact = "has kubelet certificates issued" if kubelets_only else "has certificates issued"

        def write() -> None:
            nodes = [self.kubelet(node) for node in self.cluster.nodes]
            why = ("CertificateSubjectRestriction refuses system:masters alone",)
            grants = nodes
            if not kubelets_only:
                users = [identity(name) for name in self.users]
                groups = [group(name) for name in self.groups if name != MASTERS]
                every = self.cluster.accounts_of.items()
                accounts = [account(home, name) for home, names in every for name in names]
                grants = [*nodes, *users, *groups, *accounts]
            self.ledger.add("issued-certificate", fact, grants, why)

        return self.ledger.once(fact, write)

    # -- nodes and pods -----------------------------------------------------------------------

    def on_node(self, node: str) -> str:
        """Return the fact that somebody is root on a node."""
        fact = root(node)

        def write() -> None:
            add, why = self.ledger.add, (f"Node {node}",)
            add("node-root", fact, [ROOT_ON_A_NODE], why, SMALL)
            add("kubelet-credential", fact, [self.kubelet(node)], why)
            pods = self.cluster.pods_on.get(node, ())
            add("pods-of-the-node", fact, [inside(each) for each in pods], why)
            if node in self.cluster.control_plane:
                held = (f"Node {node} runs the control plane: its keys are there",)
                add("control-plane-keys", fact, [self.admin()], held)

        return self.ledger.once(fact, write)

    def kubelet(self, node: str) -> str:
        """Return the fact that somebody is a kubelet, held by Node authorizer and NodeRestriction.

        It has tokens made for the service accounts of the pods on its node, mounted or not, and
        reads the secrets that these pods refer to; those of other nodes it does not.
        """
        fact = identity(f"system:node:{node}")

        def write() -> None:
            pods = self.cluster.pods_on.get(node, ())
            why = (f"the Node authorizer: pods of Node {node}",)
            grants = [account(each.namespace, each.account) for each in pods]
            self.ledger.add("token-request-of-kubelet", fact, grants, why)
            for each in pods:
                for name in each.spec.secrets:
                    self.token_in_secret(fact, each.namespace, name)
            if "system:nodes" in self.groups:
                self._spread("group-membership", fact, [group("system:nodes")])

        return self.ledger.once(fact, write)

    def inside_pod(self, pods: PodGroup) -> None:
        """Write what somebody inside a pod does."""
        fact, add = inside(pods), self.ledger.add
        where = f"Pod {pods.namespace}/{pods.pods[0]}"
        if pods.spec.token:
            why = (f"{where}: a token of its service account is mounted",)
            add("mounted-token", fact, [account(pods.namespace, pods.account)], why)
        for name in pods.spec.secrets:
            self.token_in_secret(fact, pods.namespace, name)
        for way in escapes(pods):
            why = (f"{where}: {way.why}",)
            for node in pods.nodes:
                add(way.technique, fact, self._given(way.gives, node), why, way.cost)

    def _given(self, gives: str, node: str) -> list[str]:
        if gives == ROOT:
            return [self.on_node(node), ROOT_ON_A_NODE]
        if gives == KUBELET:
            return [self.kubelet(node)]
        if gives == TOKENS:
            found = (each for each in self.cluster.pods_on.get(node, ()) if each.spec.token)
            return [account(each.namespace, each.account) for each in found]
        if node not in self.cluster.control_plane:
            return []
        return [self.admin()] if gives == PKI else [self.reads_secrets("")]
