"""Rights of service accounts in files copied from machines: the paths that a dump would give.

What each permission leads to is in Kubernetes' documentation: "Role Based Access Control Good
Practices", "Privilege escalation prevention and bootstrapping", and "Using RBAC Authorization".
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import attack_paths, find_threats
from labkit.analysis.attack_graph.from_rights import account_steps
from labkit.loading import load_model
from labkit.model import Model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
#: Without those of every namespace, which pods there are is not known.
ALL_PODS = KUBEADM.parent / "all-pods.yaml"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
ACCOUNT = {"kind": "ServiceAccount", "name": "till", "namespace": "shop"}


def bound(subject: dict[str, str], rules: list[Any], namespace: str = "") -> list[dict[str, Any]]:
    """Return a role with some rules, bound to a subject in a namespace or everywhere."""
    kind, place = ("Role", {"namespace": namespace}) if namespace else ("ClusterRole", {})
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "clerk", **place}}
    ref = {"apiGroup": RBAC, "kind": kind, "name": "clerk"}
    return [
        {**head, "kind": kind, "rules": rules},
        {**head, "kind": f"{kind}Binding", "roleRef": ref, "subjects": [subject]},
    ]


def model(
    path: Path,
    *objects: dict[str, Any],
    flags: tuple[str, ...] = (),
    tag: str | None = None,
    pods: bool = True,
) -> Model:
    shutil.copytree(KUBEADM, path)
    (path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    if pods:
        shutil.copy(ALL_PODS, path)
    file = path / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    line = "    - kube-apiserver\n"
    text = file.read_text()
    assert line in text
    text = text.replace(line, line + "".join(f"    - {flag}\n" for flag in flags))
    if tag is not None:
        text = re.sub(r"(image: \S+/kube-apiserver):\S+", rf"\1{tag}", text)
    file.write_text(text)
    return load_model(path)


def goals(found: Model, start: str = "pod") -> set[str]:
    return {goal for goal in ("secrets", "admin", "node") if attack_paths(found, start, goal)}


EVERY_GOAL = {"secrets", "admin", "node"}


def test_a_pod_gets_nowhere_without_rights(tmp_path: Path) -> None:
    harmless = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    found = model(tmp_path / "c", *bound(ACCOUNT, harmless))
    assert goals(found) == set()
    assert not [it for it in find_threats(found) if it.rule == "account-rights"]


@pytest.mark.parametrize(
    "subject",
    [
        ACCOUNT,
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
        {"kind": "User", "name": "system:serviceaccount:shop:till", "apiGroup": RBAC},
        {"kind": "Group", "name": "system:serviceaccounts", "apiGroup": RBAC},
        {"kind": "Group", "name": "system:serviceaccounts:shop", "apiGroup": RBAC},
        {"kind": "Group", "name": "system:authenticated", "apiGroup": RBAC},
    ],
    ids=lambda it: it["name"],
)
def test_everything_for_an_account_is_a_path_without_any_pod_copied(
    tmp_path: Path, subject: dict[str, str]
) -> None:
    found = model(tmp_path / "c", *bound(subject, EVERYTHING))
    assert goals(found) == EVERY_GOAL
    assert [it.state for it in find_threats(found) if it.rule == "account-rights"] == ["open"]
    assert goals(found, "network") == set()


@pytest.mark.parametrize("name", ["alice", "system:kube-proxy"])
def test_rights_of_people_and_components_are_not_a_pods(tmp_path: Path, name: str) -> None:
    found = model(tmp_path / "c", *bound({"kind": "User", "name": name}, EVERYTHING))
    assert goals(found) == set()


def rule(group: str, resources: str, verbs: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("", "secrets", "watch")], {"secrets"}),
        ([rule("", "secrets", "get")], {"secrets"}),
        ([rule("", "pods", "create")], EVERY_GOAL),
        ([rule("apps", "daemonsets", "create")], EVERY_GOAL),
        ([rule("apps", "deployments", "patch")], EVERY_GOAL),
        ([rule("", "users groups serviceaccounts", "impersonate")], EVERY_GOAL),
        (
            [rule(RBAC, "clusterroles", "bind"), rule(RBAC, "clusterrolebindings", "create")],
            EVERY_GOAL,
        ),
        ([rule("", "pods/exec", "create")], {"secrets"}),
        (
            [
                rule(CERTIFICATES, "certificatesigningrequests", "create"),
                rule(CERTIFICATES, "certificatesigningrequests/approval", "update"),
                rule(CERTIFICATES, "signers", "approve"),
            ],
            EVERY_GOAL,
        ),
        # one of two verbs is not enough
        ([rule(RBAC, "clusterroles", "bind")], set()),
        ([rule("", "groups", "impersonate")], set()),
        ([rule("", "pods", "get list watch")], set()),
    ],
)
def test_what_an_account_may_do_instead_of_everything(
    tmp_path: Path, rules: list[Any], expected: set[str]
) -> None:
    admins = {"kind": "Group", "name": "ops", "apiGroup": RBAC}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    people = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "people"},
        "roleRef": ref,
        "subjects": [admins],
    }
    found = model(tmp_path / "c", people, *bound(ACCOUNT, rules))
    assert goals(found) >= expected
    assert bool(goals(found)) is bool(expected)


def test_rights_in_one_namespace_stay_there(tmp_path: Path) -> None:
    found = model(tmp_path / "c", *bound(ACCOUNT, [rule("", "secrets", "list")], "shop"))
    assert goals(found) == set()
    assert attack_paths(found, "pod", "secrets:shop")


def test_a_binding_without_a_namespace_is_in_default(tmp_path: Path) -> None:
    role, binding = bound(ACCOUNT, [rule("", "secrets", "list")], "shop")
    role["metadata"] = binding["metadata"] = {"name": "clerk"}
    found = model(tmp_path / "c", role, binding)
    assert goals(found) == set()
    assert attack_paths(found, "pod", "secrets:default")


def test_pod_security_of_a_namespace_counts(tmp_path: Path) -> None:
    home = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "shop",
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    rules = [rule("", "pods", "create")]
    assert goals(model(tmp_path / "closed", home, *bound(ACCOUNT, rules, "shop"))) == set()
    assert goals(model(tmp_path / "open", *bound(ACCOUNT, rules, "shop"))) >= {"node"}


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "DaemonSet", "CronJob"])
def test_pods_of_copied_manifests_are_read_as_a_dumps(tmp_path: Path, kind: str) -> None:
    spec: dict[str, Any] = {
        "containers": [
            {"name": "c", "image": "c", "securityContext": {"privileged": True}},
        ],
        "automountServiceAccountToken": False,
    }
    template = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
    inner: dict[str, Any] = {
        "Pod": spec,
        "CronJob": {"jobTemplate": {"spec": {"template": template}}},
    }.get(kind, {"template": template})
    item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}, "spec": inner}
    found = model(tmp_path / "c", item)
    assert "node" in goals(found)
    # the kubelet may run it on the worker alone
    assert goals(found, "root:worker1") >= {"node"}


def test_an_authorizer_that_is_not_rbac_gives_no_such_rights(tmp_path: Path) -> None:
    model(tmp_path / "c", *bound(ACCOUNT, EVERYTHING))
    file = tmp_path / "c/cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    text = file.read_text()
    assert "--authorization-mode=Node,RBAC" in text
    file.write_text(text.replace("=Node,RBAC", "=Node,AlwaysDeny"))
    assert goals(load_model(tmp_path / "c")) == set()


@pytest.mark.parametrize("mode", ["Node,RBAC,Webhook", "Webhook,Node,RBAC", "Webhook"])
def test_webhook_that_decides_may_let_a_pod_do_everything(tmp_path: Path, mode: str) -> None:
    flags = (f"--authorization-mode={mode}", "--authorization-webhook-config-file=/x")
    found = model(tmp_path / "c", flags=flags)
    assert not attack_paths(found, "pod", "admin").paths
    assert "a service outside the cluster decides" in repr(attack_paths(found, "pod", "admin"))


def test_authorization_configuration_that_was_not_copied_may_allow_everything(
    tmp_path: Path,
) -> None:
    found = model(tmp_path / "c", flags=("--authorization-config=/etc/kubernetes/authz.yaml",))
    paths = attack_paths(found, "pod", "admin")
    assert not paths.paths
    assert "what decides on authorization could not be read" in repr(paths)


@pytest.mark.parametrize(("level", "reached"), [("view", True), ("edit", True), ("admin", False)])
def test_account_bound_to_edit_has_the_roles_that_it_selects(
    tmp_path: Path, level: str, reached: bool
) -> None:
    labels = {f"{RBAC}/aggregate-to-{level}": "true"}
    rules = [{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}]
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "more", "labels": labels}}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"}
    binding = {**bound(ACCOUNT, [])[1], "roleRef": ref}
    found = model(tmp_path / "c", {**head, "kind": "ClusterRole", "rules": rules}, binding)
    names = {it.name for it in account_steps(found) if str(it.foothold).endswith("shop:till")}
    assert ("exec-through-kubelet" in names) == reached


ADMISSION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: PodSecurity
    configuration:
      apiVersion: pod-security.admission.config.k8s.io/v1
      kind: PodSecurityConfiguration
      defaults: {enforce: baseline}
"""
STARTS_PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]


