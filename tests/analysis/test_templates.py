"""Pods that do not run at the moment of a dump, and manifests that nobody has applied yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import read_dump
from labkit.model import Model, model_of_dump

#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
Object = dict[str, Any]
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
TEMPLATE = {"spec": {"serviceAccountName": "boss", "containers": [{"name": "c"}]}}

#: Those that every apiserver makes: without one, who else has rights is not known.
BINDINGS = [
    {"kind": kind, "metadata": {"name": name, "namespace": home}, "roleRef": {"name": name}}
    for kind, home, name in (
        ("ClusterRoleBinding", "", "cluster-admin"),
        ("RoleBinding", "kube-public", "system:controller:bootstrap-signer"),
    )
]


def made(kind: str, name: str, home: str = "", **more: Any) -> Object:
    about = {"name": name, **({"namespace": home} if home else {})}
    return {"kind": kind, "metadata": about, **more}


def rights(home: str = "ops", name: str = "boss") -> tuple[Object, ...]:
    subject = {"kind": "ServiceAccount", "namespace": home, "name": name}
    ref = {"kind": "ClusterRole", "name": "all"}
    bound = made("ClusterRoleBinding", "all", roleRef=ref, subjects=[subject])
    return made("ClusterRole", "all", rules=[ALL]), bound


def read(folder: Path, *objects: Object) -> Model:
    file = folder / "dump.json"
    file.write_text(json.dumps({"kind": "List", "items": [*REST, *BINDINGS, *objects]}))
    return model_of_dump(read_dump(file))


def way(found: Model, start: str, goal: str) -> str:
    paths = attack_paths(found, start, goal)
    return "known" if paths.paths else "possible" if paths.possible else "none"


def workload(kind: str, template: Object, **spec: Any) -> Object:
    inner: Object = {"template": template, **spec}
    spec = {"jobTemplate": {"spec": inner}} if kind == "CronJob" else inner
    return made(kind, "w", "ops", spec=spec)


KINDS = ("CronJob", "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")


@pytest.mark.parametrize("kind", KINDS)
def test_workload_without_a_pod_may_start_one(tmp_path: Path, kind: str) -> None:
    """https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/: pods come and go."""
    other = made("Pod", "web", "shop", spec={"nodeName": "n1"})
    other["metadata"]["uid"] = "1"
    objects = (*rights(), other, workload(kind, TEMPLATE, replicas=0))
    found = read(tmp_path, *objects)
    assert way(found, "pod:ops/w", "admin") == "known"
    [group] = [it for it in found.dump.pods if it.namespace == "ops"] if found.dump else []
    assert (group.kind, group.nodes) == (kind, ())


@pytest.mark.parametrize("kind", KINDS)
def test_workload_with_a_pod_is_read_from_the_pod(tmp_path: Path, kind: str) -> None:
    owner = {"kind": "Job" if kind == "CronJob" else kind, "name": "w"}
    if kind == "CronJob":
        owner["name"] = "w-29000000"
    if kind == "Deployment":
        owner = {"kind": "ReplicaSet", "name": "w-5d9c7"}
    running = made("Pod", "w-x", "ops", spec={"nodeName": "n1", "serviceAccountName": "boss"})
    labels = {"pod-template-hash": "5d9c7"} if kind == "Deployment" else {}
    running["metadata"] |= {"uid": "1", "ownerReferences": [owner], "labels": labels}
    # of a running pod the volumes say that it has no token
    found = read(tmp_path, *rights(), running, workload(kind, TEMPLATE))
    assert found.dump is not None
    assert [it.pods for it in found.dump.pods] == [("w-x",)]
    assert way(found, "pod:ops/w", "admin") == "none"


def test_older_versions_of_a_deployment_start_nothing(tmp_path: Path) -> None:
    old = workload("ReplicaSet", TEMPLATE, replicas=0)
    old["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "w"}]
    found = read(tmp_path, *rights(), old)
    assert found.dump is not None
    assert found.dump.pods == ()


def foreign(kind: str, group: str, **spec: Any) -> Object:
    return made(kind, "w", "ops", apiVersion=f"{group}/v1", spec=spec)


#: https://argo-rollouts.readthedocs.io/en/stable/features/specification/ and the documents of
#: OpenKruise, Knative Serving, KubeRay, Volcano, JobSet and LeaderWorkerSet
FOREIGN = {
    "Rollout": foreign("Rollout", "argoproj.io", replicas=0, template=TEMPLATE),
    "StatefulSet": foreign("StatefulSet", "apps.kruise.io", template=TEMPLATE),
    "Service": foreign("Service", "serving.knative.dev", template=TEMPLATE),
    "RayCluster": foreign("RayCluster", "ray.io", workerGroupSpecs=[{"template": TEMPLATE}]),
    "Job": foreign("Job", "batch.volcano.sh", tasks=[{"template": TEMPLATE}]),
    "JobSet": foreign(
        "JobSet",
        "jobset.x-k8s.io",
        replicatedJobs=[{"template": {"spec": {"template": TEMPLATE}}}],
    ),
    "LeaderWorkerSet": foreign(
        "LeaderWorkerSet",
        "leaderworkerset.x-k8s.io",
        leaderWorkerTemplate={"workerTemplate": TEMPLATE},
    ),
    "DeploymentConfig": foreign("DeploymentConfig", "apps.openshift.io", template=TEMPLATE),
}
WEB = made("Pod", "web", "shop", spec={"nodeName": "n1"})


@pytest.mark.parametrize("kind", FOREIGN)
def test_workload_of_a_kind_that_kubernetes_does_not_have_may_start_a_pod(
    tmp_path: Path, kind: str
) -> None:
    found = read(tmp_path, *rights(), WEB, FOREIGN[kind])
    assert way(found, "pod:ops/w", "admin") == "known"


def test_kinds_of_one_name_both_start_pods(tmp_path: Path) -> None:
    other = workload("StatefulSet", {"spec": {"containers": [{"name": "c"}]}}, replicas=0)
    for objects in ((FOREIGN["StatefulSet"], other), (other, FOREIGN["StatefulSet"])):
        found = read(tmp_path, *rights(), WEB, *objects)
        ways = {way(found, start, "admin") for start in ("pod:ops/w", "pod:ops/w (2)")}
        assert ways == {"known", "none"}


@pytest.mark.parametrize(
    "item",
    [
        # a pattern of a policy, an older version, and a template that is applied by hand
        foreign("ClusterPolicy", "kyverno.io", rules=[{"validate": {"pattern": TEMPLATE}}]),
        made("ControllerRevision", "w", "ops", data={"spec": {"template": TEMPLATE}}),
        made("PodTemplate", "w", "ops", template=TEMPLATE),
        made("Template", "w", "ops", objects=[workload("Deployment", TEMPLATE)]),
        foreign("Certificate", "cert-manager.io", template={"spec": {"containers": None}}),
        foreign("Odd", "example.com", template=[TEMPLATE["spec"]]),
    ],
    ids=lambda item: item["kind"],
)
def test_what_no_controller_makes_pods_of_starts_nothing(tmp_path: Path, item: Object) -> None:
    found = read(tmp_path, *rights(), WEB, item)
    assert found.dump is not None
    assert {it.namespace for it in found.dump.pods} == {"shop"}


def test_pods_of_a_workload_of_another_kind_say_what_runs(tmp_path: Path) -> None:
    """A replica set stands between, and names the rollout as its owner."""
    running = made("Pod", "w-x", "ops", spec={"nodeName": "n1", "serviceAccountName": "boss"})
    running["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "w-5d9c7"}]
    between = workload("ReplicaSet", TEMPLATE)
    between["metadata"] |= {
        "name": "w-5d9c7",
        "ownerReferences": [{"kind": "Rollout", "name": "w"}],
    }
    for objects in ((running, between), (between, running)):
        found = read(tmp_path, *rights(), *objects, FOREIGN["Rollout"])
        assert found.dump is not None
        assert [it.pods for it in found.dump.pods] == [("w-x",)]
    # not one of its pods
    found = read(tmp_path, *rights(), running, FOREIGN["Rollout"])
    assert found.dump is not None
    assert len(found.dump.pods) == 2


@pytest.mark.parametrize(
    "about",
    [
        {"name": "w", "namespace": "ops", "ownerReferences": [{"kind": "Rollout", "name": "w"}]},
        {"name": "w", "namespace": "ops", "ownerReferences": "w"},
        {"name": "w", "namespace": "ops", "ownerReferences": [None]},
    ],
)
def test_odd_owners_of_a_workload_end_nowhere(tmp_path: Path, about: Object) -> None:
    item = {**FOREIGN["Rollout"], "metadata": about}
    assert way(read(tmp_path, *rights(), WEB, item), "pod:ops/w", "admin") == "known"


@pytest.mark.parametrize("about", [{}, {"name": 1}, {"generateName": "w-"}, "w"])
def test_foreign_workload_without_a_name_is_unknown(tmp_path: Path, about: Any) -> None:
    found = read(tmp_path, *rights(), WEB, {**FOREIGN["Rollout"], "metadata": about})
    assert found.dump is not None
    assert "Rollout" in [it.text for it in found.dump.unknowns]


def test_pod_that_waits_for_a_node_escapes_to_some_node(tmp_path: Path) -> None:
    privileged = {"name": "c", "securityContext": {"privileged": True}}
    template = {"spec": {"containers": [privileged]}}
    labels = {"node-role.kubernetes.io/control-plane": ""}
    nodes = [made("Node", "n1"), made("Node", "cp1")]
    nodes[1]["metadata"]["labels"] = labels
    objects = (workload("CronJob", template), made("Namespace", "ops"))
    found = read(tmp_path, *nodes, *objects)
    assert way(found, "pod:ops/w", "node") == "known"
    assert way(found, "pod:ops/w", "admin") == "possible"
    alone = read(tmp_path, nodes[1], *objects)
    assert way(alone, "pod:ops/w", "admin") == "known"


def test_manifest_without_a_namespace_is_in_the_default_one(tmp_path: Path) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""
    pod = made("Pod", "web", spec=TEMPLATE["spec"])
    objects = (pod, made("ServiceAccount", "boss"), *rights("default"))
    found = read(tmp_path, *objects)
    assert way(found, "pod:default/web", "admin") == "known"
    assert found.dump is not None
    assert ("default", "boss") in {(it.namespace, it.name) for it in found.dump.accounts}


def test_old_name_of_the_service_account_counts(tmp_path: Path) -> None:
    """pkg/apis/core/v1/conversion.go: ``serviceAccount``, where the new name is absent."""
    for spec, value in (
        ({"serviceAccount": "boss"}, "known"),
        ({"serviceAccount": "boss", "serviceAccountName": "web"}, "none"),
    ):
        pod = made("Pod", "web", "ops", spec={**spec, "containers": [{"name": "c"}]})
        assert way(read(tmp_path, pod, *rights()), "pod:ops/web", "admin") == value


# -- kinds of other projects, by their definitions ------------------------------------------------

SPEC = {"type": "object", "properties": {"containers": {"type": "array"}}}
OF_PODS = {"type": "object", "properties": {"metadata": {}, "spec": SPEC}}
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(name: str, properties: Any, scope: str = "Namespaced", **more: Any) -> Object:
    """Return a CustomResourceDefinition with these properties of an object's ``spec``."""
    plural, _, group = name.partition(".")
    schema = {"properties": {"spec": {"properties": properties}, **more}}
    versions: list[Object] = [
        {"name": "v1alpha1", "served": False, "storage": True},
        {"name": "v1", "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}},
    ]
    names = {"plural": plural, "kind": plural.removesuffix("s").capitalize()}
    spec = {"group": group, "names": names, "scope": scope, "versions": versions}
    api = "apiextensions.k8s.io/v1"
    return made("CustomResourceDefinition", name, apiVersion=api, spec=spec)


def old_definition() -> Object:
    """Return one of apiextensions.k8s.io/v1beta1, with one schema for all versions."""
    found = definition("rollouts.argoproj.io", {})
    [_, version] = found["spec"].pop("versions")
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["template"] = OF_PODS
    found["spec"] |= {"version": "v1beta1", "validation": version["schema"]}
    return {**found, "apiVersion": "apiextensions.k8s.io/v1beta1"}


#: As in the definitions of Argo Rollouts, OpenKruise, KubeRay, JobSet, ECK and Knative.
MAKERS = {
    "Argo Rollouts": definition("rollouts.argoproj.io", {"template": OF_PODS}),
    "Argo Rollouts of old": old_definition(),
    "OpenKruise": definition("broadcasts.apps.kruise.io", {"template": ANYTHING}),
    "KubeRay": definition(
        "clusters.ray.example",
        {"workerGroupSpecs": {"type": "array", "items": {"properties": {"template": OF_PODS}}}},
    ),
    "LeaderWorkerSet": definition(
        "leaderworkersets.x-k8s.io",
        {"leaderWorkerTemplate": {"properties": {"workerTemplate": OF_PODS}}},
    ),
    "ECK": definition(
        "elastics.k8s.elastic.co",
        {"nodeSets": {"items": {"properties": {"podTemplate": ANYTHING}}}},
    ),
    "Knative": definition(
        "routes.serving.knative.dev", {"template": {"properties": {"spec": ANYTHING}}}
    ),
    "a mapping": definition(
        "groups.example.com",
        {"of": {"additionalProperties": {"properties": {"template": OF_PODS}}}},
    ),
}
#: As in those of cert-manager, Argo CD, Cluster API, External Secrets and KubeVirt's neighbours.
OTHERS = {
    "secretTemplate": {"secretTemplate": {"properties": {"labels": ANYTHING}}},
    "ApplicationSet": {"template": {"properties": {"spec": {"properties": {"project": {}}}}}},
    "MachineDeployment": {"template": {"properties": {"spec": {"properties": {"bootstrap": {}}}}}},
    "ExternalSecret": {"target": {"properties": {"template": {"properties": {"data": ANYTHING}}}}},
    "text": {"template": {"type": "string"}},
    "nothing": {},
    "odd": [1],
}
DEPLOYER = {"kind": "ServiceAccount", "namespace": "ops", "name": "deployer"}


def deployer(verbs: str, resource: str, group: str, kind: str = "Role") -> tuple[Object, ...]:
    """Return a pod whose account may do something in its namespace, beside one with all rights."""
    home = "" if kind == "ClusterRole" else "ops"
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}]
    bound = made(
        f"{kind}Binding",
        "deployer",
        home,
        roleRef={"kind": kind, "name": "deployer"},
        subjects=[DEPLOYER],
    )
    running = made("Pod", "d", "ops", spec={"serviceAccountName": "deployer", "nodeName": "n1"})
    account = made("ServiceAccount", "boss", "ops")
    return running, account, made(kind, "deployer", home, rules=rules), bound, *rights()


