"""Which pods of a dumped cluster are called from outside: services, Ingresses, network policies.

A Gateway's routes are not looked at: what stands behind the service of its router is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from labkit.analysis.attack_graph.from_objects.builder import (
    ClusterIndex,
    StepBuilder,
    doubts,
    inside,
)
from labkit.cluster.objects.facts import NetworkPolicy, PodGroup, Service
from labkit.cluster.syntax.values import keys_of, selects
from labkit.model.footholds import OUTSIDE

__all__ = [
    "FLAW",
    "nodes_with_plugin",
    "pods_behind",
    "policies_for",
    "policy_doubt",
    "stands_for",
    "write_entry_points",
]

#: The cost of a flaw in whatever the pod runs: it has to be found first.
FLAW = 3.0
#: The daemon sets of network plugins that apply network policies, as their own manifests and those
#: of distributions name them. Flannel does not.
#: https://kubernetes.io/docs/tasks/administer-cluster/declare-network-policy/
PLUGINS = frozenset(
    [
        ("calico-system", "calico-node"),
        ("kube-system", "antrea-agent"),
        ("kube-system", "calico-node"),
        ("kube-system", "canal"),
        ("kube-system", "cilium"),
        ("kube-system", "kube-router"),
        ("kube-system", "rke2-canal"),
        ("kube-system", "weave-net"),
        ("openshift-ovn-kubernetes", "ovnkube-node"),
    ]
)


def write_entry_points(cluster: ClusterIndex, builder: StepBuilder) -> None:
    """Write the steps from outside the cluster into the pods that are called from there.

    Parameters
    ----------
    cluster : ClusterIndex
    builder : StepBuilder
        Takes the steps.

    Notes
    -----
    A service of type NodePort or LoadBalancer, or with external addresses, is called from
    outside; so is one that an Ingress names, by way of a router in a pod of another namespace.
    The pods behind it are reached unless network policies select them and none of these lets in
    callers that are not pods or, from a router, pods of other namespaces. The pod is then taken
    over through a flaw in what it runs. That flaw is assumed (ATT&CK T1190), and costs more than
    using what one has. A container's port on its node is called like a NodePort. A policy closes
    something only if a network plugin of :data:`PLUGINS` runs on the nodes of the pods: without
    one that implements them, policies have no effect.

    References
    ----------
    https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites
    """
    services = cluster.services
    ways = [(it, _service(it), False) for it in services.values() if it.outside]
    for order in cluster.dump.ingresses:
        for name in order.services:
            if it := services.get((order.namespace, name)):
                shown = f"Ingress {order.namespace}/{order.name} -> {_service(it)}"
                ways.append((stands_for(it, services), shown, True))
    applied = nodes_with_plugin(cluster)
    for service, shown, by_pod in ways:
        for pods in pods_behind(cluster, service):
            policies = list(policies_for(cluster, pods))
            lets_in = [it for it in policies if it.from_outside or (by_pod and it.from_namespaces)]
            _enter(cluster, builder, pods, shown, policies, lets_in, applied)
    unread = cluster.dump.may_lack("Service")
    for pods in cluster.dump.pods:
        # the ports of a static pod are the control plane's own
        if pods.spec.host_ports and pods.kind != "Node":
            _by_host_port(cluster, builder, pods, applied)
        elif unread and cluster.dump.may_lack("Service", pods.namespace) and pods.kind != "Node":
            policies = list(policies_for(cluster, pods))
            lets_in = [it for it in policies if it.from_outside or it.from_namespaces]
            shown = f"services of {pods.namespace} are not in the dump"
            doubt = "whether a service lets callers from outside in"
            _enter(cluster, builder, pods, shown, policies, lets_in, applied, doubt)


def stands_for(service: Service, services: Mapping[tuple[str, str], Service]) -> Service:
    """Return the service of the cluster that an ExternalName stands for, or the service itself.

    https://kubernetes.io/docs/concepts/services-networking/service/#externalname
    """
    name, home, kind = (*service.external_name.split("."), "", "", "")[:3]
    if service.type != "ExternalName" or kind != "svc":
        return service
    return services.get((home, name), service)


def _by_host_port(
    cluster: ClusterIndex, builder: StepBuilder, pods: PodGroup, applied: frozenset[str]
) -> None:
    ports = ", ".join(map(str, pods.spec.host_ports))
    shown = f"Pod {pods.namespace}/{pods.pods[0]}: hostPort {ports}"
    if pods.spec.host_network:
        # a port of a container is then one of the node, and no network policy selects the pod
        unknown = f"whether port {ports} of the nodes is called from outside the cluster"
        alone = (f"{shown}, hostNetwork",)
        builder.add("exploit-public-service", OUTSIDE, [inside(pods)], alone, FLAW, unknown)
        return
    policies = list(policies_for(cluster, pods))
    lets_in = [it for it in policies if it.from_outside]
    _enter(cluster, builder, pods, shown, policies, lets_in, applied)


def _enter(
    cluster: ClusterIndex,
    builder: StepBuilder,
    pods: PodGroup,
    shown: str,
    policies: list[NetworkPolicy],
    lets_in: list[NetworkPolicy],
    applied: frozenset[str],
    unread: str = "",
) -> None:
    """Write the step into pods from outside, unless policies that are applied let nobody in."""
    why, unknown = (shown, _policy(pods, lets_in)), ""
    if policies and not lets_in:
        why = (shown, f"NetworkPolicy {policies[0].namespace}/{policies[0].name}")
        others = sorted(cluster.dump.other_policies)
        unknown = policy_doubt(pods, applied) or (f"what {others[0]} lets in" if others else "")
    found_out = doubts(unread, unknown, "" if pods.nodes else f"whether a pod of {pods.id} runs")
    if lets_in or not policies or unknown:
        builder.add("exploit-public-service", OUTSIDE, [inside(pods)], why, FLAW, found_out)


def nodes_with_plugin(cluster: ClusterIndex) -> frozenset[str]:
    """Return the nodes on which a pod of a network plugin runs that applies network policies."""
    found = (
        group.nodes
        for group in cluster.dump.pods
        if group.kind == "DaemonSet" and (group.namespace, group.owner) in PLUGINS
    )
    return frozenset(node for nodes in found for node in nodes)


def policy_doubt(pods: PodGroup, applied: frozenset[str]) -> str:
    """Return what has to be found out for a policy not to close the way to a pod; "" for nothing.

    Parameters
    ----------
    pods : PodGroup
    applied : frozenset of str
        The nodes where policies are applied.
    """
    if not pods.nodes or not applied.issuperset(pods.nodes):
        return "whether the network plugin applies network policies"
    if pods.spec.host_network:
        return "whether the network plugin applies policies to pods with hostNetwork"
    return ""


def pods_behind(cluster: ClusterIndex, service: Service) -> Iterable[PodGroup]:
    """Return the pods that the endpoints name; if they name none, those that are selected."""
    if names := cluster.behind.get((service.namespace, service.name)):
        found = (pods for home, name in names for pods in cluster.named(home, (name,)))
        return {pods.id: pods for pods in found}.values()
    wanted = set(service.selector)
    here = cluster.pods_of.get(service.namespace, ())
    return [
        pods
        for pods in here
        # one of the group may have a label in which they differ
        if wanted and {it for it in wanted if it[0] not in pods.varied} <= set(pods.labels)
    ]


def policies_for(
    cluster: ClusterIndex, pods: PodGroup, direction: str = "Ingress"
) -> Iterator[NetworkPolicy]:
    """Yield the policies that select all of some pods for one direction."""
    for policy in cluster.policies_of.get(pods.namespace, ()):
        # a policy that selects by a label in which they differ may leave one of them open
        differ = not pods.varied.isdisjoint(keys_of(policy.selector))
        if (
            direction in policy.directions
            and not differ
            and selects(policy.selector, dict(pods.labels))
        ):
            yield policy


def _service(service: Service) -> str:
    address = " with external addresses" if service.external_ips else ""
    return f"Service {service.namespace}/{service.name}: {service.type}{address}"


def _policy(pods: PodGroup, lets_in: list[NetworkPolicy]) -> str:
    if not lets_in:
        return f"no NetworkPolicy of {pods.namespace} selects them"
    first = min(lets_in, key=lambda it: not it.from_outside)
    who = (
        "callers that are not pods"
        if first.from_outside
        else "pods of other namespaces, as a router"
    )
    return f"NetworkPolicy {first.namespace}/{first.name} lets in {who}"