def namespace(*labels: str) -> dict[str, Any]:
    enforced = {f"pod-security.kubernetes.io/{it}": "privileged" for it in labels}
    about = {"name": "shop", "labels": enforced}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": about}


@pytest.mark.parametrize(
    ("copied", "known", "possible"),
    [
        ([namespace()], False, False),
        ([namespace("warn")], False, False),
        ([namespace("enforce")], True, False),
        # its label is not known, and decides before the cluster's default
        ([], False, True),
    ],
    ids=["without a label", "warned of", "let in", "not copied"],
)
def test_a_namespace_that_was_not_copied_may_let_privileged_pods_in(
    tmp_path: Path, copied: list[dict[str, Any]], known: bool, possible: bool
) -> None:
    folder, file = tmp_path / "c", "/etc/kubernetes/admission.yaml"
    flag = f"--admission-control-config-file={file}"
    model(folder, *copied, *bound(ACCOUNT, STARTS_PODS, "shop"), flags=(flag,))
    (folder / f"cp1{file}").write_text(ADMISSION)
    found = attack_paths(load_model(folder), "pod", "node")
    assert (bool(found.paths), bool(found.possible)) == (known, possible)
    doubts = {step.unknown for path in found.possible for step in path if step.unknown}
    assert ("what Pod Security refuses in shop" in doubts) == possible


