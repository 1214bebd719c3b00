"""RBAC objects that were not copied may allow what the others do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from labkit.analysis import attack_paths
from labkit.cluster import Environment, read_cluster
from labkit.model import read_model
from labkit.model.decision import EVERYTHING, Action, Caller, decide, member_of

MANIFEST = "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
TO_API = "kube-proxy@worker1 -> kube-apiserver@cp1:6443"
HEAD = "apiVersion: rbac.authorization.k8s.io/v1\n"
BINDING = (
    HEAD + "kind: {}\nmetadata: {{name: ours, namespace: shop}}\n"
    "roleRef: {{kind: {}, name: ours}}\nsubjects: [{{kind: Group, name: ops}}]\n"
)
OPS, OTHER = member_of("ops", user="alice"), member_of("dev", user="bob")
IN_SHOP = Action("get", "secrets", namespace="shop")


#: What a Helm chart of an application has, of each kind one.
OF_AN_APPLICATION = f"""\
{HEAD}kind: ClusterRole
metadata: {{name: cluster-reader}}
rules: [{{verbs: [get], apiGroups: [""], resources: [nodes]}}]
---
{HEAD}kind: ClusterRoleBinding
metadata: {{name: cluster-reader}}
roleRef: {{kind: ClusterRole, name: cluster-reader}}
subjects: [{{kind: ServiceAccount, name: web, namespace: shop}}]
---
{HEAD}kind: Role
metadata: {{name: reader, namespace: shop}}
---
{HEAD}kind: RoleBinding
metadata: {{name: reader, namespace: shop}}
roleRef: {{kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: web}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(KUBEADM, tmp_path / "c")
    shutil.copy(KUBEADM.parent / "all-pods.yaml", tmp_path / "c")
    return tmp_path / "c"


def leave_out(folder: Path, *kinds: str) -> None:
    """Remove the objects of some kinds from the copied RBAC objects."""
    found = yaml.safe_load((folder / "rbac.yaml").read_text())
    found["items"] = [it for it in found["items"] if it["kind"] not in kinds]
    (folder / "rbac.yaml").write_text(yaml.safe_dump(found))


def possible(env: Environment, start: str) -> set[str]:
    model = read_model(env)
    found = {goal: attack_paths(model, start, goal) for goal in ("admin", "secrets")}
    assert not any(it.paths for it in found.values())
    return {goal for goal, it in found.items() if it.possible}


def answer(env: Environment, who: Caller, action: Action) -> str:
    return decide(env, env.component("kube-apiserver@cp1"), who, action).value


def test_all_kinds_decide(folder: Path) -> None:
    env = read_cluster(folder)
    assert (answer(env, OPS, EVERYTHING), answer(env, OPS, IN_SHOP)) == ("denied", "denied")
    assert not env.rbac.missing
    assert not attack_paths(read_model(env), "pod", "admin")


@pytest.mark.parametrize(
    "change",
    [
        lambda it: (it / "rbac.yaml").unlink(),
        lambda it: leave_out(it, "ClusterRoleBinding"),
        lambda it: leave_out(it, "ClusterRoleBinding", "RoleBinding"),
        lambda it: (it / "rbac.yaml").write_text(OF_AN_APPLICATION),
    ],
    ids=["nothing", "no cluster role bindings", "no bindings", "those of an application"],
)
def test_without_cluster_role_bindings_nobody_is_refused(
    folder: Path, change: Callable[[Path], None]
) -> None:
    """An apiserver with RBAC makes its default bindings again at each start: the RBAC reference.

    So a folder without them is not complete.
    """
    change(folder)
    env = read_cluster(folder)
    assert (answer(env, OPS, EVERYTHING), answer(env, OPS, IN_SHOP)) == ("unknown", "unknown")
    [why] = [it.why for it in env.unknowns if it.path == "ClusterRoleBinding"]
    assert "who else has permissions" in why
    model = read_model(env)
    [channel] = [it for it in model.channels if it.id == TO_API]
    assert channel.authorization.value == "unknown"
    for start in ("network", "pod", "user:worker1", "root:worker1"):
        assert possible(env, start) == {"admin", "secrets"}, start


@pytest.mark.parametrize("ours", ["", OF_AN_APPLICATION], ids=["none", "of an application"])
def test_without_role_bindings_nobody_is_refused_in_a_namespace(folder: Path, ours: str) -> None:
    leave_out(folder, "RoleBinding")
    (folder / "ours.yaml").write_text(ours)
    env = read_cluster(folder)
    assert (answer(env, OPS, EVERYTHING), answer(env, OPS, IN_SHOP)) == ("denied", "unknown")
    # who may do everything in kube-system starts pods with the accounts of the controllers
    for start in ("network", "pod", "root:worker1"):
        assert possible(env, start) == {"admin", "secrets"}, start


def test_an_authorizer_without_rbac_needs_no_bindings(folder: Path) -> None:
    (folder / "rbac.yaml").unlink()
    file = folder / MANIFEST
    file.write_text(file.read_text().replace("=Node,RBAC", "=Node"))
    env = read_cluster(folder)
    assert (answer(env, OPS, EVERYTHING), answer(env, OPS, IN_SHOP)) == ("denied", "denied")
    assert possible(env, "pod") == set()


@pytest.mark.parametrize(
    ("binding", "role", "everything"),
    [
        ("ClusterRoleBinding", "ClusterRole", "unknown"),
        ("RoleBinding", "ClusterRole", "denied"),
        ("RoleBinding", "Role", "denied"),
    ],
)
def test_a_role_that_was_not_copied_may_allow_anything(
    folder: Path, binding: str, role: str, everything: str
) -> None:
    (folder / "ours.yaml").write_text(BINDING.format(binding, role))
    assert answer(read_cluster(folder), OPS, IN_SHOP) == "denied"  # there is no such role
    leave_out(folder, role)
    env = read_cluster(folder)
    assert (answer(env, OPS, EVERYTHING), answer(env, OPS, IN_SHOP)) == (everything, "unknown")
    assert (answer(env, OTHER, EVERYTHING), answer(env, OTHER, IN_SHOP)) == ("denied", "denied")


def test_a_file_that_cannot_be_read_may_hold_any_binding(folder: Path) -> None:
    (folder / "broken.yaml").write_text(f"{HEAD}kind: ClusterRoleBinding\nmetadata: []\n")
    assert answer(read_cluster(folder), OPS, EVERYTHING) == "unknown"


@pytest.mark.parametrize(
    ("modes", "value"),
    [("RBAC,AlwaysAllow", "allowed"), ("AlwaysAllow,RBAC", "allowed"), ("Webhook,RBAC", "unknown")],
)
def test_rbac_never_denies_what_another_authorizer_allows(
    folder: Path, modes: str, value: str
) -> None:
    (folder / "rbac.yaml").unlink()
    file = folder / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    file.write_text(file.read_text().replace("=Node,RBAC", f"={modes}"))
    assert answer(read_cluster(folder), OPS, EVERYTHING) == value


def test_anonymous_callers_with_an_unread_role_leave_the_claim_unknown(folder: Path) -> None:
    text = BINDING.format("ClusterRoleBinding", "ClusterRole")
    (folder / "ours.yaml").write_text(text.replace("name: ops", "name: 'system:unauthenticated'"))
    leave_out(folder, "ClusterRole")
    [channel] = [it for it in read_model(read_cluster(folder)).channels if it.id == TO_API]
    assert (channel.client_authentication.value, channel.authorization.value) == (
        "anonymous",
        "unknown",
    )


@pytest.mark.parametrize(
    ("modes", "line", "goals"),
    [
        ("AlwaysAllow", "", {"admin", "secrets"}),
        ("ABAC", "{}", {"admin", "secrets"}),
        ("ABAC", '{"group": "system:serviceaccounts:shop"}', {"admin", "secrets"}),
        ("ABAC", '{"user": "system:serviceaccount:shop:web"}', {"admin", "secrets"}),
        ("ABAC", '{"user": "system:serviceaccount:shop:web", "readonly": true}', {"secrets"}),
        ("ABAC", '{"user": "alice"}', set()),
    ],
)
def test_tokens_of_pods_count_for_other_authorizers_as_well(
    folder: Path, modes: str, line: str, goals: set[str]
) -> None:
    file = folder / MANIFEST
    flags = f"={modes}\n    - --authorization-policy-file=/etc/kubernetes/abac.jsonl\n"
    file.write_text(file.read_text().replace("=Node,RBAC\n", flags))
    (folder / "cp1/etc/kubernetes/abac.jsonl").write_text(line)
    model = read_model(read_cluster(folder))
    assert {
        goal for goal in ("admin", "secrets") if attack_paths(model, "pod", goal).paths
    } == goals


def test_a_credential_counts_at_every_apiserver(folder: Path) -> None:
    tokens = "    - --token-auth-file=/etc/kubernetes/tokens.csv\n"
    shutil.copytree(folder / "cp1", folder / "cp2")
    for node in ("cp1", "cp2"):
        (folder / node / "etc/kubernetes/tokens.csv").write_text("s3cret,alice,1\n")
        file = folder / node / MANIFEST.removeprefix("cp1/")
        text = file.read_text().replace("    - kube-apiserver\n", f"    - kube-apiserver\n{tokens}")
        file.write_text(text.replace("=Node,RBAC", "=AlwaysAllow") if node == "cp2" else text)
    model = read_model(read_cluster(folder))
    [alice] = {it.rights for it in model.credentials if it.identity == "alice"}
    assert [str(it) for it in alice] == ["cluster-admin"]


SCHEDULER = member_of("system:authenticated", user="system:kube-scheduler")
PROXY = member_of("system:authenticated", user="system:kube-proxy")
NODE_1 = member_of("system:nodes", "system:authenticated", user="system:node:worker1")
BIND, SECRETS = Action("create", "pods/binding", namespace="shop"), Action("list", "secrets")
OWN = (
    HEAD
    + """kind: ClusterRoleBinding
metadata: {name: NAME}
roleRef: {kind: ClusterRole, name: NAME}
SUBJECTS
---
"""
    + HEAD
    + """kind: ClusterRole
metadata: {name: NAME}
rules: [{verbs: [create], apiGroups: [""], resources: [pods/binding]}]
"""
)


def aged(folder: Path, version: str) -> Environment:
    path = folder / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    path.write_text(path.read_text().replace(":v1.34.2", version))
    return read_cluster(folder)


@pytest.mark.parametrize(
    ("version", "who", "action", "found"),
    [
        (":v1.34.2", SCHEDULER, BIND, "allowed"),
        (":v1.34.2", SCHEDULER, SECRETS, "denied"),
        (":v1.15.0", SCHEDULER, BIND, "unknown"),
        (":v1.15.0", SCHEDULER, SECRETS, "unknown"),
        ("@sha256:0", SCHEDULER, SECRETS, "unknown"),
        # "system:node: ... bound to the system:nodes group" before 1.8 (the RBAC reference)
        (":v1.34.2", NODE_1, SECRETS, "denied"),
        (":v1.15.0", NODE_1, SECRETS, "unknown"),
        # what every caller has was never more than discovery
        (":v1.15.0", OPS, SECRETS, "denied"),
        (":v1.15.0", OPS, Action("get", "", path="/version"), "denied"),
    ],
)
def test_bootstrap_roles_of_an_older_apiserver_are_unknown(
    folder: Path, version: str, who: Caller, action: Action, found: str
) -> None:
    """Kubernetes, "Using RBAC Authorization": default roles; reconciled at each start."""
    assert answer(aged(folder, version), who, action) == found


@pytest.mark.parametrize(("name", "who"), [("system:node-proxier", PROXY), ("system:node", NODE_1)])
def test_a_clusters_own_objects_count_instead_of_the_policys(
    folder: Path, name: str, who: Caller
) -> None:
    assert answer(aged(folder, ":v1.15.0"), who, SECRETS) == "unknown"
    subjects = "subjects: [{kind: User, name: 'system:kube-proxy'}]" if who is PROXY else ""
    text = OWN.replace("SUBJECTS", subjects).replace("NAME", f"'{name}'")
    (folder / "own.yaml").write_text(text)
    assert answer(read_cluster(folder), who, SECRETS) == "denied"
