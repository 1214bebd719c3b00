"""Threats of a dumped cluster: one for each workload, whatever its size."""

from __future__ import annotations

from typing import Any

from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.object_threats import object_threats
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster.objects.reader import Builder

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]


ADMIN = {
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "agent"},
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "namespace": "ops", "name": "agent"}],
}
TOKEN = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def pod(name: str, node: str, *, privileged: bool = True) -> Object:
    owner = {"kind": "DaemonSet", "name": "agent", "controller": True}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ops", "uid": name, "ownerReferences": [owner]},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "agent",
            "volumes": [TOKEN],
            "containers": [
                {
                    "name": "main",
                    "securityContext": {"privileged": privileged},
                    "volumeMounts": [{"name": "t"}],
                }
            ],
        },
    }


def node(name: str, *, control_plane: bool = False) -> Object:
    labels = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}}


def found(*objects: Object) -> list[Finding]:
    builder = Builder("test")
    for item in objects:
        builder.add(item, item["kind"], "dump.json")
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return list(object_threats(builder.finish(), RiskRule()))


def test_daemon_set_is_one_finding_on_any_number_of_nodes() -> None:
    nodes = (ADMIN, node("w1"), node("w2"))
    [before] = found(*nodes, pod("agent-a", "w1"), pod("agent-b", "w2"))
    [after] = found(*nodes, node("w3"), *(pod(f"agent-{n}", f"w{n}") for n in (1, 2, 3)))
    assert before.id == after.id == "pod-to-cluster-admin@ops/agent"
    assert before.explanation.endswith("; on 2 nodes")
    assert after.explanation.endswith("; on 3 nodes")


def test_finding_shows_the_shortest_path_of_any_pod() -> None:
    nodes = (node("w"), node("m", control_plane=True))
    [both] = found(*nodes, pod("agent-w", "w", privileged=False), pod("agent-m", "m"))
    [alone] = found(*nodes, pod("agent-m", "m"))
    assert both.subject == alone.subject == "pod/ops/agent on m"
    assert both.explanation == alone.explanation
    assert "agent-m" in both.claim.source.text