def test_who_may_relabel_a_namespace_need_not_know_what_it_lets_in(tmp_path: Path) -> None:
    folder, file = tmp_path / "c", "/etc/kubernetes/admission.yaml"
    patch = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]}
    rights = [*bound(ACCOUNT, STARTS_PODS, "shop"), *bound(ACCOUNT, [patch])]
    flag = f"--admission-control-config-file={file}"
    model(folder, *rights, flags=(flag,))
    (folder / f"cp1{file}").write_text(ADMISSION)
    assert attack_paths(load_model(folder), "pod", "node").paths


def privileged(**more: Any) -> dict[str, Any]:
    container = {"name": "a", "image": "a", "securityContext": {"privileged": True}}
    spec = {"nodeName": "worker1", "containers": [container], **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"}, "spec": spec}


@pytest.mark.parametrize(
    ("tag", "flags", "word"),
    [
        # UserNamespacesSupport is on by default since 1.33 (pkg/features/kube_features.go); before,
        # the apiserver drops hostUsers of a new pod, and its root is root of the node
        (":v1.32.3", (), "known"),
        (":v1.32.3", ("--feature-gates=UserNamespacesSupport=true",), "possible"),
        # a kubelet may be three versions older (version skew policy), and ignores it then
        (":v1.35.0", (), "possible"),
        (":v1.36.0", (), "closed"),
        (":v1.35.0", ("--feature-gates=UserNamespacesSupport=false",), "known"),
        # locked since 1.36 ("User Namespaces", feature state): an apiserver ignores the flag, or
        # does not start with it, and drops nothing in either case
        (":v1.36.0", ("--feature-gates=UserNamespacesSupport=false",), "closed"),
        (":v1.36.0", ("--feature-gates=AllBeta=false",), "closed"),
        ("", (), "possible"),
    ],
)
def test_user_namespace_of_a_manifest_s_pod_counts_by_the_version(
    tmp_path: Path, tag: str, flags: tuple[str, ...], word: str
) -> None:
    found = model(tmp_path / "c", privileged(hostUsers=False), flags=flags, tag=tag)
    assert way(found, "pod", "node") == word
    other = model(tmp_path / "d", privileged(), flags=flags, tag=tag)
    assert way(other, "pod", "node") == "known"


def way(found: Model, start: str, goal: str) -> str:
    paths = attack_paths(found, start, goal)
    return "known" if paths.paths else "possible" if paths.possible else "closed"


def test_pod_that_was_not_copied_may_be_root_on_its_node(tmp_path: Path) -> None:
    """As in a dump without pods: which pods there are is a question of the objects."""
    found = model(tmp_path / "c", pods=False)
    paths = attack_paths(found, "pod", "node")
    assert not paths.paths
    assert "whether a pod that was not read gives root on worker1" in repr(paths)
    assert goals(found) == EVERY_GOAL, "it may be one of the control plane"
    # root on a worker is in the pods of that one
    assert not attack_paths(found, "root:worker1", "admin")
    assert not attack_paths(found, "root:worker1", "root:cp1")
    some = yaml.safe_load(ALL_PODS.read_text())
    some["items"] = some["items"][1:]
    (tmp_path / "c/pods.yaml").write_text(yaml.safe_dump(some))
    assert goals(load_model(tmp_path / "c")) == EVERY_GOAL, "those of one namespace are not all"
    shutil.copy(ALL_PODS, tmp_path / "c")
    assert goals(load_model(tmp_path / "c")) == set()


def test_escape_of_a_copied_pod_needs_no_rbac(tmp_path: Path) -> None:
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}}
    container = {"name": "c", "securityContext": {"privileged": True}}
    made |= {"spec": {"nodeName": "worker1", "containers": [container]}}
    found = model(tmp_path / "c", made, flags=("--authorization-mode=AlwaysDeny",))
    assert attack_paths(found, "pod", "node").paths


