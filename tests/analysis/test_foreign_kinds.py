"""Objects of other projects whose kinds have the names of Kubernetes' own.

Only the group of a kind tells them apart:
https://kubernetes.io/docs/reference/using-api/#api-groups. Other projects have a ``Node``
(longhorn.io), a ``Service`` (serving.knative.dev), a ``NetworkPolicy`` (crd.projectcalico.org) and
a ``Role`` (iam.aws.upbound.io).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import read_dump
from labkit.cluster.policies import read_rbac
from labkit.model import model_of_dump

#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io/v1"
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def made(version: str, kind: str, name: str, home: str = "", **more: Any) -> Object:
    about = {"name": name, **({"namespace": home} if home else {})}
    return {"apiVersion": version, "kind": kind, "metadata": about, **more}


CONTROL_PLANE = made("v1", "Node", "cp1")
CONTROL_PLANE["metadata"]["labels"] = {"node-role.kubernetes.io/control-plane": ""}
TOKEN = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def pod(**security: Any) -> Object:
    mounts = [{"name": "t"}]
    container = {"name": "c", "volumeMounts": mounts, "securityContext": security}
    spec: Object = {"nodeName": "cp1", "serviceAccountName": "web"}
    spec |= {"volumes": [TOKEN], "containers": [container]}
    found = made("v1", "Pod", "web", "shop", spec=spec)
    found["metadata"] |= {"uid": "1", "labels": {"app": "web"}}
    return found


ROLE = made(RBAC, "ClusterRole", "ops", rules=[ALL])
SUBJECT = {"kind": "ServiceAccount", "namespace": "shop", "name": "web"}
REF = {"kind": "ClusterRole", "name": "ops"}
BINDING = made(RBAC, "ClusterRoleBinding", "ops", roleRef=REF, subjects=[SUBJECT])
BALANCER = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}
SERVICE = made("v1", "Service", "web", "shop", spec=BALANCER)
AGENT = made("v1", "Pod", "calico-node-x", "kube-system", spec={"nodeName": "cp1"})
AGENT["metadata"] |= {
    "uid": "2",
    "ownerReferences": [{"kind": "DaemonSet", "name": "calico-node"}],
}
OBJECTS = (CONTROL_PLANE, pod(), ROLE, BINDING, SERVICE, AGENT)


def paths(folder: Path, start: str, goal: str, *objects: Object) -> str:
    """Say whether a dump has a path: "known", "possible" or "none"."""
    file = folder / "dump.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*REST, *objects]}))
    found = attack_paths(model_of_dump(read_dump(file)), start, goal)
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    "foreign",
    [
        made("longhorn.io/v1beta2", "Node", "cp1", "longhorn-system", spec={}),
        made("serving.knative.dev/v1", "Service", "web", "shop", spec={"template": {}}),
        made("iam.aws.upbound.io/v1beta1", "Role", "ops", spec={}),
        made("crd.projectcalico.org/v1", "NetworkPolicy", "a", "shop", spec={"selector": "all()"}),
    ],
    ids=lambda it: it["apiVersion"],
)
def test_foreign_kinds_replace_nothing(tmp_path: Path, foreign: Object) -> None:
    for objects in ((*OBJECTS, foreign), (foreign, *OBJECTS)):
        assert paths(tmp_path, "outside", "admin", *objects) == "known"


def test_foreign_node_does_not_hide_the_control_plane(tmp_path: Path) -> None:
    foreign = made("longhorn.io/v1beta2", "Node", "cp1", "longhorn-system", spec={})
    privileged = pod(privileged=True)
    for objects in ((CONTROL_PLANE, privileged, foreign), (CONTROL_PLANE, privileged)):
        assert paths(tmp_path, "pod:shop/web on cp1", "admin", *objects) == "known"


def test_foreign_accounts_do_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    foreign = made("cloudplatform.gcp.upbound.io/v1beta1", "ServiceAccount", "deployer", spec={})
    file.write_text(json.dumps({"kind": "List", "items": [foreign]}))
    found = read_dump(file)
    assert found.accounts == ()
    assert "ServiceAccount" not in found.kinds


def test_items_of_a_list_need_no_version(tmp_path: Path) -> None:
    """The apiserver leaves kind and version out of a list's items."""
    file = tmp_path / "nodes.json"
    items = [{"metadata": CONTROL_PLANE["metadata"]}]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "NodeList", "items": items}))
    assert [it.control_plane for it in read_dump(file).nodes] == [True]


def test_bindings_in_the_group_of_openshift_count(tmp_path: Path) -> None:
    """Its ``roleRef`` names no kind, and groups of the system have one of their own.

    https://docs.openshift.com/container-platform/4.16/rest_api/role_apis/
    """
    version = "authorization.openshift.io/v1"
    who = {"kind": "SystemGroup", "name": "system:serviceaccounts"}
    role = made(version, "ClusterRole", "ops", rules=[ALL])
    bound = made(version, "ClusterRoleBinding", "ops", roleRef={"name": "ops"}, subjects=[who])
    assert paths(tmp_path, "pod:shop/web", "admin", CONTROL_PLANE, pod(), role, bound) == "known"


def test_roles_of_other_projects_are_no_rbac() -> None:
    text = json.dumps(made("iam.aws.upbound.io/v1beta1", "Role", "ops", spec={}))
    assert read_rbac(text, "role.yaml").roles == ()
    assert len(read_rbac(json.dumps(ROLE), "role.yaml").roles) == 1
