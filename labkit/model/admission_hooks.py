"""Whether a webhook or an admission policy may refuse or change a request to an apiserver.

What a hook answers is not evaluated. It may refuse a request unless its rules, its bindings or its
label selectors provably leave the request out, as the apiserver matches them
(apiserver/pkg/admission/plugin/webhook/predicates, apiserver/pkg/admission/plugin/policy/matching).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.cluster.admission_hooks import AdmissionHook, RequestMatch, ResourceRule
from labkit.cluster.facts import Component, Environment
from labkit.cluster.syntax.values import selects
from labkit.model.admission_plugins import UNKNOWN, admission
from labkit.model.claims import Claim
from labkit.model.rules import Action

__all__ = [
    "NamespaceLabels",
    "is_cluster_scoped",
    "labels_of",
    "may_refuse",
    "objection",
    "operation_of",
]

OWN_GROUP = "admissionregistration.k8s.io"
#: The objects of admission itself: no hook sees requests for them (predicates/rules/rules.go).
EXEMPT = frozenset(
    [
        *("validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
        *("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        *("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
    ]
)
#: What policies do not see (pkg/kubeapiserver/admission/exclusion/resources.go). Webhooks see it
#: before Kubernetes 1.37, or with a feature gate.
VIRTUAL = frozenset(
    [
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ]
)
WEBHOOK_PLUGINS = frozenset({"ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"})
#: The resources of the core group to which a caller is connected, whatever the verb is.
CONNECTED = frozenset(
    [
        *("pods/exec", "pods/attach", "pods/portforward"),
        *("pods/proxy", "services/proxy", "nodes/proxy"),
    ]
)
OPERATIONS = {
    "create": "CREATE",
    "update": "UPDATE",
    "patch": "UPDATE",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
#: The verbs of HTTP's methods; others are asked of authorizers alone.
HTTP_VERBS = frozenset({"get", *OPERATIONS})
#: Kubernetes' own resources that are in no namespace, by their group.
CLUSTER_SCOPED = {
    "": ("namespaces", "nodes", "persistentvolumes", "componentstatuses"),
    "rbac.authorization.k8s.io": ("clusterroles", "clusterrolebindings"),
    "certificates.k8s.io": ("certificatesigningrequests", "clustertrustbundles"),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "apiregistration.k8s.io": ("apiservices",),
    "storage.k8s.io": ("storageclasses", "csinodes", "csidrivers", "volumeattachments"),
    "scheduling.k8s.io": ("priorityclasses",),
    "node.k8s.io": ("runtimeclasses",),
    "networking.k8s.io": ("ingressclasses",),
}
#: Resources that two groups serve: a hook for one of them sees requests for the other.
COHABITING = {"events": ("", "events.k8s.io")}
NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class NamespaceLabels:
    """The known labels of a namespace.

    Attributes
    ----------
    labels : mapping
    complete : bool
        Whether it has no others.
    """

    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    complete: bool = False

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str] | None) -> NamespaceLabels:
        """Return those of a namespace with the one that the apiserver sets by itself.

        Parameters
        ----------
        name : str
            Empty for a namespace that is not known.
        labels : mapping or None
            None if they are not known.

        Examples
        --------
        >>> NamespaceLabels.of("shop", None).labels
        {'kubernetes.io/metadata.name': 'shop'}
        """
        own = {NAME_LABEL: name} if name else {}
        return cls({**(labels or {}), **own}, labels is not None)

    def may_be_selected(self, selector: Mapping[str, Any]) -> bool:
        """Say whether a label selector selects the namespace, or may do so.

        Examples
        --------
        >>> shop = NamespaceLabels.of("shop", None)
        >>> shop.may_be_selected({"matchLabels": {"kubernetes.io/metadata.name": "ci"}})
        False
        >>> shop.may_be_selected({"matchLabels": {"team": "a"}})
        True
        """
        if not self.complete:
            labels = selector.get("matchLabels") or {}
            expressions = selector.get("matchExpressions") or ()
            selector = {
                "matchLabels": {key: labels[key] for key in labels if key in self.labels},
                "matchExpressions": [it for it in expressions if it.get("key") in self.labels],
            }
        return selects(selector, self.labels)


def objection(
    env: Environment,
    apiserver: Component,
    action: Action,
    labels: Mapping[str, str] | None = None,
) -> Claim | None:
    """Return the claim that a webhook or a policy may refuse a request that is authorized.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
        Plugins that it has switched off call nothing.
    action : Action
    labels : mapping, optional
        The labels of an object that is created; None if they are not known.

    Returns
    -------
    Claim or None
        Its value is "unknown", and it names the object; None if nothing may refuse the request.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> objection(env, apiserver, Action("create", "pods", namespace="shop"))
    """
    if not env.admission_hooks:
        return None
    home = NamespaceLabels.of(action.namespace, labels_of(env, action.namespace))
    for hook in env.admission_hooks:
        on = admission(apiserver, hook.plugin).value != "allow-all"
        if on and may_refuse(hook, action, home, labels):
            return Claim(UNKNOWN, f"what {hook.name} answers to: {action}", hook.source)
    return None


def labels_of(env: Environment, namespace: str) -> dict[str, str] | None:
    """Return the labels of a namespace; None if they are not known.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> labels_of(env, "shop")
    {'pod-security.kubernetes.io/enforce': 'restricted'}
    >>> labels_of(env, "kube-system")
    {}
    """
    found = env.namespaces.get(namespace)
    if found is not None:
        labels = found.get("metadata", "labels")
        return labels if isinstance(labels, dict) else {}
    # the namespaces that no manifest describes are the apiserver's own, without other labels
    return {} if env.complete and namespace else None


def may_refuse(
    hook: AdmissionHook,
    action: Action,
    home: NamespaceLabels,
    labels: Mapping[str, str] | None = None,
) -> bool:
    """Say whether a webhook or a policy sees a request, or may see it.

    Parameters
    ----------
    hook : AdmissionHook
    action : Action
        Without a namespace or a name, any of them is meant.
    home : NamespaceLabels
        Those of the request's namespace.
    labels : mapping, optional
        The labels of an object that is created; None if they are not known.

    Returns
    -------
    bool
        False only if it provably does not.

    Examples
    --------
    >>> from labkit.cluster.syntax.source import Source
    >>> rule = ResourceRule(("CREATE",), ("",), ("v1",), ("pods/*",))
    >>> hook = AdmissionHook("a policy", "x", (RequestMatch((rule,)),), Source("p.yaml", 1, ""))
    >>> home = NamespaceLabels.of("shop", {})
    >>> [may_refuse(hook, Action(verb, "pods"), home) for verb in ("create", "delete", "get")]
    [True, False, False]
    """
    operation = operation_of(action)
    if not operation or _is_exempt(hook, action):
        return False
    return all(
        _in_namespace(match, action, home)
        and _selects_object(match, operation, labels)
        and not any(_matches(rule, action, unsure=False) for rule in match.excluded)
        and (not match.rules or any(_matches(rule, action, unsure=True) for rule in match.rules))
        for match in hook.matches
    )


def operation_of(action: Action) -> str:
    """Return the operation by which admission knows a request; "" if it does not see it.

    Reads are not admitted, nor are requests for no resource, and what authorizers alone are asked.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/

    Examples
    --------
    >>> [operation_of(Action(verb, "pods")) for verb in ("get", "patch", "*")]
    ['', 'UPDATE', '']
    >>> operation_of(Action("get", "pods/exec"))
    'CONNECT'
    """
    if action.path or action.verb not in HTTP_VERBS:
        return ""
    if not action.group and action.resource in CONNECTED:
        return "CONNECT"
    return OPERATIONS.get(action.verb, "")


def _is_exempt(hook: AdmissionHook, action: Action) -> bool:
    main = action.resource.partition("/")[0]
    own = action.group == OWN_GROUP and main in EXEMPT
    virtual = (action.group, main) in VIRTUAL and hook.plugin not in WEBHOOK_PLUGINS
    return own or virtual


def _is_namespace(action: Action) -> bool:
    return not action.group and action.resource.partition("/")[0] == "namespaces"


def is_cluster_scoped(action: Action) -> bool:
    """Say whether a request is for a resource of Kubernetes that is in no namespace.

    Examples
    --------
    >>> is_cluster_scoped(Action("patch", "nodes/status")), is_cluster_scoped(Action("get", "pods"))
    (True, False)
    """
    return action.resource.partition("/")[0] in CLUSTER_SCOPED.get(action.group, ())


def _in_namespace(match: RequestMatch, action: Action, home: NamespaceLabels) -> bool:
    if _is_namespace(action):
        # a request for a namespace itself may bring labels of its own
        return True
    return is_cluster_scoped(action) or home.may_be_selected(match.namespaces)


def _selects_object(match: RequestMatch, operation: str, labels: Mapping[str, str] | None) -> bool:
    if not match.objects.get("matchLabels") and not match.objects.get("matchExpressions"):
        return True
    if operation == "CONNECT":
        # the options of such a request have no labels that a selector could select
        return False
    return operation != "CREATE" or labels is None or selects(match.objects, labels)


def _matches(rule: ResourceRule, action: Action, *, unsure: bool) -> bool:
    """Say whether a rule matches a request; `unsure` is the answer where that is not known."""
    scope, version, name = _scope(rule, action), _version(rule, action), _name(rule, action)
    known = (
        _among(operation_of(action), rule.operations)
        and _in_group(rule, action, unsure=unsure)
        and _resource(rule, action)
    )
    return known and all(unsure if it is None else it for it in (scope, version, name))


def _among(wanted: str, known: Iterable[str]) -> bool:
    return any(item in ("*", wanted) for item in known)


def _in_group(rule: ResourceRule, action: Action, *, unsure: bool) -> bool:
    own = (action.group,)
    groups = COHABITING.get(action.resource, own) if unsure else own
    return any(_among(group, rule.groups) for group in groups)


def _resource(rule: ResourceRule, action: Action) -> bool:
    main, _, part = action.resource.partition("/")
    for it in rule.resources:
        mains, _, parts = it.partition("/")
        if mains in ("*", main) and parts in ("*", part):
            return True
    return False


def _version(rule: ResourceRule, action: Action) -> bool | None:
    if "*" in rule.versions:
        return True
    # other groups are served in several versions, which the caller chooses from
    return "v1" in rule.versions if not action.group else None


def _scope(rule: ResourceRule, action: Action) -> bool | None:
    if rule.scope == "*":
        return True
    if is_cluster_scoped(action):
        return rule.scope == "Cluster"
    return rule.scope == "Namespaced" if action.namespace else None


def _name(rule: ResourceRule, action: Action) -> bool | None:
    if not rule.names:
        return True
    return action.name in rule.names if action.name else None
