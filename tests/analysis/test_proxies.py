"""The apiserver as a proxy: to pods, services, nodes, and to where a node's status points.

What it does is in pkg/registry/core/{pod,service,node} of Kubernetes (ResourceLocation): to the
port of a kubelet it sends its own certificate, and to no other; it refuses loopback addresses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import read_dump
from labkit.model import model_of_dump

Object = dict[str, Any]
#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
#: Those that every apiserver makes: without one, who else has rights is not known.
SIGNER = {
    "kind": "RoleBinding",
    "metadata": {"name": "system:controller:bootstrap-signer", "namespace": "kube-public"},
    "roleRef": {"name": "system:controller:bootstrap-signer"},
}


def pod(home: str, name: str, node: str = "w1", *, account: str = "", **security: Any) -> Object:
    """Return a pod; with an account, it has a token of it."""
    container: Object = {"name": "c", "securityContext": security}
    spec: Object = {"nodeName": node, "containers": [container]}
    if account:
        container["volumeMounts"] = [{"name": "t", "mountPath": "/t"}]
        spec |= {"serviceAccountName": account, "volumes": [{"name": "t", **TOKEN}]}
    about = {"name": name, "namespace": home, "uid": name, "labels": {"app": name}}
    return {"kind": "Pod", "metadata": about, "spec": spec}


def may(account: str, *rules: Object, home: str = "") -> list[Object]:
    """Return a role with some rules, bound to an account everywhere, or in a namespace."""
    namespace, _, name = account.partition("/")
    kind = "Role" if home else "ClusterRole"
    about = {"name": f"{namespace}-{name}", **({"namespace": home} if home else {})}
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    ref = {"kind": kind, "name": about["name"]}
    return [
        {"kind": kind, "metadata": about, "rules": list(rules)},
        {"kind": f"{kind}Binding", "metadata": about, "roleRef": ref, "subjects": [subject]},
    ]


def rule(verbs: str, resources: str, *names: str, group: str = "") -> Object:
    made = {"apiGroups": [group], "verbs": verbs.split(), "resources": resources.split()}
    return {**made, "resourceNames": list(names)} if names else made


SHOP: list[Object] = [
    {"kind": "Node", "metadata": {"name": "w1"}},
    {"kind": "Node", "metadata": {"name": "w2"}},
    {"kind": "Namespace", "metadata": {"name": "shop"}},
    {"kind": "Namespace", "metadata": {"name": "ops"}},
    {
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "ops"},
        "spec": {"selector": {"app": "console"}, "ports": [{"port": 443}]},
    },
    pod("shop", "till", account="till"),
    pod("ops", "console", "w2", account="boss"),
    *may("ops/boss", rule("*", "*", group="*")),
]


def value(folder: Path, *objects: Object, goal: str = "admin", start: str = "pod:shop/till") -> str:
    file = folder / "dump.json"
    file.write_text(json.dumps({"kind": "List", "items": [*REST, SIGNER, *SHOP, *objects]}))
    found = attack_paths(model_of_dump(read_dump(file)), start, goal)
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    ("rules", "home", "expected"),
    [
        ([], "", "none"),
        ([rule("get", "services/proxy")], "ops", "possible"),
        ([rule("create", "services/proxy", "https:web:443")], "ops", "possible"),
        ([rule("get", "services/proxy", "other")], "ops", "none"),
        ([rule("patch", "pods/proxy", "console:8443")], "ops", "possible"),
        ([rule("get", "pods/proxy", "other")], "ops", "none"),
        ([rule("get", "services/proxy")], "shop", "none"),
        ([rule("list", "services/proxy pods/proxy")], "ops", "none"),
        ([rule("create", "pods/portforward")], "ops", "possible"),
        # a websocket begins with a GET
        ([rule("get", "pods/portforward")], "ops", "possible"),
        # the certificate for kubelets is sent to the apiserver itself
        ([rule("patch", "nodes/status"), rule("get", "nodes/proxy")], "", "known"),
        ([rule("patch", "nodes/status", "w1"), rule("update", "nodes/proxy", "w1")], "", "known"),
        ([rule("patch", "nodes/status", "w1"), rule("update", "nodes/proxy", "w2")], "", "none"),
        ([rule("patch", "nodes/status", "w1"), rule("get", "nodes/proxy", "w1:443")], "", "known"),
        ([rule("patch", "nodes"), rule("update", "nodes/proxy")], "", "none"),
        ([rule("patch", "nodes/status")], "", "none"),
        # by its verb, a kubelet runs commands: one that deletes runs none
        ([rule("get", "nodes/proxy")], "", "known"),
        ([rule("get", "nodes/proxy", "w2")], "", "known"),
        ([rule("get", "nodes/proxy", "w1")], "", "none"),
        ([rule("delete", "nodes/proxy")], "", "none"),
    ],
)
def test_who_has_the_apiserver_call_others_gets_what_these_give(
    tmp_path: Path, rules: list[Object], home: str, expected: str
) -> None:
    assert value(tmp_path, *may("shop/till", *rules, home=home)) == expected


def test_certificate_for_kubelets_may_be_an_administrator(tmp_path: Path) -> None:
    """Kubeadm gives it a group that is bound to cluster-admin; no pod has such an account here."""
    rules = [rule("patch", "nodes/status"), rule("delete", "nodes/proxy")]
    bound = may("shop/till", *rules)
    gone = [it for it in SHOP if it["metadata"]["name"] != "console"]
    file = tmp_path / "dump.json"
    items = [*REST, SIGNER, *gone, *bound]
    file.write_text(json.dumps({"kind": "List", "items": items}))
    found = attack_paths(model_of_dump(read_dump(file)), "pod:shop/till", "admin")
    assert not found.paths
    assert "what the apiserver's certificate for kubelets may do" in repr(found)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("get", "nodes/metrics"), rule("create", "pods")], "possible"),
        ([rule("get", "nodes/proxy")], "possible"),
        ([rule("get", "nodes"), rule("create", "pods")], "none"),
    ],
)
def test_root_on_a_node_may_get_the_tokens_of_those_who_call_its_kubelet(
    tmp_path: Path, rules: list[Object], expected: str
) -> None:
    """Prometheus sends the token of its account to every kubelet that it asks for metrics."""
    watcher = pod("ops", "prometheus", "w2", account="prometheus")
    bound = may("ops/prometheus", *rules)
    assert value(tmp_path, watcher, *bound, start="root:w1") == expected
    # the account of no pod calls nobody
    assert value(tmp_path, *bound, start="root:w1") == "none"
