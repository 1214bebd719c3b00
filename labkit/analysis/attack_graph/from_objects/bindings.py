"""From who somebody is to what they may do: roles and bindings as steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labkit.analysis.attack_graph.from_objects.builder import MEMBERSHIP, account
from labkit.analysis.attack_graph.from_objects.consequences import MASTERS, Consequences
from labkit.analysis.attack_graph.from_objects.permissions import (
    Grant,
    Held,
    everything,
    permissions_of,
)
from labkit.cluster.policies import Binding, RbacRole, RbacRule
from labkit.cluster.syntax.source import Source
from labkit.model import Foothold

__all__ = ["Bindings"]

AUTHENTICATED, ACCOUNTS = "system:authenticated", "system:serviceaccounts"
ANONYMOUS, UNAUTHENTICATED = "system:anonymous", "system:unauthenticated"
SIGNER, KUBELET_SIGNER = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
)
ALL_RULES = (RbacRule(("*",), ("*",), ("*",), (), ()),)


@dataclass(frozen=True, slots=True)
class Part:
    """A permission that a holder has somewhere, and why."""

    names: tuple[str, ...]
    because: tuple[str, ...]


@dataclass
class Holder:
    """Somebody with rights: the parts by namespace ("" for all) and by permission."""

    parts: dict[str, dict[str, list[Part]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    #: The roles bound to it where they are: to change one of them is to change one's own rights.
    own_roles: set[tuple[str, str]] = field(default_factory=set)


class Bindings:
    """Writes the steps of all bindings of a cluster."""

    def __init__(self, consequences: Consequences) -> None:
        self.consequences = consequences
        self.cluster, self.builder = consequences.cluster, consequences.builder
        cluster = self.cluster
        self.roles = {(role.namespace, role.name): role for role in cluster.dump.rbac.roles}
        absent = Source("kube-apiserver", None, "ClusterRole cluster-admin", default=True)
        self.roles.setdefault(
            ("", "cluster-admin"), RbacRole("cluster-admin", "", ALL_RULES, absent)
        )
        self.permissions: dict[tuple[str, str], tuple[Held, ...]] = {}
        self.holders: dict[Foothold, Holder] = defaultdict(Holder)
        self.written: set[tuple[Foothold, str, tuple[str, ...], str]] = set()

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

    def _subjects(self, binding: Binding) -> Iterable[Foothold]:
        for kind, namespace, name in binding.subjects:
            if kind == "ServiceAccount":
                home = namespace or binding.namespace
                self.cluster.accounts_of[home][name] = None
                yield account(home, name)
            elif kind == "User":
                self.consequences.users[name] = None
                yield Foothold("is", name)
            elif kind == "Group":
                self.consequences.groups[name] = None
                yield self.consequences.in_group(name)

    def give(
        self, who: Foothold, of: tuple[str, str], namespace: str, because: tuple[str, ...]
    ) -> None:
        """Write what a role gives to somebody, in a namespace or in all ("")."""
        role = self.roles.get(of)
        if role is None:
            return
        if of not in self.permissions:
            self.permissions[of] = permissions_of(role)
        why = (*because, str(role.source))
        holder = self.holders[who]
        if of[0] or not namespace:
            holder.own_roles.add(of)
        if everything(role):
            grants = [self.consequences.everything(namespace)]
            self.builder.add("granted-everything", who, grants, why, MEMBERSHIP)
            if not namespace:
                return
        for held in self.permissions[of]:
            row = held.permission
            if namespace and row.cluster_scoped:
                continue
            holder.parts[namespace][row.name].append(Part(held.names, why))
            key = (who, row.name, held.names, namespace)
            if row.alone is not None and key not in self.written:
                self.written.add(key)
                row.alone(Grant(self.consequences, who, namespace, held.names, why))

    def _add(
        self, name: str, who: Foothold, grant: Foothold, why: tuple[str, ...], cost: float = 1.0
    ) -> None:
        self.builder.add(name, who, [grant], why, cost)

    # -- who belongs to which group -----------------------------------------------------------

    def _groups_of(self, who: Foothold) -> list[Foothold]:
        """Return the groups of an identity that have rights, by what is known of its name."""
        if who.kind != "is":
            return []
        name = str(who.where)
        if name == ANONYMOUS:
            names = [UNAUTHENTICATED]
        elif name.startswith("system:serviceaccount:"):
            names = [AUTHENTICATED, ACCOUNTS, f"{ACCOUNTS}:{name.split(':')[2]}"]
        else:
            names = [AUTHENTICATED]
        groups = (Foothold("group", each) for each in names)
        return [it for it in groups if it in self.holders]

    def _memberships(self) -> None:
        people = dict.fromkeys(who for who in self.holders if who.kind == "is")
        for home, names in self.cluster.accounts_of.items():
            people |= dict.fromkeys(account(home, name) for name in names)
        people |= dict.fromkeys(
            Foothold("is", f"system:node:{name}") for name in self.cluster.nodes
        )
        for who in people:
            self.builder.add("group-membership", who, self._groups_of(who), (), MEMBERSHIP)

    # -- what counts only together ------------------------------------------------------------

    def _together(self, who: Foothold) -> None:
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

    def _combine(self, who: Foothold, at: str, have: Mapping[str, list[Part]], own: Holder) -> None:
        to = self.consequences
        for reading in ("list secrets", "get secrets"):
            if why := _both(have, "create secrets", reading):
                self._add("token-secret", who, to.makes_tokens(at), why, 1.5)
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
                    self._add("escalate", who, to.everything(at), why)
        for starting in ("create pods", "create workloads", "change workloads"):
            if at and not self.cluster.open(at):
                for part in have.get("change namespaces", ()):
                    if _named(at, part) and have.get(starting):
                        why = (*part.because, *have[starting][0].because)
                        self._add("relabel-namespace", who, to.privileged(), why, 1.5)
            elif not at and have.get(starting) and have.get("change namespaces"):
                part = have["change namespaces"][0]
                homes = part.names or self.cluster.namespaces
                if any(home in self.cluster.levels for home in homes):
                    why = (*part.because, *have[starting][0].because)
                    self._add("relabel-namespace", who, to.privileged(), why, 1.5)

    def _bind(self, who: Foothold, at: str, kind: str, bind: Part, writing: Part) -> None:
        why = (*bind.because, *writing.because)
        if not bind.names:
            if kind == "clusterroles" or not at:
                self._add("bind", who, self.consequences.everything(at), why)
            return
        for name in bind.names:
            of = (at if kind == "roles" else "", name)
            if of not in self.roles:
                continue
            place = f" in {at}" if at else ""
            bound = Foothold("role", f"{'Role' if of[0] else 'ClusterRole'} {name}{place}")
            self._add("bind", who, bound, why)
            if bound not in self.holders:
                self.give(bound, of, at, ())
                self._together(bound)

    def _bind_everywhere(self, who: Foothold, have: Mapping[str, list[Part]]) -> None:
        """Bind in each namespace, for who writes rolebindings in all of them."""
        if not have.get("write rolebindings"):
            return
        for part in have.get("bind clusterroles", ()):
            for home in self.cluster.namespaces:
                self._bind(who, home, "clusterroles", part, have["write rolebindings"][0])

    def _cluster_wide(self, who: Foothold, have: Mapping[str, list[Part]], own: Holder) -> None:
        to = self.consequences
        for part in have.get("escalate clusterroles", ()):
            for writing in have.get("write clusterroles", ()):
                mine = [name for home, name in own.own_roles if not home]
                if any(_named(name, part) and _named(name, writing) for name in mine):
                    why = (*part.because, *writing.because)
                    self._add("escalate", who, to.admin(), why)
        # Impersonate-Group is taken only beside Impersonate-User
        anybody = have.get("impersonate users") or have.get("impersonate accounts")
        for part in have.get("impersonate groups", ()) if anybody else ():
            names = part.names or (MASTERS,)
            grants = [to.in_group(name) for name in names]
            self.builder.add("impersonate", who, grants, (*part.because, *anybody[0].because))  # type: ignore[index]
        if have.get("create requests") and have.get("approve requests"):
            for part in have.get("approve for signers", ()):
                signers = set(part.names)
                every = not signers or "kubernetes.io/*" in signers
                why = (*part.because, *have["approve requests"][0].because)
                if every or SIGNER in signers:
                    self._add("approve-request", who, to.signs(False), why, 1.5)
                if every or KUBELET_SIGNER in signers:
                    self._add("approve-request", who, to.signs(True), why, 1.5)


def _named(name: str, part: Part) -> bool:
    return not part.names or name in part.names


def _both(have: Mapping[str, list[Part]], one: str, other: str) -> tuple[str, ...]:
    if not have.get(one) or not have.get(other):
        return ()
    return (*have[one][0].because, *have[other][0].because)
