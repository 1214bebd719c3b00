"""A dumped cluster as steps of an attacker: through pods, nodes, service accounts and RBAC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from labkit.analysis.exposed import write_exposed
from labkit.analysis.follow import Follow
from labkit.analysis.ledger import Cluster, Ledger, inside
from labkit.analysis.rbac import Rights
from labkit.analysis.steps import Step

if TYPE_CHECKING:
    from labkit.cluster.dump import Dump

__all__ = ["ATTACK", "dump_steps"]

#: The technique of MITRE ATT&CK for Containers that each step is a case of; membership is none.
ATTACK = {
    "approve-request": "T1649",
    "attach": "T1609",
    "bind": "T1098.006",
    "change-workload": "T1610",
    "control-plane-keys": "T1552.004",
    "create-pod": "T1610",
    "debug-container": "T1609",
    "enter-pod": "T1609",
    "escalate": "T1098.006",
    "escape-from-own-pod": "T1611",
    "exec": "T1609",
    "exec-by-websocket": "T1609",
    "exec-through-kubelet": "T1609",
    "exploit-public-service": "T1190",
    "host-process": "T1611",
    "host-process-injection": "T1611",
    "impersonate": "T1078",
    "issued-certificate": "T1649",
    "kubelet-credential": "T1552.004",
    "load-kernel-module": "T1611",
    "mount-from-container": "T1611",
    "mounted-token": "T1528",
    "mutating-webhook": "T1610",
    "open-by-handle": "T1611",
    "pod-with-account": "T1610",
    "pods-of-the-node": "T1528",
    "port-forward": "T1572",
    "privileged-container": "T1611",
    "privileged-debug-container": "T1611",
    "privileged-pod": "T1610",
    "read-host-path": "T1552.001",
    "read-secrets": "T1552.007",
    "relabel-namespace": "T1685",
    "replace-image": "T1610",
    "runtime-socket": "T1611",
    "token-in-secret": "T1528",
    "token-request": "T1528",
    "token-request-of-kubelet": "T1528",
    "token-secret": "T1528",
    "write-host-path": "T1611",
}


def dump_steps(dump: Dump) -> tuple[Step, ...]:
    """Return the steps that a cluster's objects allow, each with the objects that allow it.

    What is held is written "outside the cluster", "inside pod NS/GROUP", "root on node N",
    "is system:serviceaccount:NS:NAME", "is USER", "in group GROUP", and the goals are
    "cluster-admin", "reads the secrets" and "root on a node". The admission plugins that are on
    by default, the Node authorizer and NodeRestriction are taken to be at work.

    Parameters
    ----------
    dump : Dump
        What :func:`labkit.cluster.read_dump` returns.

    Returns
    -------
    tuple of Step

    Examples
    --------
    >>> from labkit.cluster.dump import Dump, PodGroup, PodSpec
    >>> pods = PodGroup("shop", "web", "web", PodSpec(token=True), ("worker1",), ("web-1",))
    >>> steps = {step.technique: step for step in dump_steps(Dump("shop", pods=(pods,)))}
    >>> print(steps["mounted-token"])
    inside pod shop/web: mounted-token -> is system:serviceaccount:shop:web
    """
    cluster, ledger = Cluster(dump), Ledger()
    follow = Follow(cluster, ledger)
    for pods in dump.pods:
        ledger.once(inside(pods), partial(follow.inside_pod, pods))
    for node in cluster.nodes:
        follow.on_node(node)
    Rights(cluster, ledger, follow).write()
    write_exposed(cluster, ledger)
    ledger.settle()
    return tuple(ledger.steps)
