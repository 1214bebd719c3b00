"""Who reads secrets: by which requests, of which namespaces, and with which certainty.

Every derivation asks this: what a stored credential gives, what callers without one and pods'
tokens reach, and which rules of RBAC count.
"""

from __future__ import annotations

from labkit.cluster.facts import Component, Environment
from labkit.model.decision import (
    ALLOWED,
    DENIED,
    UNKNOWN,
    Action,
    Caller,
    Decision,
    decide,
)

__all__ = ["ALL_AT_ONCE", "BY_NAME", "reads_secrets", "secrets_read"]

#: The verbs whose answer has every secret that there is. A watch without a version begins with all
#: of them; the answer to a deletion is the list of what was deleted, also in a dry run
#: (Store.DeleteCollection in apiserver/pkg/registry/generic/registry/store.go).
ALL_AT_ONCE = ("list", "watch", "deletecollection")
#: The verbs whose answer is one secret, whose name has to be known. A patch may be empty. What is
#: deleted in the foreground, also in a dry run, gets a finalizer, and is answered with it
#: (Store.Delete, there). An update answers with what was sent, and a creation too.
BY_NAME = ("get", "patch", "delete")


def reads_secrets(
    env: Environment, apiserver: Component, caller: Caller, namespace: str = ""
) -> Decision:
    """Decide whether an apiserver lets a caller read secrets, by any request.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    caller : Caller
    namespace : str
        Empty for those of every namespace.

    Returns
    -------
    Decision
        "unknown" where a request may be allowed, and none is known to be.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.decision import member_of
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> [reads_secrets(env, apiserver, member_of(it)).value for it in ("system:masters", "people")]
    ['allowed', 'denied']
    """
    answers = []
    for verb in (*ALL_AT_ONCE, *BY_NAME):
        found = decide(env, apiserver, caller, Action(verb, "secrets", namespace=namespace))
        if found.value == ALLOWED:
            return found
        answers.append(found)
    return next((it for it in answers if it.value == UNKNOWN), answers[0])


def secrets_read(
    env: Environment, apiserver: Component, caller: Caller
) -> tuple[tuple[str, Decision], ...]:
    """Return the namespaces whose secrets a caller reads, or perhaps reads.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    caller : Caller

    Returns
    -------
    tuple of (str, Decision)
        "" stands for every namespace: then there is no other one. Of namespaces that no rule names,
        the answer is that for every namespace.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.decision import member_of
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> [home for home, _ in secrets_read(env, apiserver, member_of("system:masters"))]
    ['']
    """
    everywhere = reads_secrets(env, apiserver, caller)
    if everywhere.value != DENIED:
        return (("", everywhere),)
    named = dict.fromkeys(it.namespace for it in env.rbac.bindings)
    named |= dict.fromkeys(it.namespace for it in env.abac.get(apiserver.id, ()))
    answers = (
        (home, reads_secrets(env, apiserver, caller, home))
        for home in named
        if home not in ("", "*")
    )
    return tuple((home, found) for home, found in answers if found.value != DENIED)
