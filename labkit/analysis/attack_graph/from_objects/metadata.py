"""Pods that call the metadata of their cloud, which has the identity of the machine."""

from __future__ import annotations

from labkit.analysis.attack_graph.from_objects.builder import ClusterIndex, StepBuilder, inside
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.analysis.attack_graph.from_objects.entry_points import (
    nodes_with_plugin,
    policies_for,
    policy_doubt,
)
from labkit.cluster.objects.facts import PodGroup

__all__ = ["write_metadata"]

#: What no object of the cluster says: the limit of hops of the machine, a firewall, an agent.
REACHED = "whether pods reach the metadata of their machine at {}"


def write_metadata(cluster: ClusterIndex, builder: StepBuilder, consequences: Consequences) -> None:
    """Write the steps of pods that call the metadata of their machine, or perhaps do.

    Parameters
    ----------
    cluster : ClusterIndex
    builder : StepBuilder
    consequences : Consequences

    Notes
    -----
    A policy for egress keeps them from it, if none of those that select a pod lets it call the
    address, and if a network plugin applies policies there. GKE's metadata server answers with the
    identity of the pod's own account. Neither is in the way of a pod in the network of its node.
    """
    if not cluster.clouds:
        return
    hidden = {it.name for it in cluster.dump.nodes if it.hides_metadata}
    applied = nodes_with_plugin(cluster)
    for pods in cluster.dump.pods:
        nodes = pods.nodes or cluster.nodes
        if not pods.spec.host_network:
            nodes = tuple(node for node in nodes if node not in hidden)
        clouds = dict.fromkeys(filter(None, map(cluster.cloud_of.get, nodes)))
        if clouds and not _kept_from_it(cluster, pods, applied):
            for cloud in clouds:
                unknown = "" if pods.spec.host_network else REACHED.format(cloud)
                why = (f"{pods.id}: a Node of it is a machine at {cloud}",)
                grants = [consequences.of_cloud(cloud)]
                builder.add("cloud-metadata", inside(pods), grants, why, 1.5, unknown)


def _kept_from_it(cluster: ClusterIndex, pods: PodGroup, applied: frozenset[str]) -> bool:
    policies = list(policies_for(cluster, pods, "Egress"))
    closed = bool(policies) and not any(it.to_metadata for it in policies)
    return closed and not policy_doubt(pods, applied) and not cluster.dump.other_policies
