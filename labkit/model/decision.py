"""One decision on one request: what an apiserver, or a kubelet, answers to a caller.

Every question about rights is put here: the claims of channels, what a stored credential gives,
the predictions of techniques. The authorizers are asked in their order, as the apiserver does:
https://kubernetes.io/docs/reference/access-authn-authz/authorization/. Webhooks and admission
policies come after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from labkit.cluster.apiserver_files import AccessWebhook, Authorizer
from labkit.cluster.facts import Component, Environment
from labkit.cluster.policies import AbacRule, Rbac, path_matches
from labkit.cluster.syntax.source import Setting, Source
from labkit.cluster.versions import apiserver_versions
from labkit.model.admission_hooks import objection
from labkit.model.admission_plugins import unread_flags
from labkit.model.bootstrap import APISERVER, bootstrap_policy
from labkit.model.claims import Claim
from labkit.model.features import features_of, versions_of
from labkit.model.node_authorizer import node_allows
from labkit.model.rules import Action, rule_allows
from labkit.model.webhooks import is_asked

__all__ = [
    "ALLOWED",
    "ANONYMOUS",
    "AUTHENTICATED",
    "DENIED",
    "EVERYTHING",
    "KNOWN_MODES",
    "MASTERS",
    "UNAUTHENTICATED",
    "UNKNOWN",
    "Action",
    "Caller",
    "Decision",
    "abac_allows",
    "authorize",
    "authorizers",
    "decide",
    "decide_at_kubelet",
    "kubelet_actions",
    "member_of",
    "rbac_allows",
    "rule_allows",
    "unread_flags",
]

ALLOWED, DENIED, UNKNOWN = "allowed", "denied", "unknown"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"
#: The name of a caller of whom only the groups are known.
ANYBODY = "any caller of the group"
MASTERS = "system:masters"
KNOWN_MODES = frozenset({"AlwaysAllow", "AlwaysDeny", "ABAC", "RBAC", "Node", "Webhook"})
#: The authorizers that allow or have no opinion: then the next one is asked.
NEVER_DENY = frozenset({"ABAC", "RBAC", "Node"})
#: The version since which the bootstrap policy gives what that of the kit gives.
SAME_POLICY = (1, 20)
#: The groups to which every caller or every pod belongs.
EVERYBODY = frozenset(
    ("Group", name) for name in (AUTHENTICATED, UNAUTHENTICATED, "system:serviceaccounts")
)
#: The binding that gave every node what the role of nodes allows: of Kubernetes before 1.8, and of
#: clusters that are older (the RBAC reference, "system:node").
NODES = ("system:node", ("Group", "system:nodes"))
#: What stands for the authorizers of a configuration that could not be read.
UNREAD = "unread"
#: The verbs by which a kubelet asks about a request's method.
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: The paths of a kubelet with a subresource of their own. Those of the second kind are asked for
#: "nodes/proxy" as well if the first is refused, since Kubernetes 1.36 without a feature gate
#: (pkg/kubelet/server/auth.go).
OWN_PATHS = {
    "stats": "stats",
    "metrics": "metrics",
    "logs": "log",
    "checkpoint": "checkpoint",
    # of Kubernetes 1.37: a lab's kubelet refuses it to a holder of nodes/proxy alone
    "statusz": "statusz",
}
FINE_PATHS = {
    "pods": "pods",
    "runningpods": "pods",
    "healthz": "healthz",
    "configz": "configz",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller as the apiserver authenticates them; without a user, it refuses them.

    A claim of the value "unknown" says that nobody knows whether they are let in, or as whom.
    """

    user: str
    groups: frozenset[str]
    claim: Claim


