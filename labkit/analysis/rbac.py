"""From who somebody is to what they may do: roles and bindings as steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from labkit.analysis.follow import MASTERS, Follow
from labkit.analysis.ledger import SMALL, Cluster, Ledger, account, group, identity, inside
from labkit.analysis.powers import CLUSTER_SCOPED, EVERYTHING, Power, powers
from labkit.cluster.policies import Binding, Role, Rule
from labkit.cluster.source import Source

__all__ = ["Rights"]

AUTHENTICATED, ACCOUNTS = "system:authenticated", "system:serviceaccounts"
ANONYMOUS, UNAUTHENTICATED = "system:anonymous", "system:unauthenticated"
SIGNER, KUBELET_SIGNER = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
)
#: Since Kubernetes 1.35, a websocket to pods/exec asks for "create" as well.
WEBSOCKETS_ASK_FOR_CREATE = (1, 35)
#: What counts only together with something else.
PARTS = frozenset(
    [
        "list secrets",
        "get secrets",
        "create secrets",
        "create pods",
        "create workloads",
        "change workloads",
        "bind clusterroles",
        "bind roles",
        "write clusterrolebindings",
        "write rolebindings",
        "escalate clusterroles",
        "escalate roles",
        "write clusterroles",
        "write roles",
        "impersonate users",
        "impersonate groups",
        "impersonate accounts",
        "create requests",
        "approve requests",
        "approve for signers",
        "change namespaces",
    ]
)
ALL_RULES = (Rule(("*",), ("*",), ("*",), (), ()),)


@dataclass(frozen=True, slots=True)
class Part:
    """A power that a holder has somewhere, and why."""

    names: tuple[str, ...]
    because: tuple[str, ...]


@dataclass
class Holder:
    """Somebody with rights: the parts by namespace ("" for all) and by what they are."""

    parts: dict[str, dict[str, list[Part]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    #: The roles bound to it where they are: to change one of them is to change one's own rights.
    own_roles: set[tuple[str, str]] = field(default_factory=set)


class Rights:
    """Writes the steps of all bindings of a cluster."""

    def __init__(self, cluster: Cluster, ledger: Ledger, follow: Follow) -> None:
        self.cluster, self.ledger, self.follow = cluster, ledger, follow
        self.roles = {(role.namespace, role.name): role for role in cluster.dump.rbac.roles}
        absent = Source("kube-apiserver", None, "ClusterRole cluster-admin", default=True)
        self.roles.setdefault(("", "cluster-admin"), Role("cluster-admin", "", ALL_RULES, absent))
        self.powers: dict[tuple[str, str], tuple[Power, ...]] = {}
        self.holders: dict[str, Holder] = defaultdict(Holder)
        self.told: set[tuple[str, str, str]] = set()
        newest = cluster.newest()
        self.get_suffices = newest is None or newest < WEBSOCKETS_ASK_FOR_CREATE

    def write(self) -> None:
        """Write every step that a binding gives rise to."""
        for binding in self.cluster.dump.rbac.bindings:
            for who in self._subjects(binding):
                home = "" if binding.role_kind == "ClusterRole" else binding.namespace
                because = (str(binding.source),)
                self.give(who, (home, binding.role), binding.namespace, because)
        self._memberships()
        for who in list(self.holders):
            self._together(who)

    def _subjects(self, binding: Binding) -> Iterable[str]:
        for kind, namespace, name in binding.subjects:
            if kind == "ServiceAccount":
                home = namespace or binding.namespace
                self.cluster.accounts_of[home][name] = None
                yield account(home, name)
            elif kind == "User":
                self.follow.users[name] = None
                yield identity(name)
            elif kind == "Group":
                self.follow.groups[name] = None
                yield self.follow.in_group(name)

    def give(self, who: str, of: tuple[str, str], namespace: str, because: tuple[str, ...]) -> None:
        """Write what a role gives to somebody, in a namespace or in all ("")."""
        role = self.roles.get(of)
        if role is None:
            return
        if of not in self.powers:
            self.powers[of] = powers(role)
        why = (*because, str(role.source))
        holder = self.holders[who]
        if of[0] or not namespace:
            holder.own_roles.add(of)
        found = self.powers[of]
        if any(power.what == EVERYTHING for power in found):
            grants = [self.follow.everything(namespace)]
            self.ledger.add("granted-everything", who, grants, why, SMALL)
            if not namespace:
                return
        for power in found:
            if namespace and power.what in CLUSTER_SCOPED:
                continue
            if power.what in PARTS:
                part = Part(power.names, why)
                holder.parts[namespace][power.what].append(part)
            self._alone(who, power, namespace, why)

    # -- what counts by itself ----------------------------------------------------------------

    def _alone(self, who: str, power: Power, at: str, why: tuple[str, ...]) -> None:
        key = (who, f"{power.what} {','.join(power.names)}", at)
        if key in self.told:
            return
        self.told.add(key)
        follow, names = self.follow, power.names
        match power.what:
            case "list secrets":
                self._secrets(who, at, names, why, 1.0)
            case "get secrets":
                # without list, the name has to be known
                self._secrets(who, at, names, why, 1.0 if names else 2.0)
            case "make tokens" if names:
                self._accounts(who, at, names, why, "token-request")
            case "make tokens":
                self._add("token-request", who, follow.makes_tokens(at), why)
            case "create pods" | "create workloads":
                self._add("create-pod", who, follow.starts_pods(at), why)
            case "change workloads":
                self._add("change-workload", who, follow.starts_pods(at), why, 1.5)
            case "change pods":
                self._pods("replace-image", who, at, names, why, 2.0)
            case "exec":
                self._pods("exec", who, at, names, why, 1.0)
            case "exec by get" if self.get_suffices:
                self._pods("exec-by-websocket", who, at, names, why, 1.5)
            case "attach":
                # only a process that reads commands does what one says
                self._pods("attach", who, at, names, why, 3.0)
            case "debug" if names:
                self._pods("debug-container", who, at, names, why, 1.0)
            case "debug":
                self._add("debug-container", who, follow.debugs(at), why)
            case "forward":
                place = f"of {at}" if at else "of every namespace"
                self._add("port-forward", who, f"reaches the ports {place}", why)
            case "kubelet":
                nodes = [node for node in names if node in self.cluster.nodes]
                facts = [follow.enters_on(node) for node in nodes] if names else [follow.enters("")]
                self.ledger.add("exec-through-kubelet", who, facts, why)
            case "write mutating webhooks":
                self._add("mutating-webhook", who, follow.privileged(), why, 3.0)
            case "impersonate accounts" if names:
                self._accounts(who, at, names, why, "impersonate")
            case "impersonate accounts":
                self._add("impersonate", who, follow.impersonates(at), why)
            case "impersonate users" if names:
                plain = [name for name in names if not name.startswith("system:serviceaccount:")]
                self.ledger.add("impersonate", who, [identity(name) for name in plain], why)
            case "impersonate users":
                self._add("impersonate", who, follow.any_user(), why)

    def _add(
        self, technique: str, who: str, fact: str, why: tuple[str, ...], cost: float = 1.0
    ) -> None:
        self.ledger.add(technique, who, [fact], why, cost)

    def _secrets(
        self, who: str, at: str, names: tuple[str, ...], why: tuple[str, ...], cost: float
    ) -> None:
        if not names:
            self._add("read-secrets", who, self.follow.reads_secrets(at), why, cost)
            return
        for name in names:
            homes = [at] if at else [s.namespace for s in self.cluster.tokens_named.get(name, ())]
            for home in homes:
                fact = f"reads secret {home}/{name}"
                self._add("read-secrets", who, fact, why, cost)
                token = partial(self.follow.token_in_secret, fact, home, name)
                self.ledger.once(fact, token)

    def _accounts(
        self, who: str, at: str, names: tuple[str, ...], why: tuple[str, ...], technique: str
    ) -> None:
        of = self.cluster.accounts_of
        homes = [at] if at else list(of)
        grants = [
            account(home, name) for home in homes for name in names if name in of.get(home, ())
        ]
        self.ledger.add(technique, who, grants, why)

    def _pods(
        self,
        technique: str,
        who: str,
        at: str,
        names: tuple[str, ...],
        why: tuple[str, ...],
        cost: float,
    ) -> None:
        if not names:
            self._add(technique, who, self.follow.enters(at), why, cost)
            return
        found = [inside(pods) for pods in self.cluster.named(at, names)]
        self.ledger.add(technique, who, found, why, cost)

    # -- who belongs to which group -----------------------------------------------------------

    def _groups_of(self, who: str) -> list[str]:
        """Return the groups of an identity that have rights, by what is known of its name."""
        if not who.startswith("is "):
            return []
        name = who.removeprefix("is ")
        if name == ANONYMOUS:
            names = [UNAUTHENTICATED]
        elif name.startswith("system:serviceaccount:"):
            names = [AUTHENTICATED, ACCOUNTS, f"{ACCOUNTS}:{name.split(':')[2]}"]
        else:
            names = [AUTHENTICATED]
        return [group(each) for each in names if group(each) in self.holders]

    def _memberships(self) -> None:
        people = dict.fromkeys(who for who in self.holders if who.startswith("is "))
        for home, names in self.cluster.accounts_of.items():
            people |= dict.fromkeys(account(home, name) for name in names)
        people |= dict.fromkeys(identity(f"system:node:{name}") for name in self.cluster.nodes)
        for who in people:
            self.ledger.add("group-membership", who, self._groups_of(who), (), SMALL)

    # -- what counts only together ------------------------------------------------------------

    def _together(self, who: str) -> None:
        groups = [self.holders[name] for name in self._groups_of(who)]
        own = self.holders[who]
        everywhere = self._joined([own, *groups], "")
        if own.parts.get(""):
            self._combine(who, "", everywhere, own)
        for at in own.parts:
            if at:
                here = self._joined([own, *groups], at)
                merged = {
                    what: [*here.get(what, ()), *everywhere.get(what, ())]
                    for what in {**here, **everywhere}
                }
                self._combine(who, at, merged, own)

    def _joined(self, holders: Iterable[Holder], at: str) -> dict[str, list[Part]]:
        result: dict[str, list[Part]] = defaultdict(list)
        for holder in holders:
            for what, parts in holder.parts.get(at, {}).items():
                result[what] += parts
        return result

    def _combine(self, who: str, at: str, have: Mapping[str, list[Part]], own: Holder) -> None:
        follow = self.follow
        for reading in ("list secrets", "get secrets"):
            if why := _both(have, "create secrets", reading):
                fact = follow.makes_tokens(at)
                self._add("token-secret", who, fact, why, 1.5)
        bindings = "write rolebindings" if at else "write clusterrolebindings"
        kinds = ("clusterroles", "roles") if at else ("clusterroles",)
        for kind in kinds:
            for part in have.get(f"bind {kind}", ()):
                if have.get(bindings):
                    self._bind(who, at, kind, part, have[bindings][0])
        if not at:
            self._bind_everywhere(who, have)
            self._cluster_wide(who, have, own)
        for part in have.get("escalate roles", ()) if at else ():
            for writing in have.get("write roles", ()):
                names = {name for home, name in own.own_roles if home == at}
                if any(_named(name, part) and _named(name, writing) for name in names):
                    why = (*part.because, *writing.because)
                    self._add("escalate", who, follow.everything(at), why)
        for starting in ("create pods", "create workloads", "change workloads"):
            if at and not self.cluster.open(at):
                for part in have.get("change namespaces", ()):
                    if _named(at, part) and have.get(starting):
                        why = (*part.because, *have[starting][0].because)
                        self._add("relabel-namespace", who, follow.privileged(), why, 1.5)
            elif not at and have.get(starting) and have.get("change namespaces"):
                part = have["change namespaces"][0]
                homes = part.names or self.cluster.namespaces
                if any(home in self.cluster.levels for home in homes):
                    why = (*part.because, *have[starting][0].because)
                    self._add("relabel-namespace", who, follow.privileged(), why, 1.5)

    def _bind(self, who: str, at: str, kind: str, bind: Part, writing: Part) -> None:
        why = (*bind.because, *writing.because)
        if not bind.names:
            if kind == "clusterroles" or not at:
                self._add("bind", who, self.follow.everything(at), why)
            return
        for name in bind.names:
            of = (at if kind == "roles" else "", name)
            if of not in self.roles:
                continue
            place = f" in {at}" if at else ""
            fact = f"holds {'Role' if of[0] else 'ClusterRole'} {name}{place}"
            self._add("bind", who, fact, why)
            if fact not in self.holders:
                self.give(fact, of, at, ())
                self._together(fact)

    def _bind_everywhere(self, who: str, have: Mapping[str, list[Part]]) -> None:
        """Bind in each namespace, for who writes rolebindings in all of them."""
        if not have.get("write rolebindings"):
            return
        for part in have.get("bind clusterroles", ()):
            for home in self.cluster.namespaces:
                self._bind(who, home, "clusterroles", part, have["write rolebindings"][0])

    def _cluster_wide(self, who: str, have: Mapping[str, list[Part]], own: Holder) -> None:
        follow = self.follow
        for part in have.get("escalate clusterroles", ()):
            for writing in have.get("write clusterroles", ()):
                mine = [name for home, name in own.own_roles if not home]
                if any(_named(name, part) and _named(name, writing) for name in mine):
                    why = (*part.because, *writing.because)
                    self._add("escalate", who, follow.admin(), why)
        # Impersonate-Group is taken only beside Impersonate-User
        anybody = have.get("impersonate users") or have.get("impersonate accounts")
        for part in have.get("impersonate groups", ()) if anybody else ():
            names = part.names or (MASTERS,)
            grants = [follow.in_group(name) for name in names]
            self.ledger.add("impersonate", who, grants, (*part.because, *anybody[0].because))  # type: ignore[index]
        if have.get("create requests") and have.get("approve requests"):
            for part in have.get("approve for signers", ()):
                signers = set(part.names)
                every = not signers or "kubernetes.io/*" in signers
                why = (*part.because, *have["approve requests"][0].because)
                if every or SIGNER in signers:
                    self._add("approve-request", who, follow.signs(False), why, 1.5)
                if every or KUBELET_SIGNER in signers:
                    self._add("approve-request", who, follow.signs(True), why, 1.5)


def _named(name: str, part: Part) -> bool:
    return not part.names or name in part.names


def _both(have: Mapping[str, list[Part]], one: str, other: str) -> tuple[str, ...]:
    if not have.get(one) or not have.get(other):
        return ()
    return (*have[one][0].because, *have[other][0].because)
