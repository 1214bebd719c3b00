"""The network objects of a cluster: services, endpoints, ingresses, network policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from labkit.cluster.objects.facts import Endpoint, Ingress, NetworkPolicy, Service
from labkit.cluster.syntax.values import mapping, selects, sequence, text_of, words

__all__ = ["NETWORK", "OTHER_POLICIES", "ROUTES", "NetworkObject"]

#: Kinds that lead callers from outside to services, and that labkit does not read.
ROUTES = frozenset(
    [
        *("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute"),  # Gateway API
        *("IngressRoute", "IngressRouteTCP", "IngressRouteUDP"),  # Traefik
        *("HTTPProxy", "Route", "VirtualService"),  # Contour, OpenShift, Istio
    ]
)

#: Policies of network plugins, and of the Network Policy API, that let in what a NetworkPolicy
#: keeps out: Antrea, Calico, Cilium; https://network-policy-api.sigs.k8s.io/
OTHER_POLICIES = frozenset(
    [
        *("AdminNetworkPolicy", "ClusterNetworkPolicy", "GlobalNetworkPolicy"),
        *("CiliumClusterwideNetworkPolicy", "CiliumNetworkPolicy", "NetworkPolicy"),
    ]
)

#: Where clouds serve metadata to their machines, and mostly the identity of the machine.
METADATA = ip_address("169.254.169.254")

NetworkObject = Service | Endpoint | NetworkPolicy | Ingress


def _pairs(value: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, text_of(value, key)) for key in value))


def _service(item: Mapping[str, Any], namespace: str, name: str) -> Iterator[Service]:
    ports = (port.get("port") for port in sequence(item, "spec", "ports") if isinstance(port, dict))
    yield Service(
        namespace,
        name,
        text_of(item, "spec", "type") or "ClusterIP",
        _pairs(mapping(item, "spec", "selector")),
        tuple(port for port in ports if isinstance(port, int)),
        words(item, "spec", "externalIPs"),
        text_of(item, "spec", "externalName"),
    )


def _targets(items: Iterable[Any], home: str) -> tuple[tuple[str, str], ...]:
    targets = (mapping(item, "targetRef") for item in items)
    return tuple(
        (text_of(to, "namespace") or home, text_of(to, "name"))
        for to in targets
        if text_of(to, "kind") == "Pod"
    )


def _slice(item: Mapping[str, Any], namespace: str, name: str) -> Iterator[Endpoint]:
    service = text_of(item, "metadata", "labels", "kubernetes.io/service-name")
    found = sequence(item, "endpoints")
    others = [it for it in found if not mapping(it, "targetRef")]
    addresses = tuple(address for it in others for address in words(it, "addresses"))
    yield Endpoint(namespace, service, _targets(found, namespace), addresses)


def _endpoints(item: Mapping[str, Any], namespace: str, name: str) -> Iterator[Endpoint]:
    for subset in sequence(item, "subsets"):
        found = [*sequence(subset, "addresses"), *sequence(subset, "notReadyAddresses")]
        others = [it for it in found if not mapping(it, "targetRef")]
        addresses = tuple(text_of(it, "ip") for it in others)
        yield Endpoint(namespace, name, _targets(found, namespace), addresses)


def _policy(item: Mapping[str, Any], namespace: str, name: str) -> Iterator[NetworkPolicy]:
    selector = mapping(item, "spec", "podSelector")
    # refuse a malformed selector here, where the object is known
    selects(selector, {})
    allowed = sequence(item, "spec", "egress")
    directions = words(item, "spec", "policyTypes") or ("Ingress", *(["Egress"] if allowed else []))
    # a rule without a source admits everybody
    sources = [
        mapping(source)
        for rule in sequence(item, "spec", "ingress")
        for source in sequence(rule, "from") or [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
    ]
    outside = any(mapping(source, "ipBlock") for source in sources)
    # an empty selector selects all namespaces; an absent one, only the policy's own
    others = any(source.get("namespaceSelector") is not None for source in sources)
    metadata = any(_leads_to_metadata(rule) for rule in allowed)
    yield NetworkPolicy(namespace, name, selector, directions, outside, others, metadata)


def _leads_to_metadata(rule: Any) -> bool:
    """Say whether a rule of a policy lets pods call the metadata of a cloud, on any port."""
    targets = sequence(rule, "to")
    blocks = (mapping(target, "ipBlock") for target in targets)
    return not targets or any(
        _holds_metadata(text_of(block, "cidr"))
        and not any(map(_holds_metadata, words(block, "except")))
        for block in blocks
    )


def _holds_metadata(network: str) -> bool:
    return bool(network) and METADATA in ip_network(network, strict=False)


def _ingress(item: Mapping[str, Any], namespace: str, name: str) -> Iterator[Ingress]:
    paths = [
        path for rule in sequence(item, "spec", "rules") for path in sequence(rule, "http", "paths")
    ]
    # the versions before v1 have serviceName, and backend instead of defaultBackend
    backends = [mapping(path, "backend") for path in paths]
    backends += [mapping(item, "spec", key) for key in ("defaultBackend", "backend")]
    names = (text_of(it, "service", "name") or text_of(it, "serviceName") for it in backends)
    services = dict.fromkeys(names)
    yield Ingress(namespace, name, tuple(filter(None, services)))


#: The reader of each kind: it takes an object, its namespace and its name.
NETWORK: Mapping[str, Callable[[Mapping[str, Any], str, str], Iterator[NetworkObject]]] = {
    "Service": _service,
    "EndpointSlice": _slice,
    "Endpoints": _endpoints,
    "NetworkPolicy": _policy,
    "Ingress": _ingress,
}
