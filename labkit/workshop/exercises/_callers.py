"""Who calls an apiserver: the callers about whom checks ask, each with its groups."""

from __future__ import annotations

from labkit.model.decision import (
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    UNAUTHENTICATED,
    Caller,
    member_of,
)

__all__ = ["ADMIN", "CALLERS", "as_known", "member"]

ACCOUNT, ACCOUNTS = "system:serviceaccount:", "system:serviceaccounts"
NODE, NODES = "system:node:", "system:nodes"
APISERVER, ADMIN = "system:apiserver", "kubernetes-admin"
#: Some of each kind: people, components of the cluster, its machines, and workloads; of some kinds
#: also one whom nobody named before.
CALLERS = (
    "alice",
    f"{ACCOUNT}shop:web",
    f"{ACCOUNT}kube-system:default",
    "prometheus",
    ADMIN,
    APISERVER,
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    f"{NODE}worker1",
    ANONYMOUS,
    "somebody new",
    f"{NODE}another",
    f"{ACCOUNT}another:one",
)


def as_known(user: str, *more: str) -> Caller:
    """Return a user with the groups that go with the name, and with more groups.

    Parameters
    ----------
    user : str
    *more : str

    Returns
    -------
    Caller

    Examples
    --------
    >>> sorted(as_known("system:node:worker1").groups)
    ['system:authenticated', 'system:nodes']
    """
    return member_of(*_groups(user), *more, user=user)


def _groups(user: str) -> tuple[str, ...]:
    if user == ANONYMOUS:
        return (UNAUTHENTICATED,)
    if user in (ADMIN, APISERVER):
        return (MASTERS, AUTHENTICATED)
    if user.startswith(NODE):
        return (NODES, AUTHENTICATED)
    if user.startswith(ACCOUNT):
        namespace = user.removeprefix(ACCOUNT).partition(":")[0]
        return (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED)
    return (AUTHENTICATED,)


def member(group: str) -> Caller:
    """Return somebody in a group whom nobody named before.

    Parameters
    ----------
    group : str

    Returns
    -------
    Caller

    Examples
    --------
    >>> it = member("developers")
    >>> it.user, sorted(it.groups)
    ('somebody in developers', ['developers', 'system:authenticated'])
    """
    user = f"somebody in {group}"
    return member_of(group, user=user) if group == UNAUTHENTICATED else as_known(user, group)
