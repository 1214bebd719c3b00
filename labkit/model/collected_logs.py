"""Whether an apiserver's audit events go where the journals go, and whether secrets are in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from labkit.cluster.audit_policy import AuditedRequest, AuditPolicy, AuditRule
from labkit.cluster.facts import Component, Environment
from labkit.model.audit_trail import policy_in_use
from labkit.model.claims import Claim
from labkit.model.decision import AUTHENTICATED, UNAUTHENTICATED

__all__ = ["answers_in_events", "answers_with_secrets", "events_are_sent", "with_secrets"]

#: The level at which an event has the body of the answer.
WITH_ANSWERS = "RequestResponse"
#: How an answer has a secret in it: one, several, and one that was just made or changed.
VERBS = ("get", "list", "create", "update", "patch")
#: A name that no rule has: it is no valid name.
OTHER = "another one"


def answers_in_events(env: Environment, apiserver: Component, request: AuditedRequest) -> Claim:
    """Say whether an apiserver's events of a request have the body of its answer.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    request : labkit.cluster.audit_policy.AuditedRequest
        Its caller does not matter, unless a rule of the policy looks at callers.

    Returns
    -------
    Claim
        "bodies", "none" or "unknown", with the rule that decides.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> for mode in ("insecure", "logs-insecure", "logs-hardened"):
    ...     env = read_environment(mode)
    ...     apiserver = env.component("kube-apiserver@master")
    ...     found = answers_in_events(env, apiserver, AuditedRequest("get", "secrets"))
    ...     print(mode, found.value, found.detail)
    insecure none nothing is logged
    logs-insecure bodies level RequestResponse
    logs-hardened none level Metadata
    """
    policy = policy_in_use(env, apiserver)
    if isinstance(policy, Claim):
        return policy
    rule = policy.rule_for(request)
    found = _has_answers(rule)
    for other in policy.rules:
        # as whom the caller is known decides where a rule looks at users or groups
        if not (other.users or other.groups) or _has_answers(other) == found:
            continue
        users, groups = other.users or (request.user,), other.groups or request.groups
        theirs = replace(request, user=users[0], groups=groups)
        if _has_answers(policy.rule_for(theirs)) != found:
            return Claim("unknown", "the audit policy looks at who calls", other.source)
    if rule is None:
        return Claim("none", f"no rule of the audit policy matches {request}", policy.source)
    return Claim("bodies" if found else "none", f"level {rule.level}", rule.source)


def _has_answers(rule: AuditRule | None) -> bool:
    return rule is not None and rule.records and rule.level == WITH_ANSWERS


def answers_with_secrets(policy: AuditPolicy) -> tuple[AuditRule, ...]:
    """Return the rules of an audit policy that write secrets into the log.

    Parameters
    ----------
    policy : labkit.cluster.audit_policy.AuditPolicy

    Returns
    -------
    tuple of labkit.cluster.audit_policy.AuditRule
        A rule for some callers only is among them.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> policy = read_environment("logs-insecure").apiserver_files.audit["kube-apiserver@master"]
    >>> [rule.level for rule in answers_with_secrets(policy)]
    ['RequestResponse']
    """
    return tuple(
        rule
        for rule in policy.rules
        if rule.records
        and (_has_answers(rule) or rule.level == "Request")
        and any(policy.rule_for(each) is rule for each in _fitting(rule))
    )


def _fitting(rule: AuditRule) -> Iterator[AuditedRequest]:
    """Yield the requests for secrets that a rule may be there for.

    An earlier rule may decide on some of the callers, namespaces and names that this one names, so
    each is asked for; where it names none, one that no rule names stands for all others.
    """
    names = {name for it in rule.resources for name in it.names} or {OTHER}
    named = rule.groups or (AUTHENTICATED, UNAUTHENTICATED)
    # everybody is in one of these two, and in no more
    groups = [(it,) if it == UNAUTHENTICATED else (it, AUTHENTICATED) for it in named]
    words = product(
        rule.users or (OTHER,), groups, rule.namespaces or (OTHER,), sorted({*names, OTHER})
    )
    for user, of, namespace, name in words:
        for verb in VERBS:
            yield AuditedRequest(
                verb, "secrets", namespace=namespace, name=name, user=user, groups=of
            )


def with_secrets(env: Environment, data: tuple[str, ...], node: str = "") -> tuple[str, ...]:
    """Return what logs hold, with "secrets" if audit events with secrets are among them.

    Parameters
    ----------
    env : Environment
    data : tuple of str
    node : str, optional
        The machine whose journal it is; by default all machines that send theirs.

    Returns
    -------
    tuple of str
        A policy that could not be read may write secrets, so it counts as one that does.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("logs-insecure")
    >>> [with_secrets(env, ("journal entries",), node) for node in ("master", "worker1")]
    [('journal entries', 'secrets'), ('journal entries',)]
    """
    for it in env.components:
        if it.kind != "kube-apiserver" or node not in ("", it.node):
            continue
        policy = policy_in_use(env, it)
        if isinstance(policy, Claim):
            writes = policy.value != "none"
        else:
            writes = bool(answers_with_secrets(policy))
        if writes and events_are_sent(env, it).value != "none":
            return (*data, "secrets")
    return data


def events_are_sent(env: Environment, apiserver: Component) -> Claim:
    """Say whether an apiserver's audit events are in the journal, and its machine sends that.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component

    Returns
    -------
    Claim
        "sent", "none" or "unknown".

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> for mode in ("hardened", "logs-hardened"):
    ...     env = read_environment(mode)
    ...     print(events_are_sent(env, env.component("kube-apiserver@master")).value)
    none
    sent
    """
    log = apiserver.setting("audit-log-path")
    if log.value != "-":
        where = f"go to {log.value}" if log.value else "are not written to the journal"
        return Claim("none", f"events {where}", log.source)
    for it in env.components:
        if it.kind == "systemd-journal-upload" and it.node == apiserver.node:
            url = it.setting("url")
            if not url.value:
                return Claim("unknown", "where the journal is sent could not be read", it.source)
            return Claim("sent", f"the journal is sent to {url.value}", url.source)
    return Claim("none", f"{apiserver.node} sends its journal nowhere", log.source)
