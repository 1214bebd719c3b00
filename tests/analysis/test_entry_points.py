"""The way in from outside a cluster: what a service shows, and what a network policy closes."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis import attack_graph, attack_paths, close, object_steps
from labkit.analysis.findings.object_threats import object_threats
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster import Dump
from labkit.cluster.objects.reader import Builder
from labkit.errors import ConfigError
from labkit.model import Model, footholds, model_of_dump, read_model
from labkit.model.footholds import OUTSIDE

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]
WEB = {"app": "web", "tier": "front"}
ANYBODY: list[Object] = [{}]
ADDRESSES = [{"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]}]
NEIGHBOURS: list[Object] = [{"from": [{"podSelector": {}}]}]
PODS_ONLY: list[Object] = [{"from": [{"podSelector": {}}, {"namespaceSelector": {}}]}]


def pod(name: str = "web-1", labels: Object | None = None) -> Object:
    token = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels or WEB},
        "spec": {
            "serviceAccountName": "web",
            "nodeName": "worker1",
            "volumes": [{"name": "t", **token}],
            "containers": [{"name": "main", "volumeMounts": [{"name": "t"}]}],
        },
    }


ADMIN = {
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "web"},
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}],
}


def service(kind: str = "LoadBalancer", **spec: Any) -> Object:
    about = {"name": "web", "namespace": "shop"}
    return {
        "kind": "Service",
        "metadata": about,
        "spec": {"type": kind, "selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }


def policy(
    rules: list[Object], selector: Object | None = None, types: tuple[str, ...] = ("Ingress",)
) -> Object:
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "shop"},
        "spec": {"podSelector": selector or {}, "policyTypes": list(types), "ingress": rules},
    }


def ingress(*services: str, **spec: Any) -> Object:
    paths = [{"path": "/", "backend": {"service": {"name": name}}} for name in services]
    return {
        "kind": "Ingress",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"rules": [{"host": "shop.example", "http": {"paths": paths}}], **spec},
    }


def slices(*pods: str) -> Object:
    labels = {"kubernetes.io/service-name": "web"}
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": "web-x", "namespace": "shop", "labels": labels},
        "endpoints": [{"targetRef": {"kind": "Pod", "name": name}} for name in pods],
    }


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    for item in objects:
        builder.add(item, item["kind"], "dump.json")
    # without a binding that a test does not name
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return builder.finish()


def plugin(name: str = "calico-node", home: str = "kube-system", node: str = "worker1") -> Object:
    owners = [{"kind": "DaemonSet", "name": name}]
    about = {"name": f"{name}-{node}", "namespace": home, "uid": node, "ownerReferences": owners}
    spec = {"nodeName": node, "hostNetwork": True, "containers": [{"name": "main"}]}
    return {"kind": "Pod", "metadata": about, "spec": spec}


def way_in(*objects: Object) -> tuple[str, ...]:
    """Return the reasons of the first step of a path from outside to cluster-admin."""
    graph = attack_graph(object_steps(dump_of(ADMIN, plugin(), *objects)))
    if OUTSIDE not in graph:
        return ()
    path = close(graph, OUTSIDE).get(footholds.ADMIN, ())
    assert not path or path[0].name == "exploit-public-service"
    return tuple(map(str, path[0].because)) if path else ()


def test_external_service_is_an_entry_point() -> None:
    assert way_in(pod(), service()) == (
        "Service shop/web: LoadBalancer",
        "no NetworkPolicy of shop selects them",
    )
    assert way_in(pod(), service("NodePort"))
    assert way_in(pod(), service("ClusterIP", externalIPs=["192.0.2.1"]))
    assert not way_in(pod(), service("ClusterIP"))
    assert not way_in(pod(labels={"app": "other"}), service())


def test_endpoints_decide_which_pods_a_service_exposes() -> None:
    other = pod("other-1", {"app": "other"})
    assert way_in(other, service(), slices("other-1"))
    assert not way_in(pod(), service(), slices("gone"))


@pytest.mark.parametrize(
    ("closing", "open_"),
    [
        (policy([]), False),
        (policy(PODS_ONLY), False),
        (policy(ANYBODY), True),
        (policy(ADDRESSES), True),
        (policy([], {"matchLabels": {"app": "other"}}), True),
        (policy([], {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), False),
        (policy([], {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), True),
        (policy([], types=("Egress",)), True),
        (policy([], types=()), False),
    ],
)
def test_network_policy_closes_the_entry_point_or_not(closing: Object, open_: bool) -> None:
    assert bool(way_in(pod(), service(), closing)) == open_


def test_one_allowing_network_policy_is_enough() -> None:
    both = (policy([]), {**policy(ANYBODY), "metadata": {"name": "open", "namespace": "shop"}})
    assert (
        way_in(pod(), service(), *both)[1]
        == "NetworkPolicy shop/open lets in callers that are not pods"
    )


def test_ingress_backend_is_an_entry_point() -> None:
    assert way_in(pod(), service("ClusterIP"), ingress("other", "web")) == (
        "Ingress shop/front -> Service shop/web: ClusterIP",
        "no NetworkPolicy of shop selects them",
    )
    by_default = ingress(defaultBackend={"service": {"name": "web"}})
    assert way_in(pod(), service("ClusterIP"), by_default)
    assert not way_in(pod(), service("ClusterIP"), ingress("other"))
    elsewhere = {**ingress("web"), "metadata": {"name": "front", "namespace": "other"}}
    assert not way_in(pod(), service("ClusterIP"), elsewhere)


def test_network_policy_of_an_ingress_backend_must_block_pods_too() -> None:
    behind = (pod(), service("ClusterIP"), ingress("web"))
    assert not way_in(*behind, policy([]))
    assert not way_in(*behind, policy(NEIGHBOURS))
    why = "NetworkPolicy shop/closed lets in pods of other namespaces, as a router"
    assert way_in(*behind, policy(PODS_ONLY))[1] == why
    assert way_in(*behind, policy(ADDRESSES))[1].endswith("lets in callers that are not pods")


def test_empty_network_policy_peer_allows_nobody() -> None:
    empty: list[Object] = [
        {"from": [{"podSelector": {}, "namespaceSelector": None, "ipBlock": None}]}
    ]
    assert not way_in(pod(), service(), policy(empty))
    assert not way_in(pod(), service("ClusterIP"), ingress("web"), policy(empty))


def test_malformed_address_block_is_an_unknown() -> None:
    dump = dump_of(pod(), service(), policy([{"from": [{"ipBlock": "everywhere"}]}]))
    assert [str(it) for it in dump.unknowns if "NetworkPolicy closed" in str(it)]


def test_malformed_ingress_is_an_unknown() -> None:
    dump = dump_of(pod(), service("ClusterIP"), ingress(defaultBackend="web"))
    assert [str(it) for it in dump.unknowns if "Ingress front" in str(it)]


def test_pod_group_has_only_the_common_labels() -> None:
    owned = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True}]}
    pods = [pod("web-1"), pod("web-2", {"app": "web", "tier": "back"})]
    for item in pods:
        item["metadata"].update(owned)
    [group] = dump_of(*pods).pods
    assert group.labels == (("app", "web"),)


def test_exposed_pod_raises_the_likelihood() -> None:
    [hidden] = object_threats(dump_of(ADMIN, pod()), RiskRule())
    [shown] = object_threats(dump_of(ADMIN, pod(), service()), RiskRule())
    assert shown.likelihood == hidden.likelihood + 1
    assert shown.explanation == f"{hidden.explanation}; Service shop/web: LoadBalancer"
    assert shown.id == hidden.id


def test_outside_is_a_foothold_of_dumps_only() -> None:
    model = Model("test", (), (), dump=dump_of(ADMIN, pod(), service()))
    assert attack_paths(model, "outside", "admin")
    hidden = Model("test", (), (), dump=dump_of(ADMIN, pod()))
    assert not attack_paths(hidden, "outside", "admin")
    # who reads no services says nothing of outside
    with pytest.raises(ConfigError, match="no foothold or goal 'outside'"):
        attack_paths(read_model("insecure"), "outside", "admin")


def test_malformed_selector_is_an_unknown() -> None:
    strange = policy([], {"matchExpressions": [{"key": "app", "operator": "Near"}]})
    dump = dump_of(pod(), service(), strange)
    assert any("NetworkPolicy closed" in str(item) for item in dump.unknowns)


def test_a_service_whose_endpoints_name_no_pod_has_those_that_are_selected() -> None:
    assert way_in(pod(), service(), slices())
    assert not way_in(pod(labels={"app": "other"}), service(), slices())


@pytest.mark.parametrize(
    ("address", "is_way"), [("10.1.1.1", True), ("10.1.1.2", True), ("10.1.1.3", False)]
)
def test_endpoints_without_a_pods_name_are_found_by_its_address(address: str, is_way: bool) -> None:
    web = {**pod(), "status": {"podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}, {"ip": "::5"}]}}
    other = {**pod("other"), "status": {"podIP": "10.1.1.2"}}
    by_hand = {**slices(), "endpoints": [{"addresses": [address]}]}
    assert bool(way_in(by_hand, web, other, service(selector=None))) is is_way
    older = {
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"notReadyAddresses": [{"ip": address}]}],
    }
    assert bool(way_in(older, web, other, service(selector=None))) is is_way


def test_backends_of_older_ingresses_are_read() -> None:
    # https://kubernetes.io/docs/reference/using-api/deprecation-guide/#ingress-v122
    older = {**ingress(), "spec": {"backend": {"serviceName": "web", "servicePort": 80}}}
    assert way_in(pod(), service("ClusterIP"), older)
    paths = [{"path": "/", "backend": {"serviceName": "web", "servicePort": 80}}]
    older = {**ingress(), "spec": {"rules": [{"http": {"paths": paths}}]}}
    assert way_in(pod(), service("ClusterIP"), older)


def test_policies_may_not_apply_to_pods_in_the_network_of_their_node() -> None:
    # https://kubernetes.io/docs/concepts/services-networking/network-policies/
    web = pod()
    web["spec"]["hostNetwork"] = True
    steps = object_steps(dump_of(ADMIN, plugin(), web, service(), policy([])))
    [step] = [it for it in steps if it.name == "exploit-public-service"]
    assert "hostNetwork" in step.unknown
    [step] = [
        it
        for it in object_steps(dump_of(ADMIN, web, service(), policy(ANYBODY)))
        if it.name == "exploit-public-service"
    ]
    assert not step.unknown


@pytest.mark.parametrize("kind", ["HTTPRoute", "Route", "IngressRoute", "VirtualService"])
def test_kinds_of_routes_that_are_not_read_are_gaps(kind: str) -> None:
    route = {"kind": kind, "metadata": {"name": "front", "namespace": "shop"}}
    [gap] = [it for it in dump_of(ADMIN, pod(), route, route).gaps if it.text == kind]
    assert "called from outside" in gap.why


@pytest.mark.parametrize(
    ("plugins", "known"),
    [
        ([], False),
        ([plugin("kube-flannel-ds", "kube-flannel")], False),
        ([plugin("cilium")], True),
        ([plugin("ovnkube-node", "openshift-ovn-kubernetes")], True),
        # anybody may name a daemon set so in a namespace of their own
        ([plugin("cilium", "shop")], False),
        ([plugin("cilium", node="worker2")], False),
    ],
)
@pytest.mark.parametrize("by_port", [True, False])
def test_a_policy_closes_nothing_without_a_plugin_that_applies_it(
    plugins: list[Object], known: bool, by_port: bool
) -> None:
    """Kubernetes, "Network Policies", prerequisites: without a controller it has no effect."""
    web = pod()
    web["spec"]["containers"][0]["ports"] = [{"hostPort": 80}] if by_port else []
    objects = (web, policy([]), *plugins, *([] if by_port else [service()]))
    ways = [it for it in object_steps(dump_of(ADMIN, *objects)) if it.foothold == OUTSIDE]
    assert [it.unknown for it in ways] == (
        [] if known else ["whether the network plugin applies network policies"]
    )


def members() -> list[Object]:
    """Return two pods of a stateful set, as its controller labels them."""
    key, made = "statefulset.kubernetes.io/pod-name", {"kind": "StatefulSet", "name": "web"}
    pods = [pod(f"web-{n}", {**WEB, key: f"web-{n}"}) for n in range(2)]
    for item in pods:
        item["metadata"]["ownerReferences"] = [made]
    return pods


def test_a_service_selects_one_pod_of_a_group_by_its_own_label() -> None:
    """Kubernetes, "StatefulSets", pod name label: for a Service of one pod."""
    key = "statefulset.kubernetes.io/pod-name"
    assert way_in(*members(), service(selector={"app": "web", key: "web-1"}))
    assert not way_in(*members(), service(selector={"app": "other", key: "web-1"}))


@pytest.mark.parametrize(
    ("selector", "open_"),
    [
        ({"matchLabels": {"app": "web"}}, False),
        ({"matchExpressions": [{"key": "KEY", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "KEY", "operator": "NotIn", "values": ["web-1"]}]}, True),
        ({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_policy_that_leaves_one_pod_of_a_group_open_closes_nothing(
    selector: Object, open_: bool
) -> None:
    key = "statefulset.kubernetes.io/pod-name"
    for item in selector.get("matchExpressions", ()):
        item["key"] = item["key"].replace("KEY", key)
    assert bool(way_in(*members(), service(), policy([], selector))) is open_


def value(*objects: Object) -> str:
    """Say whether there is a path from outside to cluster-admin."""
    found = attack_paths(model_of_dump(dump_of(ADMIN, plugin(), *objects)), "outside", "admin")
    return "known" if found.paths else "possible" if found.possible else "none"


def elsewhere(item: Object, **spec: Any) -> Object:
    """Return an object in another namespace than its pods."""
    about = {**item["metadata"], "namespace": "front"}
    return {**item, "metadata": about, **({"spec": {**item["spec"], **spec}} if spec else {})}


@pytest.mark.parametrize(
    "endpoint",
    [
        {"addresses": ["10.1.1.1"]},
        {
            "addresses": ["10.1.1.1"],
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
        },
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_endpoints_lead_to_pods_of_other_namespaces(endpoint: Object, old: bool) -> None:
    """CVE-2021-25740: https://github.com/kubernetes/kubernetes/issues/103675."""
    made = elsewhere(slices())
    made["endpoints"] = [endpoint]
    if old:
        address = {"ip": "10.1.1.1", **{k: v for k, v in endpoint.items() if k == "targetRef"}}
        about = {"name": "web", "namespace": "front"}
        made = {"kind": "Endpoints", "metadata": about, "subsets": [{"addresses": [address]}]}
    target = {**pod(), "status": {"podIP": "10.1.1.1"}}
    front = elsewhere(service(), selector={})
    assert value(target, front, made) == "known"
    assert value(target, front) == "none"
    assert value({**target, "status": {}}, front, elsewhere(slices("web-1"))) == "none"


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("web.shop.svc.cluster.local", "known"),
        ("web.shop.svc", "known"),
        ("web.shop.example.org", "none"),
        ("web.other.svc.cluster.local", "none"),
    ],
)
def test_ingress_reaches_what_an_external_name_stands_for(host: str, found: str) -> None:
    """https://kubernetes.io/docs/concepts/services-networking/service/#externalname."""
    name = elsewhere(service("ExternalName"), externalName=host, selector={})
    objects = (pod(), service("ClusterIP"), elsewhere(ingress("web")))
    assert value(*objects, name) == found


