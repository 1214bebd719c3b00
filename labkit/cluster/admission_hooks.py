"""Webhooks and admission policies: the objects by which a cluster's owner has requests refused.

A webhook or a policy sees the requests that its rules match. What it answers is decided by a
service or by CEL expressions, which labkit does not evaluate.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from labkit.cluster.syntax.source import Source
from labkit.cluster.syntax.values import at, mapping, selects, sequence, text_of, words

__all__ = [
    "HOOK_KINDS",
    "AdmissionHook",
    "RequestMatch",
    "ResourceRule",
    "admission_hooks",
    "called_service",
    "is_hook",
]

Found: TypeAlias = tuple[Mapping[str, Any], Source]

#: The kinds of webhooks, each with the admission plugin that calls them.
WEBHOOKS = {
    "ValidatingWebhookConfiguration": "ValidatingAdmissionWebhook",
    "MutatingWebhookConfiguration": "MutatingAdmissionWebhook",
}
#: The kinds of policies, which are also the names of their plugins.
POLICIES = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
#: The kinds of objects that :func:`admission_hooks` reads.
HOOK_KINDS = frozenset({*WEBHOOKS, *POLICIES, *(f"{kind}Binding" for kind in POLICIES)})
ANY, DENY, IGNORE = "*", "Deny", "Ignore"


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """Requests by their operation and resource, as ``resourceRules`` and ``rules`` name them.

    Attributes
    ----------
    operations, groups, versions, resources : tuple of str
        ``*`` stands for any; of resources, ``pods/*`` for pods and their subresources.
    names : tuple of str
        Names of objects; empty for any.
    scope : str
        "Namespaced", "Cluster" or ``*``.
    """

    operations: tuple[str, ...]
    groups: tuple[str, ...]
    versions: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...] = ()
    scope: str = ANY


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """Which requests a webhook, a policy or a binding is for.

    Attributes
    ----------
    rules : tuple of ResourceRule
        One of them has to match; without any, every resource does.
    excluded : tuple of ResourceRule
        None of them may match.
    namespaces, objects : mapping
        Label selectors, as the API has them; an empty one selects all.
    """

    rules: tuple[ResourceRule, ...] = ()
    excluded: tuple[ResourceRule, ...] = ()
    namespaces: Mapping[str, Any] = field(default_factory=dict, hash=False)
    objects: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class AdmissionHook:
    """A webhook, or a policy with one of its bindings, that may refuse or change requests.

    Attributes
    ----------
    name : str
        The objects in words: "ValidatingAdmissionPolicy no-root, bound by everywhere".
    plugin : str
        The admission plugin that calls it.
    matches : tuple of RequestMatch
        All of them have to match a request.
    source : Source
        Where the webhook or the policy stands.
    service : tuple of (str, str)
        Namespace and name of the service that answers for a webhook; two empty texts for none.
    """

    name: str
    plugin: str
    matches: tuple[RequestMatch, ...]
    source: Source
    service: tuple[str, str] = ("", "")


def admission_hooks(
    objects: Iterable[Found], complete_kinds: Collection[str] = HOOK_KINDS
) -> tuple[AdmissionHook, ...]:
    """Return the webhooks and the bound policies that may refuse or change a request.

    Left out is what provably does neither: a webhook without rules, a policy without a binding,
    and a binding that only warns or audits. A binding whose ``validationActions`` have no "Deny"
    counts nevertheless if the policy takes parameters or writes audit annotations and its
    ``failurePolicy`` is not "Ignore": an error in these refuses the request
    (apiserver/pkg/admission/plugin/policy/validating/dispatcher.go).

    Parameters
    ----------
    objects : iterable of (mapping, Source)
        Those of other kinds are left out. A malformed one counts as a hook for every request.
    complete_kinds : collection of str
        The kinds of which every object is known. A policy without a binding counts if its
        bindings may be missing.

    Returns
    -------
    tuple of AdmissionHook

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/

    Examples
    --------
    >>> rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
    ...     "resources": ["pods"]}
    >>> policy = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-root"},
    ...     "spec": {"matchConstraints": {"resourceRules": [rule]}}}
    >>> binding = {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "all"},
    ...     "spec": {"policyName": "no-root", "validationActions": ["Deny"]}}
    >>> at = Source("policy.yaml", 1, "")
    >>> [hook.name for hook in admission_hooks([(policy, at), (binding, at)])]
    ['ValidatingAdmissionPolicy no-root, bound by all']
    >>> admission_hooks([(policy, at)])
    ()
    """
    known = [(item, source) for item, source in objects if is_hook(item.get("kind"))]
    found: list[AdmissionHook] = []
    for item, source in known:
        kind = item["kind"]
        try:
            if kind in WEBHOOKS:
                found += _webhooks(item, kind, source)
            elif kind in POLICIES:
                found += _bound(item, kind, source, known, complete_kinds)
        except ValueError as error:
            found.append(_unread(kind, source, str(error)))
    return tuple(found)


def is_hook(kind: object) -> bool:
    """Say whether a kind is that of a webhook, an admission policy or a binding.

    Examples
    --------
    >>> is_hook("ValidatingAdmissionPolicyBinding"), is_hook("Pod"), is_hook(["Pod"])
    (True, False, False)
    """
    return isinstance(kind, str) and kind in HOOK_KINDS


def called_service(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return namespace and name of the service that a client configuration of a webhook names.

    Parameters
    ----------
    config : mapping
        With a service, or with a URL, whose host may be the name of a service.

    Returns
    -------
    tuple of (str, str)
        Two empty texts for another host.

    Raises
    ------
    ValueError
        It is malformed.

    Examples
    --------
    >>> called_service({"url": "https://till.shop.svc:8443/convert"})
    ('shop', 'till')
    >>> called_service({"url": "https://hooks.example.com"})
    ('', '')
    """
    if to := mapping(config, "service"):
        return text_of(to, "namespace"), text_of(to, "name")
    labels = (urlsplit(text_of(config, "url")).hostname or "").split(".")
    return (labels[1], labels[0]) if labels[2:3] == ["svc"] else ("", "")


def _unread(kind: str, source: Source, why: str) -> AdmissionHook:
    plugin = WEBHOOKS.get(kind, kind)
    return AdmissionHook(f"{kind} that cannot be read ({why})", plugin, (), source)


def _webhooks(item: Mapping[str, Any], kind: str, source: Source) -> Iterator[AdmissionHook]:
    name = text_of(item, "metadata", "name")
    for webhook in sequence(item, "webhooks"):
        match = RequestMatch(
            _rules(webhook, "rules"),
            (),
            _selector(webhook, "namespaceSelector"),
            _selector(webhook, "objectSelector"),
        )
        if match.rules:
            said = f"{kind} {name}: {text_of(webhook, 'name')}"
            service = called_service(mapping(webhook, "clientConfig"))
            yield AdmissionHook(said, WEBHOOKS[kind], (match,), source, service)


def _bound(
    policy: Mapping[str, Any],
    kind: str,
    source: Source,
    objects: Iterable[Found],
    complete_kinds: Collection[str],
) -> Iterator[AdmissionHook]:
    name = text_of(policy, "metadata", "name")
    match = _match(mapping(policy, "spec", "matchConstraints"))
    bindings = [item for item, _ in objects if item["kind"] == f"{kind}Binding"]
    own = [it for it in bindings if text_of(it, "spec", "policyName") == name]
    if not own and not bindings and f"{kind}Binding" not in complete_kinds:
        yield AdmissionHook(f"{kind} {name}, if something binds it", kind, (match,), source)
    for binding in own:
        if _refuses(policy, binding):
            said = f"{kind} {name}, bound by {text_of(binding, 'metadata', 'name')}"
            narrowed = _match(mapping(binding, "spec", "matchResources"))
            yield AdmissionHook(said, kind, (match, narrowed), source)


def _refuses(policy: Mapping[str, Any], binding: Mapping[str, Any]) -> bool:
    actions = words(binding, "spec", "validationActions")
    if not actions or DENY in actions:
        return True
    # such an error refuses a request whatever the binding's actions are
    fails = text_of(policy, "spec", "failurePolicy") != IGNORE
    parts = (at(policy, "spec", "paramKind"), at(policy, "spec", "auditAnnotations"))
    return fails and any(parts)


def _match(spec: Mapping[str, Any]) -> RequestMatch:
    return RequestMatch(
        _rules(spec, "resourceRules"),
        _rules(spec, "excludeResourceRules"),
        _selector(spec, "namespaceSelector"),
        _selector(spec, "objectSelector"),
    )


def _rules(of: Any, key: str) -> tuple[ResourceRule, ...]:
    return tuple(
        ResourceRule(
            words(rule, "operations"),
            words(rule, "apiGroups"),
            words(rule, "apiVersions"),
            words(rule, "resources"),
            words(rule, "resourceNames"),
            text_of(rule, "scope") or ANY,
        )
        for rule in sequence(of, key)
    )


def _selector(of: Any, key: str) -> dict[str, Any]:
    """Return a label selector; refuse a malformed one here, where the object is known."""
    found = mapping(of, key)
    for label in mapping(found, "matchLabels"):
        text_of(found, "matchLabels", label)
    for expression in sequence(found, "matchExpressions"):
        selects({"matchExpressions": [expression]}, {})
    return found
