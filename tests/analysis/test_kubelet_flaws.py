"""Flaws of kubelets by which a pod that Pod Security admits gets its node.

The versions are those of the announcements: kubernetes/kubernetes issues 128885 (CVE-2024-10220)
and 104980 (CVE-2021-25741).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis.attack_graph.from_objects import object_steps
from labkit.analysis.attack_graph.queries import attack_paths
from labkit.cluster import read_dump
from labkit.cluster.kubelet_flaws import KUBELET_FLAWS
from labkit.loading import load_model

START = "is:system:serviceaccount:shop:default"
GIT, SUBPATH = "CVE-2024-10220", "CVE-2021-25741"


@pytest.mark.parametrize(
    ("flaw", "reported", "affected"),
    [
        (GIT, "v1.30.0", True),
        (GIT, "v1.30.2+k3s1", True),
        (GIT, "v1.30.3", False),
        (GIT, "v1.29.6-gke.1254000", True),
        (GIT, "v1.29.7", False),
        (GIT, "v1.28.11-eks-1552ad0", True),
        (GIT, "v1.28.12", False),
        (GIT, "v1.27.16", True),
        (GIT, "v1.31.0", False),
        (GIT, "v1.30", None),
        (GIT, "", None),
        (SUBPATH, "v1.22.1", True),
        (SUBPATH, "v1.22.2", False),
        (SUBPATH, "v1.21.4", True),
        (SUBPATH, "v1.20.10", True),
        (SUBPATH, "v1.19.14", True),
        (SUBPATH, "v1.19.15", False),
        (SUBPATH, "v1.18.20", True),
        (SUBPATH, "v1.23.0", False),
        # labkit compares no version before 1.25
        (SUBPATH, "unknown", False),
    ],
)
def test_versions_are_those_of_the_announcement(
    flaw: str, reported: str, affected: bool | None
) -> None:
    [found] = [it for it in KUBELET_FLAWS if it.name == flaw]
    assert found.affects(reported) is affected


ENFORCE = "pod-security.kubernetes.io/enforce"
STARTS_PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
BOUND: dict[str, Any] = {
    "roleRef": {"kind": "Role", "name": "maker"},
    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
}
#: Every cluster has these.
ADMINS: dict[str, Any] = {
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "Group", "name": "system:masters"}],
}


def item(kind: str, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


def cluster(folder: Path, level: str, *versions: str, apiserver: str = "v1.33.4") -> Path:
    """Write a dump of nodes w1, w2 ... and of an account that starts pods in the namespace shop."""
    shop = item("Namespace", "shop")
    shop["metadata"]["labels"] = {ENFORCE: level}
    server = item("Pod", "kube-apiserver-cp", "kube-system")
    flags = ["kube-apiserver", "--authorization-mode=Node,RBAC"]
    image = f"registry.k8s.io/kube-apiserver:{apiserver}"
    server["spec"] = {"nodeName": "cp", "containers": [{"image": image, "command": flags}]}
    server["metadata"] |= {"uid": "1", "ownerReferences": [{"kind": "Node", "name": "cp"}]}
    first = item("Node", "cp", status={"nodeInfo": {"kubeletVersion": "v1.33.4"}})
    first["metadata"]["labels"] = {"node-role.kubernetes.io/control-plane": ""}
    workers = [
        item("Node", f"w{index}", status={"nodeInfo": {"kubeletVersion": version}})
        for index, version in enumerate(versions, 1)
    ]
    objects = [
        *(first, *workers, shop, item("Namespace", "kube-system"), server),
        item("ServiceAccount", "default", "shop"),
        item("Role", "maker", "shop", rules=STARTS_PODS),
        item("RoleBinding", "maker", "shop", **BOUND),
        item("ClusterRole", "cluster-admin", rules=[]),
        item("ClusterRoleBinding", "cluster-admin", **ADMINS),
    ]
    file = folder / "dump.json"
    items = [{"apiVersion": "v1", **it} for it in objects]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return file


def reached(file: Path) -> str:
    found = attack_paths(load_model(file), START, "node")
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    ("level", "version", "found"),
    [
        ("baseline", "v1.34.2", "none"),
        ("baseline", "v1.30.3", "none"),
        ("baseline", "v1.30.2", "possible"),  # is git there?
        ("baseline", "v1.22.1", "known"),  # a subPath needs nothing else
        # "restricted" has a list of the volumes that it lets in, and a pod of it is not root
        ("restricted", "v1.30.2", "none"),
        ("restricted", "v1.22.1", "possible"),
        ("privileged", "v1.34.2", "known"),
    ],
)
def test_who_may_start_pods_gets_nodes_with_a_flaw(
    tmp_path: Path, level: str, version: str, found: str
) -> None:
    assert reached(cluster(tmp_path, level, version)) == found


@pytest.mark.parametrize(("apiserver", "found"), [("v1.33.4", "possible"), ("v1.34.2", "none")])
def test_kubelet_without_a_version_is_at_most_three_older_than_its_apiserver(
    tmp_path: Path, apiserver: str, found: str
) -> None:
    """https://kubernetes.io/releases/version-skew-policy/."""
    assert reached(cluster(tmp_path, "baseline", "", apiserver=apiserver)) == found


def test_only_the_nodes_with_the_flaw_fall(tmp_path: Path) -> None:
    dump = read_dump(cluster(tmp_path, "baseline", "v1.30.2", "v1.30.3", "v1.29.6"))
    steps = [it for it in object_steps(dump) if it.name == "kubelet-flaw"]
    assert [[str(to) for to in it.grants] for it in steps] == [
        ["root on w1", "root on a node"],
        ["root on w3", "root on a node"],
    ]
    assert {it.unknown for it in steps} == {"whether git is installed there"}
    assert steps[0].because == (
        "Node w1: CVE-2024-10220, a gitRepo volume, whose repository has hooks",
    )
