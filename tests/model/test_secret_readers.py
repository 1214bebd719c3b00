"""Who reads secrets: what each verb's answer holds is in the source of the apiserver.

apiserver/pkg/registry/generic/registry/store.go: Delete answers with the object if it has a
finalizer, which a deletion in the foreground adds; DeleteCollection with what it deleted. Watch
begins with every object. A patch answers with the object, an update and a creation with what was
sent.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import attack_paths
from labkit.cluster import Environment
from labkit.loading import load_model
from labkit.model import Model
from labkit.model.decision import AUTHENTICATED, member_of
from labkit.model.rights import service_account
from labkit.model.secret_readers import reads_secrets, secrets_read

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
RBAC, ABAC = "rbac.authorization.k8s.io", "abac.authorization.kubernetes.io/v1beta1"
READS = ("get", "list", "watch", "patch", "delete", "deletecollection", "*")
READS_NOTHING = ("update", "create", "impersonate")
CI = member_of(AUTHENTICATED, user="ci")


def bound(verb: str, namespace: str = "", names: str = "") -> list[dict[str, Any]]:
    kind, place = ("Role", {"namespace": namespace}) if namespace else ("ClusterRole", {})
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "ci", **place}}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": [verb]}
    rule |= {"resourceNames": [names]} if names else {}
    ref = {"apiGroup": RBAC, "kind": kind, "name": "ci"}
    who = {"kind": "User", "name": "ci", "apiGroup": RBAC}
    return [
        {**head, "kind": kind, "rules": [rule]},
        {**head, "kind": f"{kind}Binding", "roleRef": ref, "subjects": [who]},
    ]


def model(
    path: Path, objects: list[dict[str, Any]], mode: str = "", abac: tuple[dict[str, Any], ...] = ()
) -> Model:
    shutil.copytree(KUBEADM, path)
    (path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    file = path / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    text = file.read_text()
    line = "    - kube-apiserver\n"
    flags = ["--token-auth-file=/etc/kubernetes/tokens.csv"]
    if mode:
        text = text.replace("--authorization-mode=Node,RBAC", f"--authorization-mode={mode}")
    if abac:
        flags.append("--authorization-policy-file=/etc/kubernetes/abac.jsonl")
        lines = (json.dumps({"apiVersion": ABAC, "kind": "Policy", "spec": it}) for it in abac)
        (path / "cp1/etc/kubernetes/abac.jsonl").write_text("\n".join(lines))
    assert line in text
    file.write_text(text.replace(line, line + "".join(f"    - {it}\n" for it in flags)))
    (path / "cp1/etc/kubernetes/tokens.csv").write_text("x,ci,1\n")
    return load_model(path)


def of(found: Model) -> Environment:
    assert found.env is not None
    return found.env


def answers(found: Model) -> dict[str, str]:
    env = of(found)
    read = secrets_read(env, env.component("kube-apiserver@cp1"), CI)
    return {home: each.value for home, each in read}


@pytest.mark.parametrize("verb", [*READS, *READS_NOTHING])
@pytest.mark.parametrize("namespace", ["", "shop"])
def test_answer_to_a_verb_holds_secrets(tmp_path: Path, verb: str, namespace: str) -> None:
    found = model(tmp_path / "c", bound(verb, namespace))
    assert answers(found) == ({namespace: "allowed"} if verb in READS else {})


@pytest.mark.parametrize("verb", READS)
def test_stored_token_reads_secrets_by_any_verb(tmp_path: Path, verb: str) -> None:
    everywhere = model(tmp_path / "c", bound(verb))
    [token] = [it for it in everywhere.credentials if it.identity == "ci"]
    assert [it.word for it in token.rights] == ["secrets"]
    assert attack_paths(everywhere, f"holds:{token.id}", "secrets").paths
    shop = model(tmp_path / "d", bound(verb, "shop"))
    assert attack_paths(shop, f"holds:{token.id}", "secrets:shop").paths
    assert not attack_paths(shop, f"holds:{token.id}", "secrets").paths


def test_a_name_is_not_every_name(tmp_path: Path) -> None:
    assert answers(model(tmp_path / "c", bound("get", names="tls"))) == {}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [{"user": "ci", "namespace": "*", "resource": "secrets", "apiGroup": ""}],
            {"": "allowed"},
        ),
        ([{"user": "ci", "namespace": "shop", "resource": "*", "apiGroup": "apps"}], {}),
        (
            [{"user": "ci", "namespace": "shop", "resource": "*", "apiGroup": "*"}],
            {"shop": "allowed"},
        ),
        ([{"user": "ann", "namespace": "*", "resource": "*", "apiGroup": "*"}], {}),
    ],
)
def test_abac_gives_the_secrets_of_its_namespaces(
    tmp_path: Path, rules: list[dict[str, Any]], expected: dict[str, str]
) -> None:
    assert answers(model(tmp_path / "c", [], "Node,ABAC", tuple(rules))) == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("AlwaysAllow", "allowed"), ("AlwaysDeny", None), ("Webhook", "unknown")]
)
def test_other_authorizers_answer_as_well(tmp_path: Path, mode: str, expected: str | None) -> None:
    assert answers(model(tmp_path / "c", [], mode)).get("") == expected


@pytest.mark.parametrize(
    ("resource", "expected"), [("secrets", "unknown"), ("configmaps", "allowed")]
)
@pytest.mark.parametrize(
    ("verb", "operation"),
    [("patch", "UPDATE"), ("delete", "DELETE"), ("deletecollection", "DELETE")],
)
def test_webhook_may_refuse_what_reads_by_changing(
    tmp_path: Path, verb: str, operation: str, resource: str, expected: str
) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": [operation]}
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [
            {
                "name": "guard.example.com",
                "rules": [{**rule, "resources": [resource]}],
                "clientConfig": {"url": "https://guard.example.com"},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    found = model(tmp_path / "c", [*bound(verb), hook])
    assert answers(found) == {"": expected}
    [token] = [it for it in found.credentials if it.identity == "ci"]
    paths = attack_paths(found, f"holds:{token.id}", "secrets")
    assert bool(paths.paths) == (expected == "allowed")
    assert bool(paths)


def test_a_kubelet_reads_no_secrets_at_large(tmp_path: Path) -> None:
    """The Node authorizer, graph-based: a name that a pod of the node refers to."""
    found = of(model(tmp_path / "c", []))
    kubelet = member_of("system:nodes", AUTHENTICATED, user="system:node:worker1")
    assert reads_secrets(found, found.component("kube-apiserver@cp1"), kubelet).value == "denied"


def test_pods_read_the_secrets_that_abac_gives_their_account(tmp_path: Path) -> None:
    rule = {"namespace": "shop", "resource": "secrets", "apiGroup": "", "readonly": True}
    named = {"user": "system:serviceaccount:shop:till", **rule}
    found = model(tmp_path / "c", [], "Node,ABAC", (named,))
    till = service_account("shop", "till", of(found).components[0].source)
    apiserver = of(found).component("kube-apiserver@cp1")
    assert [home for home, _ in secrets_read(of(found), apiserver, till)] == ["shop"]
    assert attack_paths(found, "pod", "secrets:shop").paths
    assert not attack_paths(found, "network", "secrets:shop")


@pytest.mark.parametrize("verb", READS)
def test_callers_without_a_credential_read_by_any_verb(tmp_path: Path, verb: str) -> None:
    objects = bound(verb)
    objects[1]["subjects"] = [{"kind": "User", "name": "system:anonymous", "apiGroup": RBAC}]
    found = model(tmp_path / "c", objects)
    assert attack_paths(found, "network", "secrets").paths


def test_rights_of_a_stored_token_are_followed(tmp_path: Path) -> None:
    """RBAC good practices, "Workload creation": pods of kube-system have its accounts."""
    objects = bound("create", "kube-system")
    objects[0]["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    found = model(tmp_path / "c", objects)
    [token] = [it for it in found.credentials if it.identity == "ci"]
    assert attack_paths(found, f"holds:{token.id}", "admin").paths
    assert attack_paths(found, f"holds:{token.id}", "node").paths
    objects[0]["rules"][0]["verbs"] = ["get", "list"]
    harmless = model(tmp_path / "d", objects)
    assert not attack_paths(harmless, f"holds:{token.id}", "admin")
