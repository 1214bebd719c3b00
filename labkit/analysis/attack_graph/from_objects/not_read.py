"""What a dump does not hold may exist: the steps through pods and services that nobody has read."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.analysis.attack_graph.from_objects.builder import ClusterIndex
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.model import Foothold
from labkit.model.footholds import NODE, OUTSIDE, POD

__all__ = ["UNREAD_POD", "write_what_is_not_read"]

#: The step of an attacker whose pod nobody has read.
UNREAD_POD = "pod-not-in-dump"
ACCOUNTS, GROUPS = "system:serviceaccount:", ("system:authenticated", "system:serviceaccounts")
#: The cost of a flaw in what a pod runs, as for the pods that are known.
FLAW = 3.0


def write_what_is_not_read(
    cluster: ClusterIndex, consequences: Consequences, holders: Iterable[Foothold]
) -> None:
    """Write the steps of an attacker inside a pod that the dump does not have.

    Parameters
    ----------
    cluster : ClusterIndex
    consequences : Consequences
    holders : iterable of Foothold
        Identities and groups that have rights.

    Notes
    -----
    Such a pod may have the token of any service account, may be privileged, and may be called from
    outside the cluster.
    """
    if not cluster.dump.may_lack("Pod"):
        return
    add = consequences.builder.add
    homes = sorted(cluster.dump.lacking["Pod"])
    why = (f"only pods of {', '.join(homes)} were read" if homes else "no Pod was read",)
    for who in holders:
        if _of_pods(who):
            unknown = f"whether a pod that was not read {_having(who)}"
            add(UNREAD_POD, POD, [who], why, 1.0, unknown)
    roots = [*map(consequences.on_node, cluster.nodes), NODE]
    unknown = "whether a pod that was not read gives root on its node"
    add(UNREAD_POD, POD, roots, why, 1.0, unknown)
    unknown = "whether a pod that was not read is called from outside"
    add("exploit-public-service", OUTSIDE, [POD], why, FLAW, unknown)


def _of_pods(who: Foothold) -> bool:
    name = str(who.where)
    if who.kind == "group":
        return name in GROUPS or name.startswith(f"{GROUPS[1]}:")
    return who.kind == "is" and name.startswith(ACCOUNTS)


def _having(who: Foothold) -> str:
    if who.kind == "group":
        return f"has a token, and is in {who.where} by it"
    return f"has a token of {str(who.where).removeprefix(ACCOUNTS)}"
