"""From who somebody is to what they may do: roles and bindings as steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from labkit.analysis.attack_graph.from_objects.builder import (
    BOOTSTRAPPERS,
    KUBEADM_TOKENS,
    MEMBERSHIP,
    account,
    doubts,
    inside,
)
from labkit.analysis.attack_graph.from_objects.consequences import (
    EVERY_NAMESPACE,
    MASTERS,
    Consequences,
)
from labkit.analysis.attack_graph.from_objects.escapes import (
    ETCD,
    KUBELET,
    PKI,
    TOKENS,
    writes_logs,
)
from labkit.analysis.attack_graph.from_objects.permissions import (
    STARTING,
    Grant,
    Held,
    everything,
    homes_of_workloads,
    permissions_of,
    permissions_to_ask,
    plain_name,
)
from labkit.cluster.objects.facts import UNREAD, PodGroup
from labkit.cluster.policies import Binding, RbacRole, RbacRule
from labkit.cluster.syntax.source import Source
from labkit.model import Foothold
from labkit.model.rules import Action

__all__ = ["Bindings"]

AUTHENTICATED, ACCOUNTS = "system:authenticated", "system:serviceaccounts"
NODES = "system:nodes"
ANONYMOUS, UNAUTHENTICATED = "system:anonymous", "system:unauthenticated"
SIGNER, KUBELET_SIGNER = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
)
#: How the controller of certificates approves a request by itself.
AUTOMATIC = Action("update", "certificatesigningrequests/approval", "certificates.k8s.io")
#: The admission plugin that asks about the signer of a request that is approved.
APPROVAL = "CertificateApproval"
#: Since Kubernetes 1.36 the apiserver has mutating policies; before, behind a feature gate.
POLICIES, POLICIES_BEHIND_A_GATE = (1, 36), (1, 32)
ALL_RULES = (RbacRule(("*",), ("*",), ("*",), (), ()),)


BINDABLE = ("clusterroles", "roles")
#: The namespace and name of roles, and where each is bound.
Roles = AbstractSet[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A permission that a holder has somewhere, and why."""

    held: Held
    because: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The objects that it is for; empty for any."""
        return self.held.names


@dataclass
class Holder:
    """Somebody with rights: the parts by namespace ("" for all) and by permission."""

    parts: dict[str, dict[str, list[Part]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    #: The roles bound to it, each with where it is bound: to change one of them is to change
    #: one's own rights there.
    own_roles: set[tuple[str, str, str]] = field(default_factory=set)


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
        self.asked = permissions_to_ask(cluster.dump.custom_workloads)
        self.holders: dict[Foothold, Holder] = defaultdict(Holder)
        self.written: set[tuple[Foothold, Held, str]] = set()
        self.bindings_of: dict[str, list[Binding]] = defaultdict(list)
        for binding in cluster.dump.rbac.bindings:
            self.bindings_of[binding.namespace].append(binding)
        self.secrets = {(it.namespace, it.name) for it in cluster.dump.secrets}
        self.roles_in: dict[str, list[str]] = defaultdict(list)
        for home, name in self.roles:
            self.roles_in[home].append(name)

    def write(self) -> None:
        """Write every step that a binding gives rise to."""
        for binding in self.cluster.dump.rbac.bindings:
            of = _role_of(binding)
            lost = of not in self.roles and binding.role_kind in self.cluster.dump.rbac.missing
            for who in self._subjects(binding):
                self.give(who, of, binding.namespace, (str(binding.source),))
                if lost:
                    self._lost(who, binding)
        if authorizer := self.cluster.dump.authorizer:
            self._may_do_everything("", f"whether {authorizer} lets {{}} do everything", authorizer)
        for kind, home in self.cluster.dump.bindings_missing.items():
            self._may_do_everything(home, f"whether a {kind} gives {{}} everything", f"no {kind}")
        self._memberships()
        for who in list(self.holders):
            self._together(who)
        for pods in self.cluster.dump.pods:
            others = self.consequences.other_tokens(pods)
            if (pods.spec.token or others) and writes_logs(pods):
                self._by_log(pods, "" if pods.spec.token else min(it for _, it in others))

    def _may_do_everything(self, namespace: str, unknown: str, because: str) -> None:
        """Write the steps of callers and groups to everything that something unread may allow."""
        for name in (AUTHENTICATED, UNAUTHENTICATED):
            who, grant = self.consequences.in_group(name), self.consequences.everything(namespace)
            self.holders.setdefault(who, Holder())
            unread = unknown.format(name)
            self._add("granted-everything", who, grant, (because,), MEMBERSHIP, unread)

    def _lost(self, who: Foothold, binding: Binding) -> None:
        """Write the step of one who is bound to a role that the dump lacks: it may allow all."""
        self.holders.setdefault(who, Holder())
        grant = self.consequences.everything(binding.namespace)
        unknown = f"what {binding.role_kind} {binding.role} allows: it is not in the dump"
        why = (str(binding.source),)
        self._add("granted-everything", who, grant, why, MEMBERSHIP, unknown)

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
        self,
        who: Foothold,
        of: tuple[str, str],
        namespace: str,
        because: tuple[str, ...],
        *,
        in_each: bool = False,
    ) -> None:
        """Write what a role gives to somebody, in a namespace or in all ("").

        With ``in_each``, the role is bound in each namespace, which gives nothing of what is in
        no namespace.
        """
        role = self.roles.get(of)
        if role is None:
            return
        if of not in self.permissions:
            self.permissions[of] = permissions_of(role, self.asked)
        why = (*because, str(role.source))
        holder = self.holders[who]
        holder.own_roles.add((*of, EVERY_NAMESPACE if in_each else namespace))
        if everything(role):
            to = self.consequences
            grant = to.everything_everywhere() if in_each else to.everything(namespace)
            self.builder.add("granted-everything", who, [grant], why, MEMBERSHIP)
            if not namespace:
                return
        for held in self.permissions[of]:
            row = held.permission
            if row.cluster_scoped and (namespace or in_each):
                continue
            holder.parts[namespace][row.name].append(Part(held, why))
            key = (who, held, namespace)
            if row.alone is not None and key not in self.written:
                self.written.add(key)
                self._alone(row.alone, Grant(self.consequences, who, namespace, held, why))

    def _alone(self, write: Callable[[Grant], None], grant: Grant) -> None:
        """Write what a permission gives by itself, with what admission leaves to be found out.

        A webhook or a policy may be for some namespaces only. So one who has a permission in
        each of them has it in one after the other, by a foothold that all its holders share.
        """
        held, at = grant.held, grant.namespace
        doubt = held.objection(self.cluster, at)
        if not doubt or at or held.permission.cluster_scoped:
            write(replace(grant, doubt=doubt) if doubt else grant)
            return
        anywhere = Foothold("permission", f"{held} in every namespace")

        def write_each() -> None:
            for home in self.cluster.namespaces:
                doubt, why = held.objection(self.cluster, home), (f"Namespace {home}",)
                write(Grant(self.consequences, anywhere, home, held, why, doubt))

        self.builder.once(anywhere, write_each)
        self._add("any-namespace", grant.who, anywhere, grant.because, MEMBERSHIP)

    def _doubt(self, at: str, *parts: Part) -> str:
        """Return what has to be found out about admission for several permissions together."""
        return doubts(*(part.held.objection(self.cluster, at) for part in parts))

    def _add(
        self,
        name: str,
        who: Foothold,
        grant: Foothold,
        why: tuple[str, ...],
        cost: float = 1.0,
        unknown: str = "",
    ) -> None:
        self.builder.add(name, who, [grant], why, cost, unknown)

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
        elif name in self.cluster.bootstrap_users:
            more = self.cluster.bootstrap_users[name]
            names = [AUTHENTICATED, BOOTSTRAPPERS, *((KUBEADM_TOKENS,) if more is None else more)]
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
        people |= dict.fromkeys(Foothold("is", name) for name in self.cluster.bootstrap_users)
        for who in people:
            self.builder.add("group-membership", who, self._groups_of(who), (), MEMBERSHIP)
        for name, groups in self.cluster.bootstrap_users.items():
            if groups is None:
                self._other_bootstrappers(Foothold("is", name))

    def _other_bootstrappers(self, who: Foothold) -> None:
        """Write the groups that a bootstrap token may have whose secret is in the dump by name."""
        for holder in list(self.holders):
            name = str(holder.where)
            other = name.startswith(f"{BOOTSTRAPPERS}:") and name != KUBEADM_TOKENS
            if holder.kind == "group" and other:
                unknown = f"whether {who.where} has the group {name}"
                self._add("group-membership", who, holder, (), MEMBERSHIP, unknown)

    # -- what counts only together ------------------------------------------------------------

    def _together(self, who: Foothold) -> None:
        groups = [self.holders[name] for name in self._groups_of(who)]
        own = self.holders[who]
        roles = own.own_roles.union(*(it.own_roles for it in groups))
        everywhere = self._joined([own, *groups], "")
        if own.parts.get(""):
            self._combine(who, "", everywhere, roles)
        for at in self._homes(own, groups, everywhere, roles):
            here = self._joined([own, *groups], at)
            merged = {
                what: [*here.get(what, ()), *everywhere.get(what, ())]
                for what in {**here, **everywhere}
            }
            self._combine(who, at, merged, roles)

    def _homes(
        self,
        own: Holder,
        groups: Iterable[Holder],
        everywhere: Mapping[str, list[Part]],
        roles: Roles,
    ) -> list[str]:
        """Return the namespaces in which somebody has more than in each of them.

        What they have in all of them may count only together with what a group has in one, or
        with a role that gives nothing yet: one who may escalate roles changes it.
        """
        homes = dict.fromkeys(own.parts)
        if homes:
            homes |= dict.fromkeys(home for it in groups for home in it.parts)
        if "escalate roles" in everywhere:
            homes |= dict.fromkeys(home for home, _, _ in sorted(roles))
        return [home for home in homes if home]

    def _joined(self, holders: Iterable[Holder], at: str) -> dict[str, list[Part]]:
        result: dict[str, list[Part]] = defaultdict(list)
        for holder in holders:
            for what, parts in holder.parts.get(at, {}).items():
                result[what] += parts
        return result

    def _combine(
        self, who: Foothold, at: str, have: Mapping[str, list[Part]], roles: Roles
    ) -> None:
        self._token_secrets(who, at, have)
        self._bindings(who, at, have)
        self._pods(who, at, have)
        self._bound_pods(who, at, have)
        if not at:
            self._escalate_everywhere(who, have, roles)
            self._cluster_wide(who, have)
        for part in have.get("escalate roles", ()) if at else ():
            for writing in have.get("change roles", ()):
                names = {name for home, name, _ in roles if home == at}
                if any(_named(name, part) and _named(name, writing) for name in names):
                    why = (*part.because, *writing.because)
                    doubt = self._doubt(at, writing)
                    self._add("escalate", who, self.consequences.everything(at), why, 1.0, doubt)

    def _token_secrets(self, who: Foothold, at: str, have: Mapping[str, list[Part]]) -> None:
        """Write the step of one who makes a secret, has it filled with a token, and reads it.

        One who reads by name only makes the secret under such a name, so it must not exist yet,
        or be theirs to delete.
        """
        creating = have.get("create secrets", ())
        for part in (*have.get("list secrets", ()), *have.get("get secrets", ())):
            if not creating:
                return
            free = [it for it in part.names if self._free(at, it, have.get("delete secrets", ()))]
            if part.names and not free:
                continue
            known = not part.names or not self.cluster.dump.may_lack("Secret", at)
            unknown = "" if known else f"whether a secret has the name {', '.join(free)}"
            why = (*creating[0].because, *part.because)
            found_out = doubts(unknown, self._doubt(at, creating[0]))
            self._add("token-secret", who, self.consequences.makes_tokens(at), why, 1.5, found_out)

    def _free(self, at: str, name: str, deleting: Iterable[Part]) -> bool:
        if any(_named(name, part) for part in deleting):
            return True
        homes = [at] if at else self.cluster.namespaces
        return any((home, name) not in self.secrets for home in homes)

    def _pods(self, who: Foothold, at: str, have: Mapping[str, list[Part]]) -> None:
        """Write what comes of starting pods together with another right."""
        starting = [part for name in STARTING for part in have.get(name, ())]
        if not starting:
            return
        homes = [at] if at else self.cluster.namespaces
        closed = [home for home in homes if self.cluster.may_refuse(home)]
        reachable: dict[str, Part] = {}
        # what has to be found out for a way into a namespace, where no other is known
        found_out: dict[str, str] = {}
        for part in starting:
            there = dict.fromkeys(closed, "")
            if part.names:
                grant = Grant(self.consequences, who, at, part.held, part.because)
                named = homes_of_workloads(grant)
                there = {home: named[home] for home in named if home in closed}
            for home, unknown in there.items():
                if home not in reachable or (found_out[home] and not unknown):
                    reachable[home], found_out[home] = part, unknown
            if len(reachable) == len(closed) and not any(found_out.values()):
                break
        for part in have.get("change namespaces", ()):
            chosen = [it for it in reachable if _named(it, part)]
            chosen.sort(key=lambda it: bool(self.cluster.new_pod(it) or found_out[it]))
            for home in chosen[:1]:
                why = (*part.because, *reachable[home].because)
                admitted = self._doubt(home, part, reachable[home])
                doubt = doubts(found_out[home], admitted, self.cluster.new_pod(home))
                self._add("relabel-namespace", who, self.consequences.privileged(), why, 1.5, doubt)
        if reachable and (volumes := have.get("create volumes")):
            self._own_volume(who, reachable, found_out, volumes[0])

    def _own_volume(
        self,
        who: Foothold,
        reachable: Mapping[str, Part],
        found_out: Mapping[str, str],
        volume: Part,
    ) -> None:
        """Write the step of one who makes a volume of a node's path, and claims it from a pod.

        Pod Security looks at hostPath in a pod, and not at the volume behind a claim; a pod makes
        its own claim by an ephemeral volume. "restricted" keeps the pod from being root.
        """
        no_root = ("restricted", UNREAD)
        home = min(
            reachable,
            key=lambda it: (
                self.cluster.levels[it] in no_root,
                bool(self.cluster.new_pod(it) or found_out[it]),
            ),
        )
        why = (*volume.because, *reachable[home].because, self.cluster.level(home))
        unknown = ""
        if self.cluster.levels[home] in no_root:
            unknown = "whether a group may open the socket of a node's container runtime"
        admitted = (self._doubt(home, reachable[home], volume), self.cluster.new_pod(home))
        unknown = doubts(unknown, found_out[home], *admitted)
        self._add("own-volume", who, self.consequences.privileged(), why, 2.0, unknown)

    def _bound_pods(self, who: Foothold, at: str, have: Mapping[str, list[Part]]) -> None:
        """Write the steps of root on a node who may bind pods: those that wait come to it.

        A pod that has a node cannot be bound again.
        """
        unknown = "whether a pod waits for a node, or is bound before the scheduler does it"
        for part in have.get("bind pods to nodes", ())[:1]:
            grants = [self.consequences.enters(at), self.consequences.makes_tokens(at)]
            found_out = doubts(unknown, self._doubt(at, part))
            for node in self._nodes_with(who):
                root = Foothold("root", node)
                self.builder.add("draw-pods", root, grants, part.because, 3.0, found_out)

    # -- bindings -----------------------------------------------------------------------------

    def _bindings(self, who: Foothold, at: str, have: Mapping[str, list[Part]]) -> None:
        """Write the steps of one who binds roles by the verb "bind".

        Without it, the apiserver lets nobody bind what they do not hold themselves. The role of a
        binding that exists cannot be changed: who may only change bindings joins some.
        """
        for bindings in ("rolebindings",) if at else ("clusterrolebindings", "rolebindings"):
            in_each = not at and bindings == "rolebindings"
            kinds = ("clusterroles",) if bindings == "clusterrolebindings" else BINDABLE
            for kind in kinds:
                for part in have.get(f"bind {kind}", ()):
                    for writing in have.get(f"create {bindings}", ())[:1]:
                        self._bind(who, at, kind, part, writing, in_each=in_each)
                    for writing in have.get(f"change {bindings}", ()):
                        self._join(who, at, kind, part, writing, in_each=in_each)
                    self._bind_own(who, at, kind, part, bindings, have, in_each=in_each)

    def _bind_own(
        self,
        who: Foothold,
        at: str,
        kind: str,
        bind: Part,
        bindings: str,
        have: Mapping[str, list[Part]],
        *,
        in_each: bool,
    ) -> None:
        """Write the step of one who makes a role that allows everything, and binds it."""
        to = self.consequences
        writing = [*have.get(f"create {kind}", ()), *have.get(f"change {kind}", ())]
        binding = [*have.get(f"create {bindings}", ()), *have.get(f"change {bindings}", ())][:1]
        for escalate in have.get(f"escalate {kind}", ()):
            for role in writing if binding else ():
                named = [set(it.names) for it in (bind, escalate, role) if it.names]
                if named and not set.intersection(*named):
                    continue
                grant = to.everything_everywhere() if in_each else to.everything(at)
                parts = (bind, escalate, role, binding[0])
                why = tuple(dict.fromkeys(line for it in parts for line in it.because))
                self._add("bind", who, grant, why, 1.5, self._doubt(at, role, binding[0]))

    def _bind(
        self, who: Foothold, at: str, kind: str, bind: Part, writing: Part, *, in_each: bool
    ) -> None:
        why = (*bind.because, *writing.because)
        to, doubt = self.consequences, self._doubt(at, writing)
        if not bind.names and kind == "clusterroles":
            grant = to.everything_everywhere() if in_each else to.everything(at)
            self._add("bind", who, grant, why, 1.0, doubt)
        elif not bind.names:
            self._add("bind", who, self._binds_roles(at), why, 1.0, doubt)
        elif kind == "roles" and in_each:
            for home in self.cluster.namespaces:
                for name in bind.names:
                    self._bound(who, (home, name), home, why, self._doubt(home, writing))
        else:
            for name in bind.names:
                of = (at if kind == "roles" else "", name)
                self._bound(who, of, at, why, doubt, in_each=in_each)

    def _bound(
        self,
        who: Foothold,
        of: tuple[str, str],
        at: str,
        why: tuple[str, ...],
        unknown: str = "",
        *,
        in_each: bool = False,
    ) -> None:
        """Write the step to what a role gives, and that once."""
        if of not in self.roles:
            return
        place = EVERY_NAMESPACE if in_each else at
        shown = f"{'Role' if of[0] else 'ClusterRole'} {of[1]}{f' in {place}' if place else ''}"
        bound = Foothold("role", shown)
        self._add("bind", who, bound, why, 1.0, unknown)
        if bound not in self.holders:
            self.give(bound, of, at, (), in_each=in_each)
            self._together(bound)

    def _binds_roles(self, at: str) -> Foothold:
        """Return the foothold of one who binds any Role of a namespace, or of each, there."""
        foothold = Foothold("binds", at)

        def write() -> None:
            if at:
                for name in self.roles_in.get(at, ()):
                    self._bound(foothold, (at, name), at, (f"Role {at}/{name} exists",))
            else:
                homes = [self._binds_roles(home) for home in self.roles_in if home]
                self.builder.add("any-namespace", foothold, homes, (), MEMBERSHIP)

        return self.builder.once(foothold, write)

    def _join(
        self, who: Foothold, at: str, kind: str, bind: Part, writing: Part, *, in_each: bool
    ) -> None:
        why = (*bind.because, *writing.because)
        if not bind.names and not writing.names:
            joined, doubt = self._joins(at, kind, in_each=in_each), self._doubt(at, writing)
            self._add("bind", who, joined, why, 1.0, doubt)
            return
        homes = [it for it in self.bindings_of if it] if in_each else [at]
        for home in homes:
            for binding in self.bindings_of.get(home, ()):
                of = _role_of(binding)
                matches = _named(binding.name, writing) and _named(of[1], bind)
                if matches and bool(of[0]) == (kind == "roles"):
                    doubt = self._doubt(home, writing)
                    self._bound(who, of, home, (*why, str(binding.source)), doubt)

    def _joins(self, at: str, kind: str, *, in_each: bool) -> Foothold:
        """Return the foothold of one who joins every binding of some place to some kind of role."""
        where = EVERY_NAMESPACE if in_each else at
        foothold = Foothold("joins", f"{where} to {kind}".strip() if where else "")

        def write() -> None:
            if in_each:
                homes = [
                    self._joins(home, kind, in_each=False) for home in self.bindings_of if home
                ]
                self.builder.add("any-namespace", foothold, homes, (), MEMBERSHIP)
                return
            for binding in self.bindings_of.get(at, ()):
                of = _role_of(binding)
                if bool(of[0]) == (kind == "roles"):
                    self._bound(foothold, of, at, (str(binding.source),))

        return self.builder.once(foothold, write)

    # -- in the whole cluster -----------------------------------------------------------------

    def _escalate_everywhere(
        self, who: Foothold, have: Mapping[str, list[Part]], roles: Roles
    ) -> None:
        """Write the steps of one who may make a cluster role more powerful than they are.

        It has to be one of their own, or one that one of their own takes in: an aggregated role
        takes in any role with a label of its choice.
        """
        for part in have.get("escalate clusterroles", ()):
            for writing in have.get("change clusterroles", ()):
                taken_in = self._both_name_a_role(part, writing)
                why = (*part.because, *writing.because)
                doubt = self._doubt("", writing)
                self._escalate(who, part, writing, roles, why, doubt, taken_in=taken_in)
            # what is created has no name yet
            if not part.names and (creating := have.get("create clusterroles")):
                why, doubt = (*part.because, *creating[0].because), self._doubt("", creating[0])
                self._escalate(who, part, None, roles, why, doubt, taken_in=True)

    def _both_name_a_role(self, one: Part, other: Part) -> bool:
        return any(_named(it, one) and _named(it, other) for it in self.roles_in.get("", ()))

    def _escalate(
        self,
        who: Foothold,
        part: Part,
        writing: Part | None,
        roles: Roles,
        why: tuple[str, ...],
        unknown: str,
        *,
        taken_in: bool,
    ) -> None:
        to = self.consequences
        for home, name, at in sorted(roles):
            mine = writing is not None and _named(name, part) and _named(name, writing)
            if home or not (mine or (taken_in and name in self.cluster.dump.aggregated)):
                continue
            place = to.everything_everywhere() if at == EVERY_NAMESPACE else to.everything(at)
            self._add("escalate", who, place, why, 1.0, unknown)

    def _cluster_wide(self, who: Foothold, have: Mapping[str, list[Part]]) -> None:
        to = self.consequences
        # Impersonate-Group is taken only beside Impersonate-User
        anybody = have.get("impersonate users") or have.get("impersonate accounts")
        for part in have.get("impersonate groups", ()) if anybody else ():
            names = part.names or (MASTERS,)
            grants = [to.in_group(name) for name in names]
            if NODES in names:
                grants += self._impersonated_nodes(have.get("impersonate users", ()))
            self.builder.add("impersonate", who, grants, (*part.because, *anybody[0].because))  # type: ignore[index]
        if creating := have.get("create requests"):
            for approving in have.get("approve requests", ())[:1]:
                signers = have.get("approve for signers", ())
                self._approve(who, creating[0], approving, signers)
            for part in have.get("approved automatically", ()):
                approved = self.cluster.objection(AUTOMATIC)
                why = (*creating[0].because, *part.because)
                doubt = doubts(self._doubt("", creating[0]), approved)
                self._add("auto-approved-request", who, to.signs(True), why, 1.5, doubt)
        self._policies(who, have)
        self._redirected_kubelets(who, have)
        for part in have.get("change nodes", ()):
            for node in self._nodes_with(who):
                to.draws_pods(node, part.names, part.because, self._doubt("", part))

    def _redirected_kubelets(self, who: Foothold, have: Mapping[str, list[Part]]) -> None:
        """Write the steps of one who says where a node's kubelet is, and calls it by a proxy.

        The apiserver sends the request, with its own certificate for kubelets, to any address and
        port but loopback: to another kubelet, or to the apiserver itself.
        """
        to = self.consequences
        certificate = "what the apiserver's certificate for kubelets may do at the apiserver itself"
        for status in have.get("change node status", ()):
            for proxy in have.get("proxy to nodes", ()):
                proxied = set(map(plain_name, proxy.names))
                if status.names and proxied and proxied.isdisjoint(status.names):
                    continue
                why, doubt = (*status.because, *proxy.because), self._doubt("", status, proxy)
                self._add("redirect-kubelet", who, to.enters(""), why, 2.0, doubt)
                unknown = doubts(doubt, certificate)
                self._add("redirect-kubelet", who, to.admin(), why, 2.0, unknown)

    def _impersonated_nodes(self, users: Iterable[Part]) -> list[Foothold]:
        """Return the kubelets that one may be who gives themselves the group of nodes."""
        kubelets = {f"system:node:{name}": name for name in self.cluster.nodes}
        return [
            self.consequences.kubelet(node)
            for user, node in kubelets.items()
            if any(_named(user, part) for part in users)
        ]

    def _approve(
        self, who: Foothold, creating: Part, approving: Part, signers: Iterable[Part]
    ) -> None:
        """Write the steps of one who approves certificate signing requests of their own.

        The plugin CertificateApproval asks whether they may do so for the request's signer.
        """
        to, doubt = self.consequences, self._doubt("", creating, approving)
        kinds = {SIGNER: False, KUBELET_SIGNER: True}
        off = self.cluster.without(APPROVAL)
        if off is not None:
            why, unknown = (*approving.because, f"without {APPROVAL}"), doubts(doubt, off)
            for kubelets_only in kinds.values():
                self._add("approve-request", who, to.signs(kubelets_only), why, 1.5, unknown)
        for part in signers:
            names, why = set(part.names), (*part.because, *approving.because)
            every = not names or "kubernetes.io/*" in names
            for signer, kubelets_only in kinds.items():
                if every or signer in names:
                    self._add("approve-request", who, to.signs(kubelets_only), why, 1.5, doubt)

    def _policies(self, who: Foothold, have: Mapping[str, list[Part]]) -> None:
        """Write the step of one who has the apiserver change every pod, by a policy of their own.

        A policy counts with a binding. Pod Security judges the pod as it is then.
        """
        oldest, newest = self.cluster.versions[0], self.cluster.versions[-1]
        if newest < POLICIES_BEHIND_A_GATE:
            return
        found_out = []
        if oldest < POLICIES:
            found_out.append("whether the apiserver has MutatingAdmissionPolicy switched on")
        making, binding = have.get("create mutating policies"), have.get("create policy bindings")
        changing = have.get("change mutating policies")
        if not (making and binding):
            binding = binding or have.get("change policy bindings")
            used = changing or (making if binding else None)
            if not used:
                return
            making = used
            found_out.append("whether there is a policy or a binding to change")
        why = (*making[0].because, *(binding[0].because if binding else ()))
        unknown = "; ".join(found_out)
        self._add("mutating-policy", who, self.consequences.privileged(), why, 3.0, unknown)

    def _nodes_with(self, who: Foothold) -> list[str]:
        """Return the nodes whose root holds an identity, or one of a group, by way of a pod."""
        found: dict[str, None] = {}
        for pods in self.cluster.dump.pods:
            holder = account(pods.namespace, pods.account)
            if who == holder or who in self._groups_of(holder):
                found.update(dict.fromkeys(pods.nodes))
        return list(found)

    def _by_log(self, pods: PodGroup, found_out: str) -> None:
        """Write the step of a pod that links files into its node's logs, and has them read.

        The kubelet serves ``/var/log`` as root, and follows links.
        """
        who = account(pods.namespace, pods.account)
        holders = [self.holders[it] for it in (who, *self._groups_of(who)) if it in self.holders]
        have = self._joined(holders, "")
        for part in (*have.get("read node logs", ()), *have.get("kubelet", ())):
            for node in pods.nodes:
                if _named(node, part):
                    to = self.consequences
                    gives = (KUBELET, TOKENS, PKI, ETCD)
                    grants = [it for each in gives for it in to.given(each, node)]
                    where = f"Pod {pods.namespace}/{pods.pods[0]}: writes /var/log of Node {node}"
                    why = (where, *part.because)
                    self.builder.add("node-log-symlink", inside(pods), grants, why, 1.5, found_out)


def _role_of(binding: Binding) -> tuple[str, str]:
    return ("" if binding.role_kind == "ClusterRole" else binding.namespace, binding.role)


def _named(name: str, part: Part) -> bool:
    return not part.names or name in part.names
