"""Dumps that hold a part of a cluster: what they do not hold is unknown, and not absent.

kubectl asks for one namespace, or with -A for all, and leaves out kinds of which it may list none
(https://kubernetes.io/docs/reference/kubectl/generated/kubectl_get/). Every cluster has the
namespaces default and kube-system with service accounts, the service default/kubernetes and the
binding cluster-admin.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from labkit.analysis import attack_paths
from labkit.cli import app
from labkit.loading import load_model
from labkit.model import Model

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
#: What every cluster has.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def item(kind: str, name: str, namespace: str = "", version: str = "v1", **more: Any) -> Object:
    about = {
        "name": name,
        "uid": f"{kind}-{name}",
        **({"namespace": namespace} if namespace else {}),
    }
    return {"apiVersion": version, "kind": kind, "metadata": about, **more}


def pod(namespace: str, name: str, node: str, account: str = "default", **spec: Any) -> Object:
    mount = {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    container = {"name": "c", "image": "shop/till:1", "volumeMounts": [mount]}
    container |= spec.pop("container", {})
    volumes = [{"name": "t", **TOKEN}, *spec.pop("volumes", [])]
    spec = {"nodeName": node, "serviceAccountName": account, "volumes": volumes, **spec}
    return item("Pod", name, namespace, spec={**spec, "containers": [container]})


def node(name: str, *, control_plane: bool = False) -> Object:
    made = item("Node", name, status={"nodeInfo": {"kubeletVersion": "v1.36.1"}})
    if control_plane:
        made["metadata"]["labels"] = {"node-role.kubernetes.io/control-plane": ""}
    return made


def role(kind: str, name: str, namespace: str = "", rules: Any = ()) -> Object:
    return item(kind, name, namespace, f"{RBAC}/v1", rules=list(rules))


def binding(kind: str, name: str, namespace: str, of: str, subject: Object) -> Object:
    ref = {"apiGroup": RBAC, "kind": of, "name": name}
    return item(kind, name, namespace, f"{RBAC}/v1", roleRef=ref, subjects=[subject])


ADMIN = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
READS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
LEADER = {"kind": "ServiceAccount", "name": "bootstrap-signer", "namespace": "kube-system"}
#: A whole cluster, in which an attacker inside the only pods of the shop gets nowhere.
CLUSTER = [
    *REST,
    item("Namespace", "shop"),
    item("ServiceAccount", "default", "shop"),
    node("cp1", control_plane=True),
    node("w1"),
    role("ClusterRole", "cluster-admin", rules=ADMIN),
    role("Role", "config", "shop", READS),
    binding("RoleBinding", "config", "shop", "Role", {"kind": "User", "name": "ann"}),
    role("Role", "system:controller:bootstrap-signer", "kube-system", READS),
    binding("RoleBinding", "system:controller:bootstrap-signer", "kube-system", "Role", LEADER),
    item("Secret", "till", "shop", type="Opaque", data={"password": "aHVudGVyMg=="}),
    item("Secret", "registry", "kube-system", type="kubernetes.io/dockerconfigjson"),
    item("Service", "till", "shop", spec={"type": "ClusterIP", "selector": {"app": "till"}}),
    pod("shop", "till", "w1"),
    pod("kube-system", "coredns", "w1"),
]
GOALS = ("secrets", "admin", "node")
CLUSTER_WIDE = {"Namespace", "Node", "ClusterRole", "ClusterRoleBinding"}


def write(path: Path, objects: list[Object]) -> Path:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return path


def value(model: Model, start: str, goal: str) -> str:
    found = attack_paths(model, start, goal)
    return "known" if found.paths else "possible" if found.possible else "none"


def without(*kinds: str) -> list[Object]:
    return [it for it in CLUSTER if it["kind"] not in kinds]


def of_shop(*kinds: str) -> list[Object]:
    """Return what kubectl prints for some kinds with ``-n shop``, which says nothing of others."""
    return [
        it
        for it in CLUSTER
        if it["kind"] in kinds
        and (it["kind"] in CLUSTER_WIDE or it["metadata"]["namespace"] == "shop")
    ]


def test_a_whole_dump_leaves_nothing_to_be_found_out(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "dump.json", CLUSTER))
    assert {value(model, s, g) for s in ("outside", "pod") for g in GOALS} == {"none"}
    assert model.dump is not None
    assert not model.dump.gaps
    assert not model.dump.lacking


EVERY = ("ServiceAccount", "Secret", "Role", "RoleBinding", "Service", "Pod", *sorted(CLUSTER_WIDE))


@pytest.mark.parametrize(
    ("objects", "starts"),
    [
        pytest.param(of_shop(*EVERY), ("pod", "outside", "pod:shop/till"), id="without -A"),
        pytest.param(of_shop("Pod", "Service"), ("pod", "outside"), id="get all -n shop"),
        pytest.param(without("RoleBinding"), ("pod", "pod:shop/till"), id="no RoleBinding"),
        pytest.param(without("ClusterRoleBinding"), ("pod", "outside"), id="no ClusterRoleBinding"),
        pytest.param(without("Pod"), ("pod",), id="no Pod"),
        pytest.param(
            [*without("Pod"), pod("shop", "till", "w1")], (), id="pods of one namespace are all"
        ),
    ],
)
def test_what_a_dump_does_not_hold_may_lead_to_cluster_admin(
    tmp_path: Path, objects: list[Object], starts: tuple[str, ...]
) -> None:
    file = write(tmp_path / "dump.json", objects)
    model = load_model(file)
    assert {start: value(model, start, "admin") for start in starts} == dict.fromkeys(
        starts, "possible"
    )
    rule = ["--forbid-path", "pod -> admin", "--quiet"]
    status = CliRunner().invoke(app, ["analyze", str(file), *rule]).exit_code
    assert status == (4 if starts else 0)


def test_the_namespaces_that_were_read_are_said_first(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "dump.json", of_shop(*EVERY)))
    first = model.unknowns[0]
    assert "of shop alone" in first
    assert "kubectl get -A" in first
    assert all(kind in first for kind in ("Pod", "RoleBinding", "ServiceAccount"))


def test_files_of_several_namespaces_are_not_the_cluster(tmp_path: Path) -> None:
    """One file for each namespace, as people write them in a loop; none of kube-system."""
    write(tmp_path / "cluster.json", [it for it in CLUSTER if it["kind"] in CLUSTER_WIDE])
    for home in ("shop", "pay"):
        made = [pod(home, "till", "w1"), item("ServiceAccount", "default", home)]
        made.append(binding("RoleBinding", "config", home, "Role", {"kind": "User", "name": "a"}))
        write(tmp_path / f"{home}.json", made)
    model = load_model(tmp_path)
    assert value(model, "pod:shop/till", "admin") == "possible"
    # with those of every namespace beside them, nothing is missing
    write(tmp_path / "all.json", CLUSTER)
    assert value(load_model(tmp_path), "pod:shop/till", "admin") == "none"


def test_pod_that_was_not_read_may_have_any_token_and_be_privileged(tmp_path: Path) -> None:
    """Only RBAC was copied: every service account may be a pod's."""
    bound = binding(
        "ClusterRoleBinding", "cluster-admin", "", "ClusterRole", {"kind": "Group", "name": "ops"}
    )
    agent = {"kind": "ServiceAccount", "name": "agent", "namespace": "shop"}
    bound |= {"subjects": [agent], "metadata": {"name": "agent"}}
    model = load_model(write(tmp_path / "d.json", [*without("Pod"), bound]))
    found = attack_paths(model, "pod", "admin", 3)
    assert "whether a pod that was not read has a token of shop:agent" in repr(found)
    assert value(model, "pod", "node") == "possible"
    assert value(model, "outside", "node") == "possible"
    # and one that was read is not taken for it
    assert value(load_model(write(tmp_path / "e.json", [*CLUSTER, bound])), "pod", "node") == "none"


