"""Pods that hear their node's traffic, call a cloud's metadata, or answer for webhooks."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.analysis.attack_graph.from_objects import object_steps
from labkit.cluster.objects.reader import KINDS, Builder
from labkit.model import Model, model_of_dump

Object = dict[str, Any]
RBAC, ADMISSION = "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"
DROPPED: Object = {"capabilities": {"drop": ["ALL"]}}
ADMINS: Object = {"kind": "ClusterRole", "name": "cluster-admin"}


def item(kind: str, name: str, namespace: str = "", version: str = "v1", **more: Any) -> Object:
    about = {"name": name, "uid": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": about, **more}


def pod(
    namespace: str, name: str, security: Object | None = None, node: str = "w1", **spec: Any
) -> Object:
    made = item("Pod", name, namespace)
    container = {"name": "c", "image": "shop/till:1", "securityContext": security or {}}
    made["metadata"]["labels"] = {"app": name}
    made["spec"] = {"nodeName": node, "containers": [container], **spec}
    return made


def node(name: str = "w1", provider: str = "", **labels: str) -> Object:
    made = item("Node", name, spec={"providerID": provider} if provider else {})
    made["metadata"]["labels"] = {
        key.replace("__", "/").replace("_", "-"): labels[key] for key in labels
    }
    return made


def dump_of(*objects: Object) -> Model:
    """Return the model of a dump that has every object of its cluster."""
    builder = Builder("test", every_namespace=True)
    builder.kinds |= {*KINDS, "Service"}
    for each in objects:
        builder.add(each, each["kind"], "dump.json")
    return model_of_dump(builder.finish())


def value(goal: str, *objects: Object, start: str = "") -> str:
    """Say whether a goal is reached from the pod of the shop, or from another start."""
    model = dump_of(*objects)
    assert model.dump is not None
    till = next((f"pod:{it.id}" for it in model.dump.pods if it.workload == "shop/till"), "")
    found = attack_paths(model, start or till, goal)
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    ("security", "spec", "expected"),
    [
        # containerd's default has NET_RAW, CRI-O's has not
        (None, {"hostNetwork": True}, "possible"),
        ({"capabilities": {"add": ["NET_RAW"]}}, {"hostNetwork": True}, "possible"),
        ({"capabilities": {"drop": ["NET_RAW"]}}, {"hostNetwork": True}, "none"),
        (DROPPED, {"hostNetwork": True}, "none"),
        # in a network of its own it hears the traffic of its own alone
        (None, {}, "none"),
        ({"capabilities": {"add": ["NET_RAW"]}}, {}, "none"),
    ],
)
def test_pod_in_the_network_of_its_node_hears_it(
    security: Object | None, spec: Object, expected: str
) -> None:
    """capabilities(7), CAP_NET_RAW; Pod Security Standards, baseline: host namespaces."""
    assert value("node", node(), pod("shop", "till", security, **spec)) == expected


@pytest.mark.parametrize(
    ("provider", "labels", "spec", "expected"),
    [
        ("aws:///eu-central-1a/i-0ab", {}, {}, "possible"),
        ("gce://project/zone/name", {}, {}, "possible"),
        ("azure:///subscriptions/x", {}, {}, "possible"),
        # GKE's metadata server answers for the account of the pod, but not in the node's network
        ("gce://p/z/n", {"iam.gke.io__gke_metadata_server_enabled": "true"}, {}, "none"),
        (
            "gce://p/z/n",
            {"iam.gke.io__gke_metadata_server_enabled": "true"},
            {"hostNetwork": True},
            "possible",
        ),
        # these have no metadata of machines
        ("k3s://w1", {}, {}, "none"),
        ("kind://docker/kind/w1", {}, {}, "none"),
        ("", {}, {}, "none"),
    ],
)
def test_pod_may_have_the_identity_of_its_machine(
    provider: str, labels: dict[str, str], spec: Object, expected: str
) -> None:
    held = pod("shop", "till", DROPPED, **spec)
    assert value("admin", node("w1", provider, **labels), held) == expected


def policy(*egress: Object, selector: Object | None = None) -> Object:
    spec = {"podSelector": selector or {}, "policyTypes": ["Egress"], "egress": list(egress)}
    return item("NetworkPolicy", "out", "shop", "networking.k8s.io/v1", spec=spec)


PLUGIN = pod("kube-system", "calico-node-x")
PLUGIN["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "calico-node"}]
ALL, BUT = "0.0.0.0/0", ["169.254.169.254/32"]


@pytest.mark.parametrize(
    ("policies", "plugin", "expected"),
    [
        ([policy()], True, "none"),
        ([policy({"to": [{"namespaceSelector": {}}]})], True, "none"),
        ([policy({"to": [{"ipBlock": {"cidr": ALL, "except": BUT}}]})], True, "none"),
        ([policy({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})], True, "none"),
        ([policy({"to": [{"ipBlock": {"cidr": ALL}}]})], True, "possible"),
        # a rule without a target is for all of them
        ([policy({"ports": [{"port": 80}]})], True, "possible"),
        # what one policy lets out, another does not keep in
        ([policy(), policy({})], True, "possible"),
        ([policy(selector={"matchLabels": {"app": "other"}})], True, "possible"),
        # without a plugin, a policy has no effect
        ([policy()], False, "possible"),
    ],
)
def test_policy_for_egress_keeps_a_pod_from_metadata(
    policies: list[Object], plugin: bool, expected: str
) -> None:
    """https://kubernetes.io/docs/concepts/services-networking/network-policies/."""
    for number, each in enumerate(policies):
        each["metadata"] = {**each["metadata"], "name": f"out-{number}"}
    more = [PLUGIN] if plugin else []
    machine = node("w1", "aws:///eu-central-1a/i-0ab")
    assert value("admin", machine, pod("shop", "till", DROPPED), *policies, *more) == expected