@pytest.mark.parametrize("name", MAKERS)
def test_who_may_make_objects_with_a_template_perhaps_starts_pods(
    tmp_path: Path, name: str
) -> None:
    definition = MAKERS[name]
    group, resource = definition["spec"]["group"], definition["spec"]["names"]["plural"]
    for verbs, asked, of, value in (
        ("create", resource, group, "possible"),
        ("patch", resource, group, "possible"),
        ("update", "*", group, "possible"),
        ("get list delete", resource, group, "none"),
        ("create", f"{resource}/status", group, "none"),
        ("create", resource, "other.example.com", "none"),
    ):
        found = read(tmp_path, definition, *deployer(verbs, asked, of))
        assert way(found, "pod:ops/d", "admin") == value, (verbs, asked, of)
    found = read(tmp_path, *deployer("create", resource, group))
    assert way(found, "pod:ops/d", "admin") == "none"


@pytest.mark.parametrize("what", OTHERS)
def test_definition_without_a_template_of_pods_starts_nothing(tmp_path: Path, what: str) -> None:
    other = definition("things.example.com", OTHERS[what])
    # what the controller writes about itself is no template
    status = definition("things.example.com", {}, status={"properties": {"template": OF_PODS}})
    for item in (other, status):
        found = read(tmp_path, item, *deployer("create", "things", "example.com"))
        assert way(found, "pod:ops/d", "admin") == "none"
        assert found.dump is not None
        assert not [it for it in found.dump.unknowns if "things" in it.text]