HOST: Object = {
    "container": {"securityContext": {"privileged": True}},
}
KEYS: Object = {
    "container": {"volumeMounts": [{"name": "k", "mountPath": "/k", "readOnly": True}]},
    "volumes": [{"name": "k", "hostPath": {"path": "/etc/kubernetes/pki"}}],
}


@pytest.mark.parametrize(
    ("spec", "on", "without_nodes"),
    [(HOST, "w1", "possible"), (KEYS, "w1", "possible"), (HOST, "cp1", "possible")],
)
def test_node_that_was_not_read_may_run_the_control_plane(
    tmp_path: Path, spec: Object, on: str, without_nodes: str
) -> None:
    agent = pod("shop", "agent", on, **spec)
    whole = load_model(write(tmp_path / "a.json", [*CLUSTER, agent]))
    start = f"pod:shop/agent on {on}"
    assert value(whole, start, "admin") == ("known" if on == "cp1" else "none")
    model = load_model(write(tmp_path / "b.json", [*without("Node"), agent]))
    assert value(model, start, "admin") == without_nodes
    # kubectl get node cp1
    one = [*without("Node"), node("cp1", control_plane=True), agent]
    found = load_model(write(tmp_path / "c.json", one))
    assert value(found, start, "admin") == ("known" if on == "cp1" else "possible")