def may(verbs: str, namespace: str, names: tuple[str, ...] = ()) -> list[Object]:
    rule: Object = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs.split()}
    rule |= {"resourceNames": list(names)} if names else {}
    kind = "Role" if namespace else "ClusterRole"
    ref = {"kind": kind, "name": "writer"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "shop"}
    return [
        item(kind, "writer", namespace, RBAC, rules=[rule]),
        item(f"{kind}Binding", "writer", namespace, RBAC, roleRef=ref, subjects=[subject]),
    ]


@pytest.mark.parametrize(
    ("rights", "provider", "expected"),
    [
        (may("update", "kube-system"), "aws:///a/i-0", "possible"),
        (may("patch", "", ("aws-auth",)), "aws:///a/i-0", "possible"),
        (may("create", "kube-system"), "aws:///a/i-0", "possible"),
        (may("patch", "", ("coredns",)), "aws:///a/i-0", "none"),
        (may("get list", "kube-system"), "aws:///a/i-0", "none"),
        (may("update", "shop"), "aws:///a/i-0", "none"),
        (may("update", "kube-system"), "", "none"),
    ],
)
def test_who_writes_aws_auth_says_who_is_who(
    rights: list[Object], provider: str, expected: str
) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html."""
    closed = [policy(), PLUGIN]
    held = pod("shop", "till", DROPPED)
    token = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    held["spec"]["volumes"] = [{"name": "t", **token}]
    held["spec"]["containers"][0]["volumeMounts"] = [{"name": "t", "mountPath": "/t"}]
    assert value("admin", node("w1", provider), held, *closed, *rights) == expected


def webhook(kind: str, resources: str, group: str = "", **more: Any) -> Object:
    rule: Object = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"]}
    to = {"service": {"namespace": "shop", "name": "till", "path": "/"}}
    one: Object = {"name": "t.example.com", "clientConfig": to, "sideEffects": "None"}
    one |= {"rules": [{**rule, "resources": resources.split()}], **more}
    return item(f"{kind}WebhookConfiguration", "t", "", ADMISSION, webhooks=[one])


SERVICE = item(
    "Service", "till", "shop", spec={"selector": {"app": "till"}, "ports": [{"port": 1}]}
)
ROLES = "rbac.authorization.k8s.io"
HOST = "till.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("hook", "goal", "expected"),
    [
        # what a mutating webhook is sent, it changes: a pod becomes privileged
        (webhook("Mutating", "pods"), "node", "known"),
        (webhook("Mutating", "*"), "node", "known"),
        (webhook("Mutating", "clusterrolebindings", ROLES), "admin", "possible"),
        (webhook("Mutating", "configmaps"), "node", "none"),
        # a template of pods is as good, and any object of RBAC
        (webhook("Mutating", "cronjobs", "batch"), "node", "possible"),
        (webhook("Mutating", "rolebindings", ROLES), "admin", "possible"),
        (webhook("Mutating", "clusterroles", ROLES), "admin", "possible"),
        # a validating one changes nothing, and is sent the secrets that are written
        (webhook("Validating", "pods"), "node", "none"),
        (webhook("Validating", "secrets"), "secrets", "possible"),
        (webhook("Validating", "pods"), "secrets", "none"),
        # a review of a token has the token
        (
            webhook("Validating", "tokenreviews", "authentication.k8s.io"),
            "is:system:serviceaccount:ops:boss",
            "possible",
        ),
    ],
)
def test_pod_that_answers_for_a_webhook_has_what_the_webhook_has(
    hook: Object, goal: str, expected: str
) -> None:
    """https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/."""
    boss = item("ServiceAccount", "boss", "ops")
    objects = (node(), pod("shop", "till", DROPPED), item("Namespace", "shop"), boss)
    assert value(goal, *objects, SERVICE, hook) == expected
    named = {**hook["webhooks"][0], "clientConfig": {"url": "https://till.shop.svc:443/"}}
    assert value(goal, *objects, SERVICE, {**hook, "webhooks": [named]}) == expected
    alias = item("Service", "hooks", "ops", spec={"type": "ExternalName", "externalName": HOST})
    far = {**named, "clientConfig": {"service": {"namespace": "ops", "name": "hooks"}}}
    assert value(goal, *objects, SERVICE, alias, {**hook, "webhooks": [far]}) == expected
    other = {**SERVICE, "spec": {"selector": {"app": "other"}, "ports": [{"port": 1}]}}
    assert value(goal, *objects, other, hook) == "none"


@pytest.mark.parametrize(
    ("version", "provider", "group", "expected"),
    [
        ("v1.33.5-gke.1201000", "gce://p/z/n", "system:authenticated", "known"),
        ("v1.33.5-gke.1201000", "gce://p/z/n", "ops", "none"),
        # elsewhere a caller needs a credential of this cluster
        ("v1.33.5", "gce://p/z/n", "system:authenticated", "none"),
        ("v1.33.5-eks-1", "aws:///a/i", "system:authenticated", "none"),
    ],
)
def test_every_account_of_google_is_authenticated_in_gke(
    version: str, provider: str, group: str, expected: str
) -> None:
    """https://cloud.google.com/kubernetes-engine/docs/best-practices/rbac#default-roles-groups."""
    machine = {**node("w1", provider), "status": {"nodeInfo": {"kubeletVersion": version}}}
    who = {"kind": "Group", "name": group}
    bound = item("ClusterRoleBinding", "all", "", RBAC, roleRef=ADMINS, subjects=[who])
    assert value("admin", machine, bound, start="outside") == expected