def test_kind_of_an_object_with_a_template_is_asked_by_its_usual_name(tmp_path: Path) -> None:
    """Without the definition; the guess is client-go's UnsafeGuessKindToResource."""
    for kind, resource in (("Proxy", "proxies"), ("Rollout", "rollouts"), ("Redis", "redises")):
        item = foreign(kind, "example.com", template={"spec": {"containers": [{"name": "c"}]}})
        found = read(tmp_path, item, *deployer("create", resource, "example.com"))
        assert way(found, "pod:ops/d", "admin") == "possible", kind
        # a manifest may leave its namespace out, which does not make it one of no namespace
        item["metadata"] = {"name": "w"}
        found = read(tmp_path, item, *deployer("create", resource, "example.com"))
        assert way(found, "pod:ops/d", "admin") == "possible", kind


@pytest.mark.parametrize("odd", [1, None, ["v1"], {}, "", "v1"])
def test_workload_whose_group_cannot_be_read_is_a_workload_still(tmp_path: Path, odd: Any) -> None:
    """Or an unknown, if its group is no text at all."""
    found = read(tmp_path, *rights(), WEB, {**FOREIGN["Rollout"], "apiVersion": odd}).dump
    assert found is not None
    started = {it.namespace for it in found.pods} == {"ops", "shop"}
    assert started or "Rollout" in [it.text for it in found.unknowns]
    assert found.custom_workloads == ()