def test_service_that_was_not_read_may_let_callers_in(tmp_path: Path) -> None:
    agent = pod("shop", "agent", "w1", **HOST)
    model = load_model(write(tmp_path / "a.json", [*without("Service"), agent]))
    assert value(model, "outside", "node") == "possible"
    assert value(load_model(write(tmp_path / "b.json", [*CLUSTER, agent])), "outside", "node") == (
        "none"
    )


def test_namespace_that_was_not_read_may_admit_privileged_pods(tmp_path: Path) -> None:
    """kubectl get namespace shop; https://kubernetes.io/docs/concepts/security/pod-security-admission/."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "shop"}
    maker = [
        role("ClusterRole", "maker", rules=rules),
        binding("ClusterRoleBinding", "maker", "", "ClusterRole", subject),
    ]
    levels = {"pod-security.kubernetes.io/enforce": "restricted"}
    homes = [item("Namespace", name) for name in ("default", "kube-system", "shop")]
    for home in homes:
        home["metadata"]["labels"] = levels
    every = load_model(write(tmp_path / "a.json", [*without("Namespace"), *homes, *maker]))
    assert value(every, "pod:shop/till", "node") == "none"
    some = load_model(write(tmp_path / "b.json", [*without("Namespace"), homes[-1], *maker]))
    assert value(some, "pod:shop/till", "node") == "possible"


def test_secrets_of_a_namespace_that_was_not_read_may_hold_tokens(tmp_path: Path) -> None:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "shop"}
    boss = {"kind": "ServiceAccount", "name": "boss", "namespace": "kube-system"}
    more = [
        role("ClusterRole", "reader", rules=rules),
        binding("ClusterRoleBinding", "reader", "", "ClusterRole", subject),
        item("ServiceAccount", "boss", "kube-system"),
        role("ClusterRole", "boss", rules=ADMIN),
        binding("ClusterRoleBinding", "boss", "", "ClusterRole", boss),
    ]
    whole = load_model(write(tmp_path / "a.json", [*CLUSTER, *more]))
    assert value(whole, "pod:shop/till", "admin") == "none"
    folder = tmp_path / "b"
    folder.mkdir()
    write(folder / "most.json", [*without("Secret"), *more])
    write(folder / "secrets.json", of_shop("Secret"))
    assert value(load_model(folder), "pod:shop/till", "admin") == "possible"


def test_kinds_that_a_cluster_may_have_in_one_namespace_are_whole(tmp_path: Path) -> None:
    """One file for each kind, with -A: a policy, an ingress or a secret in one namespace."""
    for kind in {it["kind"] for it in CLUSTER}:
        write(tmp_path / f"{kind}.json", [it for it in CLUSTER if it["kind"] == kind])
    spec: Object = {"podSelector": {}, "policyTypes": ["Ingress"]}
    network = "networking.k8s.io/v1"
    write(tmp_path / "policies.json", [item("NetworkPolicy", "p", "shop", network, spec=spec)])
    write(tmp_path / "Secret.json", of_shop("Secret"))
    model = load_model(tmp_path)
    assert model.dump is not None
    assert model.dump.gaps == ()
    assert value(model, "pod", "admin") == "none"


FORBIDDEN = (
    'Error from server (Forbidden): secrets is forbidden: User "ann" cannot list resource '
    '"secrets" in API group "" at the cluster scope\n'
    "Error from server (Forbidden): clusterrolebindings.rbac.authorization.k8s.io is forbidden: "
    'User "ann" cannot list resource "clusterrolebindings" in API group '
    '"rbac.authorization.k8s.io" at the cluster scope\n'
)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_kinds_that_kubectl_was_refused_are_unknown(
    tmp_path: Path, kind: str, *, first: bool
) -> None:
    """kubectl prints what it was refused beside the rest: with 2>&1 both are in one file."""
    kept = without("Secret", "ClusterRoleBinding")
    document = {"apiVersion": "v1", "kind": "List", "items": kept}
    text = json.dumps(document, indent=4)
    if kind == "yaml":
        text = yaml.safe_dump(json.loads(text))
    file = tmp_path / f"dump.{kind}"
    file.write_text(f"{FORBIDDEN}{text}" if first else f"{text}\n{FORBIDDEN}")
    model = load_model(file)
    said = "\n".join(model.unknowns[:2])
    assert "secrets is forbidden" in said
    assert "clusterrolebindings.rbac.authorization.k8s.io is forbidden" in said
    assert value(model, "pod:shop/till", "admin") == "possible"
    assert model.dump is not None
    assert len(model.dump.pods) == 2
    arguments = ["analyze", str(file), "--forbid-path", "pod -> admin", "--quiet"]
    assert CliRunner().invoke(app, arguments).exit_code == 4
