"""A cluster's objects as a threat model: its machines and pods, without channels."""

from __future__ import annotations

from labkit.cluster.objects.facts import Dump
from labkit.model.threat_model import Component, Model

__all__ = ["model_of_dump"]


def model_of_dump(dump: Dump) -> Model:
    """Return the model of a dump, with equal pods as one component.

    Parameters
    ----------
    dump : Dump
        The objects, as :func:`labkit.cluster.read_dump` returns them.

    Returns
    -------
    Model
        It has no channels: objects do not say what a component demands of its callers.

    Examples
    --------
    >>> from labkit.cluster.objects.facts import Dump, PodGroup, PodSpec
    >>> pods = PodGroup("shop", "web", "web", PodSpec(token=True), ("worker1",), ("web-1",))
    >>> model_of_dump(Dump("shop", pods=(pods,)))
    shop: 1 component, 0 channels, 1 trust zone
    """
    machines = tuple(
        Component(f"node@{node.name}", "node", node.name, "worker node") for node in dump.nodes
    )
    pods = {
        f"pod/{group.namespace}/{group.name}": Component(
            f"pod/{group.namespace}/{group.name}", "pod", "", "container"
        )
        for group in dump.pods
    }
    unknowns = tuple(map(str, dump.unknowns))
    parts = (*machines, *pods.values())
    return Model(dump.name, parts, (), unknowns=unknowns, dump=dump)