def test_version_that_is_served_is_asked_for(tmp_path: Path) -> None:
    found = read(tmp_path, MAKERS["Argo Rollouts"], MAKERS["OpenKruise"]).dump
    assert found is not None
    assert [it.version for it in found.custom_workloads] == ["v1", "v1"]
    found = read(tmp_path, MAKERS["Argo Rollouts of old"]).dump
    assert found is not None
    assert [it.version for it in found.custom_workloads] == ["v1beta1"]


def test_kind_in_no_namespace_is_not_given_by_a_role_binding(tmp_path: Path) -> None:
    item = definition("fleets.example.com", {"template": OF_PODS}, scope="Cluster")
    for kind, value in (("Role", "none"), ("ClusterRole", "possible")):
        found = read(tmp_path, item, *deployer("create", "fleets", "example.com", kind))
        assert way(found, "pod:ops/d", "admin") == value


def test_kind_without_an_object_is_an_unknown_with_the_command(tmp_path: Path) -> None:
    item = MAKERS["Argo Rollouts"]
    found = read(tmp_path, item, WEB).dump
    assert found is not None
    [unknown] = [it for it in found.unknowns if "rollouts" in it.text]
    assert "kubectl get rollouts.argoproj.io -A -o json" in unknown.why
    # a cluster may have none of them: this alone does not end a gate
    assert unknown not in found.gaps
    found = read(tmp_path, item, WEB, FOREIGN["Rollout"]).dump
    assert found is not None
    assert not [it for it in found.unknowns if "rollouts" in it.text]