#: What only a caller who may do everything is allowed.
EVERYTHING = Action("*", "*", "*")


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request, and what it rests on.

    Attributes
    ----------
    value : {"allowed", "denied", "unknown"}
    claim : Claim
        The rule that allows it, or why nothing does, or what could not be read.
    caller : Claim
        Why the caller is known by their name.

    Examples
    --------
    >>> claim = Claim("unknown", "a service outside the cluster decides", Source("a.conf", 2, ""))
    >>> print(Decision("unknown", claim, claim))
    unknown (a service outside the cluster decides): a.conf:2
    """

    value: str
    claim: Claim
    caller: Claim

    @property
    def because(self) -> tuple[Claim, ...]:
        """The claims that it rests on."""
        return (self.caller, self.claim)

    def __str__(self) -> str:
        return str(self.claim)


def member_of(*groups: str, user: str = ANYBODY) -> Caller:
    """Return a caller of whom only the groups are known.

    Examples
    --------
    >>> sorted(member_of("system:authenticated").groups)
    ['system:authenticated']
    """
    claim = Claim("required", user, Source("by hand", None, ""))
    return Caller(user, frozenset(groups), claim)


def authorizers(env: Environment, apiserver: Component) -> tuple[Authorizer, ...]:
    """Return the authorizers of an apiserver in their order, by its flag or by its file.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> [it.kind for it in authorizers(env, env.component("kube-apiserver@master"))]
    ['Node', 'RBAC']
    """
    config = apiserver.given("authorization-config")
    if config and config.value and not unread_flags(apiserver, "authorization-config"):
        absent = (Authorizer(UNREAD, config.source),)
        return env.apiserver_files.authorizers.get(apiserver.id, absent)
    if (config and config.value) or unread_flags(apiserver, "authorization-mode"):
        return (Authorizer(UNREAD, apiserver.source),)
    modes = apiserver.values("authorization-mode")
    webhook = _webhook_by_flags(apiserver)
    return tuple(
        Authorizer(item.value, item.source, webhook if item.value == "Webhook" else None)
        for item in modes
    )


def _webhook_by_flags(apiserver: Component) -> AccessWebhook:
    """Return the webhook authorizer of the old flags, which leave no choice without an answer."""
    config = apiserver.setting("authorization-webhook-config-file")
    # buildAuthorizationConfiguration in pkg/kubeapiserver/options/authorization.go
    return AccessWebhook(config, Setting("NoOpinion", config.source))


def decide(
    env: Environment,
    apiserver: Component,
    caller: Caller,
    action: Action,
    labels: Mapping[str, str] | None = None,
    *,
    unanswered: bool = False,
) -> Decision:
    """Decide whether an apiserver carries out a caller's request: its authorizers, then admission.

    With RBAC, the apiserver's bootstrap policy counts as well. Of admission, the webhooks and the
    policies of the manifests count: :func:`labkit.model.admission_hooks.objection`.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    caller : Caller
    action : Action
    labels : mapping, optional
        The labels of an object that is created; None if they are not known.
    unanswered : bool
        Whether no webhook authorizer answers: then its failure policy counts.

    Returns
    -------
    Decision
        "unknown" where a webhook, a policy or a configuration that could not be read decides; a
        webhook authorizer may also deny what an authorizer behind it would allow.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.rights import authenticated_as
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> kubelet = authenticated_as(apiserver, env, env.credential("kubelet", "worker1"))
    >>> decide(env, apiserver, kubelet, Action("impersonate", "users")).value
    'denied'
    >>> admin = authenticated_as(apiserver, env, env.credential("admin", "master"))
    >>> decide(env, apiserver, admin, EVERYTHING).value
    'allowed'
    """
    found = authorize(env, apiserver, caller, action, unanswered=unanswered)
    doubt = objection(env, apiserver, action, labels) if found.value == ALLOWED else None
    return found if doubt is None else Decision(UNKNOWN, doubt, caller.claim)


def authorize(
    env: Environment,
    apiserver: Component,
    caller: Caller,
    action: Action,
    *,
    unanswered: bool = False,
) -> Decision:
    """Decide what an apiserver's authorizers answer, as to a SubjectAccessReview.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    caller : Caller
    action : Action
    unanswered : bool
        Whether no webhook authorizer answers.

    Returns
    -------
    Decision

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> ann = member_of("system:masters", user="ann")
    >>> authorize(env, env.component("kube-apiserver@master"), ann, EVERYTHING).value
    'allowed'
    """
    known = caller.claim.value != UNKNOWN
    if not caller.user:
        value = DENIED if known else UNKNOWN
        claim = Claim(value, caller.claim.detail, caller.claim.source)
        return Decision(value, claim, caller.claim)
    claim = _authorized(env, apiserver, caller, action, unanswered=unanswered)
    if claim.value == ALLOWED and not known:
        claim = replace(claim, value=UNKNOWN, detail=f"{claim.detail}; {caller.claim.detail}")
    return Decision(claim.value, claim, caller.claim)


def _authorized(
    env: Environment, apiserver: Component, caller: Caller, action: Action, *, unanswered: bool
) -> Claim:
    modes = apiserver.setting("authorization-mode").source
    if MASTERS in caller.groups:
        # pkg/kubeapiserver/authorizer/reload.go lets this group through before any other
        return Claim(ALLOWED, MASTERS, modes)
    doubt: Claim | None = None
    denies: Claim | None = None
    for it in authorizers(env, apiserver):
        found = _asked(env, apiserver, it, caller, action, unanswered=unanswered)
        if found is None:
            continue
        if found.value == DENIED:
            # none after it is asked; one before it that cannot be read may have allowed it
            return doubt or found
        if found.value == ALLOWED and denies is not None:
            # what cannot be read is asked first, and may deny it
            return replace(denies, detail=f"{denies.detail}, before {found.detail}")
        if found.value == ALLOWED:
            return found
        doubt = doubt or found
        if it.kind not in NEVER_DENY:
            denies = denies or found
    return doubt or Claim(DENIED, f"nothing lets {caller.user} {action}", modes)


def _asked(
    env: Environment,
    apiserver: Component,
    it: Authorizer,
    caller: Caller,
    action: Action,
    *,
    unanswered: bool,
) -> Claim | None:
    """Return what one authorizer answers; None if it has no opinion."""
    if it.kind == "AlwaysAllow":
        return Claim(ALLOWED, "AlwaysAllow", it.source)
    if it.kind == "ABAC":
        for rule in env.abac.get(apiserver.id, ()):
            if abac_allows(rule, caller, action) and (action != EVERYTHING or rule.everything):
                detail = f"ABAC: {action}"
                if action == EVERYTHING:
                    detail = f"ABAC: {rule.group or rule.user} may do everything"
                return Claim(ALLOWED, detail, rule.source)
        if apiserver.id in env.abac or env.complete:
            return None
        return Claim(UNKNOWN, "the ABAC policy could not be read", it.source)
    if it.kind == "RBAC":
        return _rbac(env, apiserver, caller, action)
    if it.kind == "Node":
        features = features_of(env, apiserver)
        found = node_allows(env, features, caller.user, caller.groups, action)
        if found is None:
            detail = f"which pods of the node need it: {action}"
            if len(features.versions) > 1:
                detail = f"which version of Kubernetes decides, or {detail}"
            return Claim(UNKNOWN, detail, it.source)
        return Claim(ALLOWED, f"Node: {action}", it.source) if found else None
    if it.kind == "Webhook":
        return _webhook(it, caller, action, unanswered=unanswered)
    if it.kind == UNREAD:
        return Claim(UNKNOWN, "what decides on authorization could not be read", it.source)
    if it.kind == "AlwaysDeny":
        return None
    return Claim(UNKNOWN, f"no mode that labkit knows: {it.kind}", it.source)


def _webhook(it: Authorizer, caller: Caller, action: Action, *, unanswered: bool) -> Claim | None:
    """Return what a webhook authorizer answers, which nobody knows, or its failure policy."""
    unknown = Claim(UNKNOWN, "a service outside the cluster decides", it.source)
    if it.webhook is None:
        return unknown
    user = "" if caller.user == ANYBODY else caller.user
    asked = is_asked(it.webhook.conditions, user, caller.groups, action)
    if asked is False:
        return None
    if not unanswered:
        return unknown
    policy = it.webhook.failure_policy
    if asked is not True:
        detail = "labkit does not evaluate the condition on which a webhook is asked"
        return None if policy.value == "NoOpinion" else Claim(UNKNOWN, detail, asked.source)
    if policy.value == "Deny":
        return Claim(DENIED, "failurePolicy Deny: a webhook that does not answer", policy.source)
    if policy.value == "NoOpinion":
        return None
    return Claim(UNKNOWN, f"no failure policy that labkit knows: {policy.value}", policy.source)


def _rbac(env: Environment, apiserver: Component, caller: Caller, action: Action) -> Claim | None:
    found = rbac_allows((env.rbac, bootstrap_policy()), caller, action)
    old = not env.complete and _is_old(env, apiserver)
    if found is None:
        missing = _missing_rbac(env, caller, action)
        return missing or (_older_policy(env, caller) if old else None)
    subject, role, source = found
    if old and source.path == APISERVER and (doubt := _older_policy(env, caller)):
        return doubt
    detail = f"RBAC: {action}"
    if action == EVERYTHING:
        name = source.text.partition(" ")[2]
        detail = f"RBAC: {name} gives {subject} {role}"
    return Claim(ALLOWED, detail, source)


def _is_old(env: Environment, apiserver: Component) -> bool:
    """Say whether an apiserver has, or may have, an older bootstrap policy than that of the kit.

    A version that nothing says may be any.
    """
    found = versions_of(env, apiserver)
    return min(found) < SAME_POLICY or found == apiserver_versions(())


def _older_policy(env: Environment, caller: Caller) -> Claim | None:
    """Return the claim that nobody knows what the bootstrap policy gives a caller, or None.

    What it gives every caller was never more than discovery. An object of the cluster's own
    counts instead of the policy's.
    """
    subjects = {("User", caller.user), *(("Group", group) for group in caller.groups)} - EVERYBODY
    mine = {(it.namespace, it.name) for it in env.rbac.bindings}
    roles = {(it.namespace, it.name) for it in env.rbac.roles}
    for binding in bootstrap_policy().bindings:
        named = {(kind, name) for kind, _, name in binding.subjects if kind != "ServiceAccount"}
        named |= {
            ("User", f"system:serviceaccount:{namespace}:{name}")
            for kind, namespace, name in binding.subjects
            if kind == "ServiceAccount"
        }
        if binding.name == NODES[0]:
            named.add(NODES[1])
        home = "" if binding.role_kind == "ClusterRole" else binding.namespace
        own = (binding.namespace, binding.name) in mine and (home, binding.role) in roles
        if named & subjects and not own:
            detail = f"RBAC: what {binding.role} allows in the apiserver's version is not known"
            return Claim(UNKNOWN, detail, binding.source)
    return None


def _missing_rbac(env: Environment, caller: Caller, action: Action) -> Claim | None:
    """Return the claim that RBAC objects may allow an action that nobody has read, or None."""
    if not env.rbac.missing:
        return None
    wanted = {"ClusterRoleBinding", "RoleBinding"} if action.namespace else {"ClusterRoleBinding"}
    lost = sorted(wanted & env.rbac.missing)
    why = "which of them there are is not known"
    subjects = [("User", caller.user), *(("Group", group) for group in sorted(caller.groups))]
    for binding in [it for who in subjects for it in env.rbac.by_subject.get(who, ())]:
        home = "" if binding.role_kind == "ClusterRole" else binding.namespace
        known = any((home, binding.role) in it.rules_of for it in (env.rbac, bootstrap_policy()))
        here = not binding.namespace or binding.namespace == action.namespace
        if here and not known and binding.role_kind in env.rbac.missing:
            lost.append(binding.role_kind)
            why = f"what {binding.role} allows is not known"
    if not lost:
        return None
    return Claim(UNKNOWN, f"RBAC: {why}", Source(env.name, None, f"{lost[0]} not among the files"))


def rbac_allows(
    policies: Iterable[Rbac], caller: Caller, action: Action
) -> tuple[str, str, Source] | None:
    """Return the subject, the role and the binding by which RBAC allows an action, or None.

    Parameters
    ----------
    policies : iterable of Rbac
        Bindings of one may name roles of another; roles of one name give what each of them gives.
    caller : Caller
    action : Action

    Returns
    -------
    tuple of (str, str, Source) or None

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/

    Examples
    --------
    >>> from labkit.model.bootstrap import bootstrap_policy
    >>> caller = member_of("system:authenticated")
    >>> rbac_allows([bootstrap_policy()], caller, Action("get", "", path="/healthz"))[1]
    'system:discovery'
    """
    every = tuple(policies)
    subjects = [("User", caller.user), *(("Group", group) for group in sorted(caller.groups))]
    for policy in every:
        for kind, name in subjects:
            for binding in policy.by_subject.get((kind, name), ()):
                if binding.namespace and binding.namespace != action.namespace:
                    continue
                home = "" if binding.role_kind == "ClusterRole" else binding.namespace
                rules = (
                    rule for other in every for rule in other.rules_of.get((home, binding.role), ())
                )
                if any(rule_allows(rule, action) for rule in rules):
                    return name, binding.role, binding.source
    return None


def abac_allows(rule: AbacRule, caller: Caller, action: Action) -> bool:
    """Say whether a line of an ABAC policy allows a caller an action.

    Parameters
    ----------
    rule : AbacRule
    caller : Caller
    action : Action

    Returns
    -------
    bool

    Examples
    --------
    >>> line = AbacRule("ann", "", False, "shop", "*", "pods", "", Source("abac.jsonl", 1, ""))
    >>> ann = member_of("system:authenticated", user="ann")
    >>> actions = [Action("create", "pods/exec", namespace=home) for home in ("shop", "ops")]
    >>> [abac_allows(line, ann, it) for it in actions]
    [True, False]
    """
    if not (rule.user or rule.group) or (rule.user and rule.user != caller.user):
        return False
    if (rule.group and rule.group not in caller.groups) or (
        rule.readonly and action.verb not in {"get", "list", "watch"}
    ):
        return False
    if action.path:
        return path_matches(rule.path, action.path)
    # ABAC knows no subresources: who may write pods may bind them and run commands in them
    wanted = (
        (rule.namespace, action.namespace),
        (rule.api_group, action.group),
        (rule.resource, action.resource.partition("/")[0]),
    )
    return all(mine in ("*", asked) for mine, asked in wanted)


def kubelet_actions(method: str, path: str, node: str, *, fine: bool = True) -> list[Action]:
    """Return the actions of which one has to be allowed for a request to a kubelet.

    Parameters
    ----------
    method, path : str
    node : str
    fine : bool
        Whether the kubelet's paths have subresources of their own (``KubeletFineGrainedAuthz``).

    Returns
    -------
    list of Action

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/#kubelet-authorization

    Examples
    --------
    >>> [str(it) for it in kubelet_actions("GET", "/pods", "worker1")]
    ['get nodes/pods', 'get nodes/proxy']
    >>> [str(it) for it in kubelet_actions("POST", "/run/shop/web/web", "worker1")]
    ['create nodes/proxy']
    """
    first = path.removeprefix("/").partition("/")[0] if path.startswith("/") else ""
    parts = [FINE_PATHS[first]] if fine and first in FINE_PATHS else []
    parts.append(OWN_PATHS.get(first, "proxy"))
    verb = VERBS.get(method, "")
    return [Action(verb, f"nodes/{part}", name=node) for part in parts]


def decide_at_kubelet(
    env: Environment, kubelet: Component, caller: Caller, actions: Action | Iterable[Action]
) -> Decision:
    """Decide whether a kubelet allows a caller a request; in Webhook mode it asks the apiserver.

    Parameters
    ----------
    env : Environment
    kubelet : labkit.cluster.Component
    caller : Caller
        As the kubelet authenticates them.
    actions : Action or iterable of Action
        One of several is enough: :func:`kubelet_actions`.

    Returns
    -------
    Decision

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.rights import known_to_kubelet
    >>> env = read_environment("insecure")
    >>> kubelet = env.component("kubelet@worker1")
    >>> anonymous = known_to_kubelet(env, kubelet, None)
    >>> decide_at_kubelet(env, kubelet, anonymous, Action("create", "nodes/proxy")).value
    'allowed'
    """
    wanted = [actions] if isinstance(actions, Action) else list(actions)
    answers = list(_kubelet_answers(env, kubelet, caller, wanted))
    for value in (ALLOWED, UNKNOWN):
        for each in answers:
            if each.value == value:
                return each
    return answers[0]


def _kubelet_answers(
    env: Environment, kubelet: Component, caller: Caller, actions: Iterable[Action]
) -> Iterator[Decision]:
    mode = kubelet.setting("authorization.mode")
    unread = unread_flags(kubelet, "authorization.mode")
    known = caller.claim.value != UNKNOWN
    if not caller.user:
        value = DENIED if known else UNKNOWN
        claim = Claim(value, caller.claim.detail, caller.claim.source)
        yield Decision(value, claim, caller.claim)
        return
    if unread:
        claim = Claim(UNKNOWN, "its flags could not be read", kubelet.source)
        yield Decision(UNKNOWN, claim, caller.claim)
        return
    if mode.value == "AlwaysAllow":
        value = ALLOWED if known else UNKNOWN
        yield Decision(value, Claim(value, "AlwaysAllow", mode.source), caller.claim)
        return
    apiservers = [it for it in env.components if it.kind == "kube-apiserver"]
    if mode.value != "Webhook" or not apiservers:
        why = "its apiserver is not among the files"
        detail = why if mode.value == "Webhook" else f"no mode that labkit knows: {mode.value}"
        yield Decision(UNKNOWN, Claim(UNKNOWN, detail, mode.source), caller.claim)
        return
    for action in actions:
        found = [authorize(env, apiserver, caller, action) for apiserver in apiservers]
        if len({each.value for each in found}) > 1:
            claim = Claim(UNKNOWN, "which of several apiservers it asks", mode.source)
            yield Decision(UNKNOWN, claim, caller.claim)
        else:
            yield found[0]
