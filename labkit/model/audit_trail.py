"""Which requests an apiserver records in its audit log, and by which rule of its policy."""

from __future__ import annotations

from dataclasses import replace

from labkit.cluster.audit_policy import AuditedRequest, AuditPolicy
from labkit.cluster.facts import Component, Environment
from labkit.model.claims import Claim
from labkit.model.decision import Action, Caller, unread_flags

__all__ = ["audited", "policy_in_use", "recorded"]

#: The flags that name where an audit log goes.
BACKENDS = ("audit-log-path", "audit-webhook-config-file")


def policy_in_use(env: Environment, apiserver: Component) -> AuditPolicy | Claim:
    """Return the audit policy of an apiserver, or a claim why nothing is recorded or known.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component

    Returns
    -------
    AuditPolicy or Claim
        The claim is "none" if nothing is recorded, and "unknown" if the policy could not be read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> print(policy_in_use(env, env.component("kube-apiserver@master")).value)
    none
    """
    policy = apiserver.setting("audit-policy-file")
    if not policy.value and unread_flags(apiserver, "audit-policy-file"):
        return Claim("unknown", "its flags could not be read", apiserver.source)
    if not policy.value:
        return Claim("none", "nothing is logged", policy.source)
    if not any(apiserver.setting(flag).value for flag in BACKENDS):
        return Claim("none", "a policy without a log or a webhook records nothing", policy.source)
    read = env.apiserver_files.audit.get(apiserver.id)
    if read is None:
        return Claim("unknown", f"{policy.value} could not be read", policy.source)
    return read


def recorded(env: Environment, apiserver: Component, caller: Caller, action: Action) -> Claim:
    """Say whether an apiserver records a request, whatever it answers.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    caller : Caller
        Who sends it; one without a user is refused with HTTP 401, which has an event as well.
    action : Action

    Returns
    -------
    Claim
        "recorded", "none" or "unknown", with the rule that decides.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.rights import authenticated_as
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> kubelet = authenticated_as(apiserver, env, env.credential("kubelet", "worker1"))
    >>> for action in (Action("get", "secrets"), Action("list", "pods")):
    ...     print(action, "->", recorded(env, apiserver, kubelet, action).value)
    get secrets -> recorded
    list pods -> none
    """
    policy = policy_in_use(env, apiserver)
    if isinstance(policy, Claim):
        return policy
    request = audited(caller, action)
    rule = policy.rule_for(request)
    if caller.claim.value == "unknown":
        # as whom they are known decides where a rule looks at users or groups
        stranger = replace(request, user="", groups=())
        by_user = [it for it in policy.rules if it.users or it.groups]
        if by_user or _records(policy, stranger) != _records(policy, request):
            return Claim("unknown", f"the caller is not known: {caller.claim}", policy.source)
    if rule is None:
        return Claim("none", f"no rule of the audit policy matches {action}", policy.source)
    if rule.records_request(request):
        return Claim("recorded", f"level {rule.level}", rule.source)
    return Claim("none", f"level {rule.level}, omitting {sorted(rule.omitted)}", rule.source)


def audited(caller: Caller, action: Action) -> AuditedRequest:
    """Return a caller's request as a rule of an audit policy sees it.

    Examples
    --------
    >>> from labkit.model.decision import member_of
    >>> audited(member_of("system:nodes", user="system:node:worker1"), Action("get", "pods")).user
    'system:node:worker1'
    """
    return AuditedRequest(
        verb=action.verb,
        resource=action.resource,
        group=action.group,
        namespace=action.namespace,
        name=action.name,
        path=action.path,
        user=caller.user,
        groups=tuple(sorted(caller.groups)),
    )


def _records(policy: AuditPolicy, request: AuditedRequest) -> bool:
    return not policy.missed([request])
