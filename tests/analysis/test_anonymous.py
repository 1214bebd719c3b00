"""Rights of callers without a credential: a path from everywhere, while they are let in.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import attack_paths, find_threats
from labkit.loading import load_model
from labkit.model import Model

#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
APISERVER = ["kube-apiserver", "--authorization-mode=Node,RBAC"]
KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
RBAC = "rbac.authorization.k8s.io"
ANONYMOUS_SUBJECTS = [("User", "system:anonymous"), ("Group", "system:unauthenticated")]
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


def granted(
    subject: tuple[str, str], rules: list[Any], namespace: str = ""
) -> list[dict[str, Any]]:
    """Return a role with some rules, bound to a subject in a namespace or everywhere."""
    kind, place = ("Role", {"namespace": namespace}) if namespace else ("ClusterRole", {})
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "x", **place}}
    return [
        {**head, "kind": kind, "rules": rules},
        {
            **head,
            "kind": f"{kind}Binding",
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": "x"},
            "subjects": [{"apiGroup": RBAC, "kind": subject[0], "name": subject[1]}],
        },
    ]


def folder(
    path: Path, objects: list[dict[str, Any]], flag: str = "", kubelet: bool = False
) -> Model:
    shutil.copytree(KUBEADM, path)
    shutil.copy(KUBEADM.parent / "all-pods.yaml", path)
    (path / "more.yaml").write_text(yaml.safe_dump_all(objects))
    if flag:
        file = path / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
        line = "    - kube-apiserver\n"
        text = file.read_text()
        assert line in text
        file.write_text(text.replace(line, f"{line}    - {flag}\n"))
    if kubelet:
        file = path / "worker1/var/lib/kubelet/config.yaml"
        config = yaml.safe_load(file.read_text())
        config["authentication"]["anonymous"]["enabled"] = True
        file.write_text(yaml.safe_dump(config))
    return load_model(path)


def dump(path: Path, objects: list[Any], flags: tuple[str, ...] | None = None) -> Model:
    """Return the model of a dump: a pod without a token, and with flags an apiserver's pod."""
    core: list[dict[str, Any]] = [
        {"kind": "Node", "metadata": {"name": "worker1"}},
        {"kind": "Namespace", "metadata": {"name": "shop"}},
        {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}},
        pod("shop", "web", ["sleep"]),
    ]
    if flags is not None:
        core.append(pod("kube-system", "kube-apiserver-cp1", [*APISERVER, *flags]))
    items = [{"apiVersion": "v1", **item} for item in (*REST, *core, *objects)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return load_model(path)


def pod(namespace: str, name: str, command: list[str]) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": "worker1",
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "c", "command": command}],
        },
        "status": {"phase": "Running"},
    }


def reached(model: Model, goal: str, *starts: str) -> set[str]:
    return {start for start in starts if attack_paths(model, start, goal)}


def open_ids(model: Model) -> set[str]:
    return {item.id for item in find_threats(model).open}


@pytest.mark.parametrize("subject", ANONYMOUS_SUBJECTS)
def test_cluster_admin_of_anonymous_callers_is_a_path_in_a_folder(
    tmp_path: Path, subject: tuple[str, str]
) -> None:
    model = folder(tmp_path / "c", granted(subject, EVERYTHING))
    starts = ("network", "pod", "user:worker1")
    assert reached(model, "admin", *starts) == set(starts)
    assert "caller-unrestricted@kube-apiserver@cp1:6443" in open_ids(model)


@pytest.mark.parametrize("subject", ANONYMOUS_SUBJECTS)
@pytest.mark.parametrize(
    ("rules", "goal"),
    [
        ([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}], "secrets"),
        ([{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}], "node"),
        (
            [
                {"apiGroups": [RBAC], "resources": ["clusterroles"], "verbs": ["bind"]},
                {"apiGroups": [RBAC], "resources": ["clusterrolebindings"], "verbs": ["create"]},
            ],
            "admin",
        ),
    ],
)
def test_each_right_of_anonymous_callers_has_its_consequence(
    tmp_path: Path, subject: tuple[str, str], rules: list[Any], goal: str
) -> None:
    for name, model in (
        ("anonymous-rights@kube-apiserver@cp1", folder(tmp_path / "c", granted(subject, rules))),
        ("anonymous-rights@kube-apiserver", dump(tmp_path / "c.json", granted(subject, rules))),
    ):
        assert reached(model, goal, "network", "pod") == {"network", "pod"}
        assert name in open_ids(model)


def test_secrets_of_one_namespace_are_a_finding(tmp_path: Path) -> None:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
    objects = granted(ANONYMOUS_SUBJECTS[0], rules, "shop")
    assert "anonymous-rights@kube-apiserver@cp1" in open_ids(folder(tmp_path / "c", objects))
    assert "anonymous-rights@kube-apiserver" in open_ids(dump(tmp_path / "c.json", objects))


@pytest.mark.parametrize("subject", ANONYMOUS_SUBJECTS)
def test_cluster_admin_of_anonymous_callers_is_a_path_in_a_dump(
    tmp_path: Path, subject: tuple[str, str]
) -> None:
    model = dump(tmp_path / "c.json", granted(subject, EVERYTHING))
    starts = ("outside", "network", "pod", "inside pod shop/web")
    assert reached(model, "admin", *starts) == set(starts)
    assert "anonymous-rights@kube-apiserver" in open_ids(model)


def test_without_anonymous_authentication_there_is_no_such_path(tmp_path: Path) -> None:
    objects = granted(ANONYMOUS_SUBJECTS[0], EVERYTHING)
    model = folder(tmp_path / "c", objects, "--anonymous-auth=false")
    assert not reached(model, "admin", "network", "pod")
    assert not {
        name for name in open_ids(model) if "anonymous" in name or "unrestricted@kube" in name
    }
    shown = dump(tmp_path / "c.json", objects, ("--anonymous-auth=false",))
    assert not reached(shown, "admin", "outside", "network", "pod")
    assert not {name for name in open_ids(shown) if "anonymous" in name}
    assert reached(dump(tmp_path / "d.json", objects, ()), "admin", "outside") == {"outside"}


def test_default_rights_of_anonymous_callers_are_no_finding(tmp_path: Path) -> None:
    model = folder(tmp_path / "c", granted(("User", "alice"), EVERYTHING))
    assert not reached(model, "admin", "network", "pod")
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    harmless = dump(tmp_path / "c.json", granted(ANONYMOUS_SUBJECTS[0], rules))
    assert not {name for name in open_ids(harmless) if "anonymous" in name}


def test_anonymous_callers_with_nodes_proxy_run_commands_at_a_kubelet(tmp_path: Path) -> None:
    rules = [{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["*"]}]
    model = folder(tmp_path / "c", granted(ANONYMOUS_SUBJECTS[0], rules), kubelet=True)
    [found] = [
        it for it in model.channels if it.id == "kube-apiserver@cp1 -> kubelet@worker1:10250"
    ]
    assert found.authorization.value == "allow-all"
    assert reached(model, "secrets", "network") == {"network"}