V1BETA1 = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
TILL, EVERY_CALLER = {"user": "system:serviceaccount:shop:till"}, {"group": "*"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"resource": "*", "namespace": "*", "apiGroup": "*"}, EVERY_GOAL),
        ({"resource": "secrets", "namespace": "*", "apiGroup": ""}, {"secrets"}),
        ({"resource": "secrets", "namespace": "*", "apiGroup": "", "readonly": True}, {"secrets"}),
        ({"resource": "pods", "namespace": "*", "apiGroup": ""}, EVERY_GOAL),
        # a line knows no subresources: who writes pods runs commands in them
        ({"resource": "pods", "namespace": "shop", "apiGroup": ""}, EVERY_GOAL),
        ({"resource": "daemonsets", "namespace": "*", "apiGroup": "apps"}, EVERY_GOAL),
        # nodes/status with nodes/proxy: perhaps the apiserver's own certificate
        ({"resource": "nodes", "namespace": "*", "apiGroup": ""}, EVERY_GOAL),
        ({"resource": "groups", "namespace": "*", "apiGroup": ""}, set()),
        # a command by WebSocket is a get: Kubernetes before 1.35 asks for nothing else
        ({"resource": "pods", "namespace": "*", "apiGroup": "", "readonly": True}, {"secrets"}),
        ({"resource": "services", "namespace": "*", "apiGroup": "", "readonly": True}, set()),
        ({"resource": "daemonsets", "namespace": "*", "apiGroup": ""}, set()),
        ({"resource": "configmaps", "namespace": "*", "apiGroup": ""}, set()),
        ({"nonResourcePath": "*"}, set()),
        # without RBAC, a binding gives nothing
        ({"resource": "*", "namespace": "*", "apiGroup": RBAC}, set()),
    ],
)
@pytest.mark.parametrize("who", [TILL, EVERY_CALLER])
def test_line_of_an_abac_policy_leads_where_a_role_does(
    tmp_path: Path, who: dict[str, str], spec: dict[str, Any], expected: set[str]
) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/abac/."""
    flags = ("--authorization-mode=ABAC", "--authorization-policy-file=/etc/kubernetes/abac.json")
    model(tmp_path / "c", flags=flags)
    file = tmp_path / "c/cp1/etc/kubernetes/abac.json"
    file.write_text(json.dumps({**V1BETA1, "spec": {**who, **spec}}))
    manifest = tmp_path / "c/cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    text = manifest.read_text().replace("    - --authorization-mode=Node,RBAC\n", "")
    manifest.write_text(text)
    assert goals(load_model(tmp_path / "c")) == expected


def test_line_of_an_abac_policy_for_anonymous_callers_is_a_path(tmp_path: Path) -> None:
    flags = ("--authorization-policy-file=/etc/kubernetes/abac.json",)
    model(tmp_path / "c", flags=flags)
    spec = {"group": "system:unauthenticated", "namespace": "*", "resource": "pods"}
    file = tmp_path / "c/cp1/etc/kubernetes/abac.json"
    file.write_text(json.dumps({**V1BETA1, "spec": {**spec, "apiGroup": "*"}}))
    manifest = tmp_path / "c/cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    text = manifest.read_text().replace("=Node,RBAC", "=Node,RBAC,ABAC")
    manifest.write_text(text)
    assert attack_paths(load_model(tmp_path / "c"), "network", "admin").paths