@pytest.mark.parametrize(
    ("version", "kind", "found"),
    [
        ("cilium.io/v2", "CiliumNetworkPolicy", "possible"),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "possible"),
        ("projectcalico.org/v3", "NetworkPolicy", "possible"),
        ("crd.projectcalico.org/v1", "GlobalNetworkPolicy", "possible"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "possible"),
        ("networking.k8s.io/v1", "NetworkPolicy", "none"),
        ("cilium.io/v2", "CiliumEndpoint", "none"),
    ],
)
def test_policies_of_other_projects_may_let_callers_in(version: str, kind: str, found: str) -> None:
    """They add to a NetworkPolicy (Cilium), or come before it (Calico, Network Policy API).

    https://docs.cilium.io/en/stable/network/kubernetes/policy/,
    https://docs.tigera.io/calico/latest/network-policy/get-started/calico-policy/ and
    https://network-policy-api.sigs.k8s.io/
    """
    about = {"name": "x", "namespace": "shop"}
    other: Object = {"apiVersion": version, "kind": kind, "metadata": about}
    other["spec"] = {"podSelector": {"matchLabels": {"app": "other"}}}
    assert value(pod(), service(), policy([]), other) == found


def test_service_without_a_running_pod_is_a_possible_way_in() -> None:
    spec = {"serviceAccountName": "web", "containers": [{"name": "main"}]}
    template = {"metadata": {"labels": WEB}, "spec": spec}
    about = {"name": "web", "namespace": "shop"}
    made = {"kind": "Deployment", "metadata": about, "spec": {"template": template, "replicas": 0}}
    assert value(made, service()) == "possible"