def workload(kind: str, version: str, **more: Any) -> Object:
    container = {"name": "c", "image": "x", "securityContext": {"privileged": True}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    return item(kind, "agent", "shop", version, **{"spec": {"template": template}, **more})


@pytest.mark.parametrize(
    ("made", "with_pods", "expected"),
    [
        (workload("Job", "batch/v1"), True, "known"),
        (workload("Job", "batch/v1", status={}), False, "known"),
        (
            workload(
                "Job", "batch/v1", status={"conditions": [{"type": "Complete", "status": "True"}]}
            ),
            True,
            "none",
        ),
        # its pods follow the nodes: without any among the pods, it has none
        (workload("DaemonSet", "apps/v1"), True, "none"),
        # manifests have no pods
        (workload("DaemonSet", "apps/v1"), False, "known"),
    ],
)
def test_workload_without_pods_starts_some_later(
    made: Object, with_pods: bool, expected: str
) -> None:
    """https://kubernetes.io/docs/concepts/workloads/controllers/job/."""
    builder = Builder("test", every_namespace=True)
    builder.kinds |= {*KINDS, "Service"} - (set() if with_pods else {"Pod"})
    builder.add(made, made["kind"], "dump.json")
    found = attack_paths(model_of_dump(builder.finish()), "pod", "node")
    known = [path for path in found.paths if "agent" in str(path[0].foothold) or len(path) == 1]
    assert ("known" if known else "none") == expected


def test_list_in_a_list_is_read() -> None:
    builder = Builder("test", every_namespace=True)
    inner = {"kind": "PodList", "items": [{"metadata": {"name": "web", "namespace": "shop"}}]}
    builder.add({"kind": "List", "items": [inner, node("w2")]}, "List", "dump.json")
    found = builder.finish()
    assert [it.id for it in found.pods] == ["shop/web"]
    assert [it.name for it in found.nodes] == ["w2"]


REFERENCE: Object = {"namespace": "shop", "name": "till", "port": 443}


def api_service(**spec: Any) -> Object:
    spec = {"group": "metrics.k8s.io", "version": "v1beta1", **spec}
    return item("APIService", "v1beta1.metrics.k8s.io", "", "apiregistration.k8s.io/v1", spec=spec)


def definition(conversion: Object, version: str = "v1") -> Object:
    spec = {"group": "shop.example.com", "conversion": conversion}
    return item(
        "CustomResourceDefinition",
        "tills.shop.example.com",
        "",
        f"apiextensions.k8s.io/{version}",
        spec=spec,
    )


CONVERTED = {"clientConfig": {"service": REFERENCE}, "conversionReviewVersions": ["v1"]}
EXTENSIONS = [
    (api_service(service=REFERENCE, insecureSkipTLSVerify=True), "possible"),
    # the apiserver itself answers
    (api_service(), "none"),
    (api_service(service={**REFERENCE, "name": "other"}), "none"),
    (definition({"strategy": "Webhook", "webhook": CONVERTED}), "possible"),
    (
        definition({"strategy": "Webhook", "webhookClientConfig": CONVERTED["clientConfig"]}),
        "possible",
    ),
    (definition({"strategy": "None"}), "none"),
    (
        # Rancher has a kind of this name as well
        {**api_service(service=REFERENCE), "apiVersion": "management.cattle.io/v3"},
        "none",
    ),
]


@pytest.mark.parametrize(("extension", "expected"), EXTENSIONS)
def test_pod_that_answers_for_an_api_decides_what_controllers_see(
    extension: Object, expected: str
) -> None:
    """The aggregator sends the headers of the front proxy, and no token of the caller.

    https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
    """
    objects = (node(), pod("shop", "till", DROPPED), item("Namespace", "shop"), SERVICE)
    assert value("admin", *objects, extension) == expected


@pytest.mark.parametrize(
    ("group", "resource", "verb", "names", "home", "expected"),
    [
        ("", "services", "patch", [], "shop", "possible"),
        ("", "services", "patch", ["till"], "shop", "possible"),
        ("", "services", "patch", ["other"], "shop", "none"),
        ("", "services", "patch", [], "ops", "none"),
        ("", "services", "get", [], "shop", "none"),
        ("", "endpoints", "update", ["till"], "shop", "possible"),
        ("discovery.k8s.io", "endpointslices", "create", [], "shop", "possible"),
        ("discovery.k8s.io", "endpointslices", "patch", ["till-x2x7k"], "shop", "possible"),
    ],
)
@pytest.mark.parametrize("extension", [it for it, expected in EXTENSIONS if expected != "none"][:2])
def test_who_says_what_is_behind_such_a_service_may_answer_for_it(
    extension: Object,
    group: str,
    resource: str,
    verb: str,
    names: list[str],
    home: str,
    expected: str,
) -> None:
    """https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors."""
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]
    rules[0] |= {"resourceNames": names} if names else {}
    who = [{"kind": "User", "name": "ann"}]
    objects = (
        item("Namespace", "shop"),
        item("Role", "r", home, RBAC, rules=rules),
        item(
            "RoleBinding",
            "r",
            home,
            RBAC,
            roleRef={"kind": "Role", "name": "r"},
            subjects=who,
        ),
    )
    model = dump_of(*objects, SERVICE, extension)
    assert model.dump is not None
    steps = [it for it in object_steps(model.dump) if it.name == "redirect-service"]
    assert bool(steps) == (expected == "possible")
    if steps:
        assert value("admin", *objects, SERVICE, extension, start="is:ann") == expected
