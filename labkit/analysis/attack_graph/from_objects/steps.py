"""A cluster's objects as steps of an attacker: through pods, nodes, service accounts and RBAC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_objects.bindings import Bindings
from labkit.analysis.attack_graph.from_objects.builder import ClusterIndex, StepBuilder, inside
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.analysis.attack_graph.from_objects.entry_points import write_entry_points
from labkit.analysis.attack_graph.from_objects.metadata import write_metadata
from labkit.analysis.attack_graph.from_objects.not_read import write_what_is_not_read
from labkit.analysis.attack_graph.from_objects.webhooks import write_webhooks
from labkit.analysis.attack_graph.steps import Step
from labkit.gc_pause import gc_pause

if TYPE_CHECKING:
    from labkit.cluster.objects.facts import Dump

__all__ = ["object_steps"]


@gc_pause()
def object_steps(dump: Dump) -> tuple[Step, ...]:
    """Return the steps that a cluster's objects allow, each with the objects that allow it.

    The admission plugins that are on by default are taken to be at work unless an apiserver
    disables them, and so are the Node authorizer and NodeRestriction.

    Parameters
    ----------
    dump : Dump
        What :func:`labkit.cluster.read_dump` returns.

    Returns
    -------
    tuple of Step

    Examples
    --------
    >>> from labkit.cluster.objects.facts import Dump, PodGroup, PodSpec
    >>> pods = PodGroup("shop", "web", "web", PodSpec(token=True), ("worker1",), ("web-1",))
    >>> steps = {step.name: step for step in object_steps(Dump("shop", pods=(pods,)))}
    >>> print(steps["mounted-token"])
    inside pod shop/web: mounted-token -> is system:serviceaccount:shop:web
    """
    cluster, builder = ClusterIndex(dump), StepBuilder()
    consequences = Consequences(cluster, builder)
    for pods in dump.pods:
        builder.once(inside(pods), partial(consequences.inside_pod, pods))
    for node in cluster.nodes:
        consequences.on_node(node)
    consequences.open_ports()
    bindings = Bindings(consequences)
    bindings.write()
    write_entry_points(cluster, builder)
    write_metadata(cluster, builder, consequences)
    write_webhooks(cluster, builder, consequences)
    write_what_is_not_read(cluster, consequences, bindings.holders)
    builder.settle()
    return tuple(builder.steps)
