"""What an attacker may hold, and the words that people type for it.

One vocabulary for where an attacker starts, for what a step gives, and for what they are after:
the predictions of techniques, the attack graph, the command line and reports all use it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from typing import NamedTuple, TypeAlias

from labkit.errors import ConfigError

__all__ = [
    "ADMIN",
    "CALLS",
    "COPIED_CREDENTIAL",
    "GOALS",
    "NETWORK",
    "NODE",
    "OUTSIDE",
    "POD",
    "ROOT_ON_ETCD",
    "ROOT_ON_WORKER",
    "SECRETS",
    "USER_ON_MASTER",
    "USER_ON_WORKER",
    "Foothold",
    "Goal",
    "Role",
    "parse_foothold",
]


class Role(Enum):
    """What a machine is for; a foothold with a role means a machine of the attacker's choice.

    Examples
    --------
    >>> Role("worker")
    <Role.WORKER: 'worker'>
    """

    MASTER = "master"
    WORKER = "worker"
    ETCD = "etcd"


#: Of each kind of foothold: what it is called without a place, and with one.
SENTENCES: dict[str, tuple[str, str]] = {
    "network": ("on the cluster network", ""),
    "calls": ("calls on the cluster network", ""),
    "local": ("", "calls on the loopback of {}"),
    "pod": ("inside a pod", "inside pod {}"),
    "pods-of": ("", "inside the pods of {}"),
    "user": ("", "user on {}"),
    "root": ("", "root on {}"),
    "outside": ("outside the cluster", ""),
    "credential": ("outside, with a copied credential", ""),
    "holds": ("", "holds {}"),
    "commands": ("", "commands {}"),
    # what an attacker is after
    "secrets": ("reads the secrets", "reads the secrets of {}"),
    "admin": ("cluster-admin", ""),
    "node": ("root on a node", ""),
    # who somebody is to the apiserver, and what they may do there
    "is": ("", "is {}"),
    "group": ("", "in group {}"),
    "role": ("", "bound to {}"),
    "permission": ("", "may {}"),
    "binds": ("binds the roles of every namespace", "binds the roles of {}"),
    "joins": ("joins every cluster role binding", "joins the role bindings of {}"),
    "secret": ("", "reads secret {}"),
    "config": ("", "reads ConfigMap {}"),
    "spec": ("", "reads the specification of {}"),
    "everything": ("", "everything in {}"),
    "tokens": ("requests tokens in every namespace", "requests tokens in {}"),
    "impersonates": ("impersonates accounts of every namespace", "impersonates accounts of {}"),
    "any-user": ("impersonates any user", ""),
    "certificates": ("has certificates issued", "has {} certificates issued"),
    "starts-pods": ("starts pods in every namespace", "starts pods in {}"),
    "privileged": ("starts privileged pods", ""),
    "flaw": ("", "starts pods that use {}"),
    "enters": ("enters every pod", "enters the pods of {}"),
    "enters-on": ("", "enters the pods on {}"),
    "debugs": ("debugs every pod", "debugs the pods of {}"),
    "cloud": ("", "has the identity of a machine at {}"),
    "answers": ("", "answers for Service {}"),
    "ports": ("reaches the ports of every namespace", "reaches the ports of {}"),
}
PLACES = {Role.MASTER: "the master", Role.WORKER: "a worker", Role.ETCD: "an etcd machine"}


class Foothold(NamedTuple):
    """Something that an attacker holds: a place, a credential, an identity, a power, a goal.

    Attributes
    ----------
    kind : str
        One of :data:`SENTENCES`: "network", "pod", "user", "root", "holds", "admin" ...
    where : str or Role
        The machine, pod, credential, identity or namespace; empty where the kind needs none, and
        a role for a machine of the attacker's choice.

    Examples
    --------
    >>> foothold = Foothold("root", "worker1")
    >>> print(foothold, "or", foothold.word)
    root on worker1 or root:worker1
    >>> print(Foothold("user", Role.WORKER))
    user on a worker
    """

    kind: str
    where: str | Role = ""

    def __str__(self) -> str:
        alone, placed = SENTENCES[self.kind]
        if not self.where:
            return alone
        return placed.format(PLACES[self.where] if isinstance(self.where, Role) else self.where)

    @property
    def word(self) -> str:
        """What a person types for it: "pod", "root:worker1"."""
        if not self.where:
            return self.kind
        where = self.where.value if isinstance(self.where, Role) else self.where
        return f"{self.kind}:{where}"


#: A foothold that an attacker is after.
Goal: TypeAlias = Foothold

NETWORK, POD = Foothold("network"), Foothold("pod")
#: Without the right to make packets by hand, one may call, and not get between others.
CALLS = Foothold("calls")
OUTSIDE, COPIED_CREDENTIAL = Foothold("outside"), Foothold("credential")
USER_ON_MASTER, USER_ON_WORKER = Foothold("user", Role.MASTER), Foothold("user", Role.WORKER)
ROOT_ON_WORKER, ROOT_ON_ETCD = Foothold("root", Role.WORKER), Foothold("root", Role.ETCD)
SECRETS, ADMIN, NODE = Foothold("secrets"), Foothold("admin"), Foothold("node")
#: What an attacker may be after.
GOALS: tuple[Goal, ...] = (SECRETS, ADMIN, NODE)


@cache
def _by_sentence() -> dict[str, Foothold]:
    found = {str(it): it for kind in SENTENCES if SENTENCES[kind][0] for it in [Foothold(kind)]}
    found |= {str(it): it for role in Role for k in ("user", "root") for it in [Foothold(k, role)]}
    return found


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    placed = [(kind, with_) for kind, (_, with_) in SENTENCES.items() if with_]
    return [(kind, re.compile(re.escape(it).replace(r"\{\}", "(.+)"))) for kind, it in placed]


def parse_foothold(text: str) -> Foothold:
    """Read a foothold or a goal as a person types it, or as a report shows it.

    Parameters
    ----------
    text : str
        A word ("network", "pod", "user:worker1", "root:etcd", "holds:admin@master", "secrets",
        "admin", "node"), or the sentence that stands for it ("inside a pod").

    Returns
    -------
    Foothold
        Whether there is such a place in a model is not asked.

    Raises
    ------
    ConfigError
        It is neither.

    Examples
    --------
    >>> parse_foothold("root:worker1") == parse_foothold("root on worker1")
    True
    >>> parse_foothold("user on a worker") is USER_ON_WORKER
    False
    >>> parse_foothold("user on a worker") == USER_ON_WORKER
    True
    """
    text = text.strip()
    if found := _by_sentence().get(text):
        return found
    kind, colon, where = text.partition(":")
    if kind in SENTENCES and bool(where) == bool(colon) and SENTENCES[kind][bool(where)]:
        return Foothold(kind, where)
    for kind, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return Foothold(kind, match[1])
    usual = "network, pod, user:NODE, root:NODE, holds:CREDENTIAL@NODE, secrets, admin, node"
    raise ConfigError(f"no foothold or goal {text!r}", hint=f"one of: {usual}")
