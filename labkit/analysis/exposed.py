"""Which pods of a dumped cluster are called from outside: by services and network policies.

An Ingress or a Gateway is a router in a pod; what stands behind it is not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from labkit.analysis.ledger import Cluster, Ledger, inside
from labkit.analysis.roles import OUTSIDE
from labkit.cluster.dump import NetworkPolicy, PodGroup, Service
from labkit.cluster.dump_reader import selects

__all__ = ["write_exposed"]

#: The cost of a flaw in whatever the pod runs: it has to be found first.
FLAW = 3.0


def write_exposed(cluster: Cluster, ledger: Ledger) -> None:
    """Write the steps from outside the cluster into the pods that are called from there.

    Parameters
    ----------
    cluster : Cluster
    ledger : Ledger
        Where they are written.

    Notes
    -----
    A service of type NodePort or LoadBalancer, or with external addresses, is called from
    outside; so are the pods behind it, unless network policies select them and none of these
    lets in anybody but pods. That the pod then falls takes a flaw in what it runs, which is
    assumed (ATT&CK T1190), and counted as dearer than using what one has.
    """
    behind: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for item in cluster.dump.endpoints:
        behind[item.namespace, item.service].update(dict.fromkeys(item.pods))
    for service in cluster.dump.services:
        if not service.outside:
            continue
        for pods in _behind(cluster, service, behind.get((service.namespace, service.name))):
            policies = list(_policies(cluster, pods))
            if not policies or any(policy.from_outside for policy in policies):
                why = (_service(service), _policy(pods, policies))
                ledger.add("exploit-public-service", OUTSIDE, [inside(pods)], why, FLAW)


def _behind(cluster: Cluster, service: Service, names: Iterable[str] | None) -> Iterable[PodGroup]:
    """Return the pods that the endpoints name; without endpoints, those that are selected."""
    if names is not None:
        return cluster.named(service.namespace, names)
    wanted = set(service.selector)
    here = cluster.pods_of.get(service.namespace, ())
    return [pods for pods in here if wanted and wanted <= set(pods.labels)]


def _policies(cluster: Cluster, pods: PodGroup) -> Iterator[NetworkPolicy]:
    for policy in cluster.policies_of.get(pods.namespace, ()):
        if "Ingress" in policy.directions and selects(policy.selector, dict(pods.labels)):
            yield policy


def _service(service: Service) -> str:
    address = " with external addresses" if service.external_ips else ""
    return f"Service {service.namespace}/{service.name}: {service.type}{address}"


def _policy(pods: PodGroup, policies: list[NetworkPolicy]) -> str:
    for policy in policies:
        if policy.from_outside:
            return f"NetworkPolicy {policy.namespace}/{policy.name} lets in who is no pod"
    return f"no NetworkPolicy of {pods.namespace} selects them"
