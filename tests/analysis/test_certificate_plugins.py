"""Certificates by requests, with the admission plugins that are on or off.

Kubernetes' documentation, "Admission Control in Kubernetes": CertificateApproval asks whether who
approves a request may approve for its signer, CertificateSubjectRestriction refuses requests that
name the group system:masters. Both are on by default.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import attack_paths
from labkit.analysis.attack_graph.from_objects.steps import object_steps
from labkit.analysis.attack_graph.steps import attack_graph, close
from labkit.cluster.copied.cluster import read_cluster
from labkit.cluster.objects.reader import Builder
from labkit.model import Foothold, read_model
from labkit.model.footholds import ADMIN

Object = dict[str, Any]
APISERVER = ["kube-apiserver", "--authorization-mode=Node,RBAC"]
KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
TILL = Foothold("is", "system:serviceaccount:shop:till")
NODE_ACCOUNT = Foothold("is", "system:node:worker1")


def rule(verbs: str, resources: str, group: str = CERTIFICATES) -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


CREATE = rule("create", "certificatesigningrequests")
APPROVE = rule("update", "certificatesigningrequests/approval")
SIGNERS = rule("approve", "signers")


def bound(*rules: Object) -> tuple[Object, Object]:
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "clerk"}}
    subject = {"kind": "ServiceAccount", "namespace": "shop", "name": "till"}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "clerk"}
    return (
        {**head, "kind": "ClusterRole", "rules": list(rules)},
        {**head, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": [subject]},
    )


def reached(disabled: str, *rules: Object) -> set[Foothold]:
    flag = f"--disable-admission-plugins={disabled}"
    apiserver: Object = {
        "kind": "Pod",
        "metadata": {"name": "kube-apiserver-cp1", "namespace": "kube-system", "uid": "2"},
        "spec": {"containers": [{"name": "a", "command": [*APISERVER, flag]}]},
    }
    builder = Builder("test", every_namespace=True)
    node: Object = {"kind": "Node", "metadata": {"name": "worker1"}}
    for item in (*bound(*rules), node, apiserver):
        builder.add(item, item["kind"], "dump.json")
    graph = attack_graph(object_steps(builder.finish()))
    return set(close(graph, TILL))


@pytest.mark.parametrize(
    ("disabled", "rules", "node", "admin"),
    [
        ("", (CREATE, APPROVE), False, False),
        ("CertificateApproval", (CREATE, APPROVE), True, False),
        ("CertificateSigning,Priority", (CREATE, APPROVE), False, False),
        ("CertificateApproval", (CREATE, SIGNERS), False, False),
        ("CertificateApproval", (APPROVE,), False, False),
        ("", (CREATE, APPROVE, SIGNERS), True, False),
        # without this plugin, a certificate of system:masters is issued like another
        ("CertificateSubjectRestriction", (CREATE, APPROVE, SIGNERS), True, True),
        ("CertificateSubjectRestriction,CertificateApproval", (CREATE, APPROVE), True, True),
    ],
)
def test_steps_follow_the_plugins_of_the_apiserver_s_pod(
    disabled: str, rules: tuple[Object, ...], node: bool, admin: bool
) -> None:
    found = reached(disabled, *rules)
    assert (NODE_ACCOUNT in found, ADMIN in found) == (node, admin)


@pytest.mark.parametrize(
    ("disabled", "complete", "rules", "word"),
    [
        ("", True, (CREATE, APPROVE), "closed"),
        ("CertificateApproval,CertificateSubjectRestriction", True, (CREATE, APPROVE), "known"),
        # where its flags could not be read, the plugin may be off
        ("", False, (CREATE, APPROVE), "possible"),
        ("", False, (CREATE, APPROVE, SIGNERS), "known"),
        ("", False, (CREATE, SIGNERS), "closed"),
    ],
)
def test_steps_of_copied_files_follow_the_apiserver_s_flags(
    tmp_path: Path, disabled: str, complete: bool, rules: tuple[Object, ...], word: str
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(bound(*rules)))
    file = folder / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    line = "    - kube-apiserver\n"
    if disabled:
        flag = f"    - --disable-admission-plugins={disabled}\n"
        file.write_text(file.read_text().replace(line, f"{line}{flag}"))
    env = read_cluster(folder)
    parts = [
        replace(it, complete=complete) if it.kind == "kube-apiserver" else it
        for it in env.components
    ]
    found = read_model(replace(env, components=tuple(parts)))
    paths = attack_paths(found, str(TILL), "admin")
    assert ("known" if paths.paths else "possible" if paths.possible else "closed") == word
