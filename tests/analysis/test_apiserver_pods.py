"""The pods of apiservers in a dump: who is let in, who decides, and which nodes are theirs.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit import load_model
from labkit.analysis import attack_paths
from labkit.cluster import read_dump
from labkit.model import Model

#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
RBAC = "--authorization-mode=Node,RBAC"
TOKEN = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
MOUNT = {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
ADMIN_FOR_ANONYMOUS = {
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "open"},
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "Group", "name": "system:unauthenticated"}],
}


def item(kind: str, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


CORE = [
    item("Node", "worker1"),
    item("Namespace", "shop"),
    item("ServiceAccount", "default", "shop"),
    item("Secret", "s", "shop", type="Opaque", data={"password": "aHVudGVyMg=="}),
    item("Role", "r", "shop", rules=[]),
    item("RoleBinding", "r", "shop", roleRef={"kind": "Role", "name": "r"}),
    item("ClusterRole", "none", rules=[]),
    item("ClusterRoleBinding", "none", roleRef={"kind": "ClusterRole", "name": "none"}),
]


def static(name: str, *command: str, image: str = "", node: str = "cp1") -> dict[str, Any]:
    owner = [{"kind": "Node", "name": node}]
    about = {"name": name, "namespace": "kube-system", "uid": name, "ownerReferences": owner}
    containers = [{"name": "a", "image": image, "command": list(command)}]
    return {
        "kind": "Pod",
        "metadata": about,
        "spec": {"nodeName": node, "hostNetwork": True, "containers": containers},
    }


def apiserver(*flags: str, name: str = "1", image: str = "") -> dict[str, Any]:
    return static(f"kube-apiserver-cp{name}", "kube-apiserver", *flags, image=image)


def web(node: str = "worker1", **security: Any) -> dict[str, Any]:
    containers = [{"name": "c", "volumeMounts": [MOUNT], "securityContext": security}]
    spec = {"nodeName": node, "containers": containers, "volumes": [TOKEN]}
    return {
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": spec,
    }


def dump(path: Path, *objects: dict[str, Any], **metadata: Any) -> Path:
    file = path / "dump.json"
    listed = [{"apiVersion": "v1", **it} for it in (*REST, *CORE, *objects)]
    text = {"apiVersion": "v1", "kind": "List", "items": listed, "metadata": metadata}
    file.write_text(json.dumps(text))
    return file


def reached(model: Model, start: str) -> str:
    found = attack_paths(model, start, "admin")
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    ("flags", "pod", "outside"),
    [
        ([RBAC], "none", "none"),
        (["--authorization_mode=RBAC", "--authorization-mode=Node"], "none", "none"),
        # no anonymous caller beside AlwaysAllow (pkg/kubeapiserver/options/authentication.go)
        (["--authorization-mode=RBAC,AlwaysAllow"], "known", "none"),
        ([RBAC, "--authorization-mode=AlwaysAllow"], "known", "none"),
        # AlwaysAllow is the default
        (["--secure-port=6443"], "known", "none"),
        (["--authorization-mode=Node,RBAC,ABAC"], "possible", "possible"),
        (["--authorization-mode=Webhook,RBAC"], "possible", "possible"),
        (["--authorization-mode=Webhook,AlwaysAllow"], "possible", "possible"),
        (["--authorization-config=/etc/authz.yaml"], "possible", "possible"),
        (["--authorization-config=/etc/authz.yaml", "--anonymous-auth=false"], "possible", "none"),
    ],
)
def test_authorizers_that_no_object_shows_count(
    tmp_path: Path, flags: list[str], pod: str, outside: str
) -> None:
    model = load_model(dump(tmp_path, web(), apiserver(*flags)))
    assert (reached(model, "pod:shop/web"), reached(model, "outside")) == (pod, outside)
    assert model.dump is not None
    shown = [it for it in model.dump.gaps if "may allow more than RBAC" in it.why]
    assert bool(shown) is (pod == "possible")


def test_flags_that_a_shell_puts_together_leave_everything_open(tmp_path: Path) -> None:
    unread = static("kube-apiserver-cp1", "sh", "-c", "exec kube-apiserver $(cat /flags)")
    model = load_model(dump(tmp_path, web(), unread))
    assert (reached(model, "pod:shop/web"), reached(model, "outside")) == ("possible",) * 2
    assert model.dump is not None
    assert (model.dump.bootstrap_tokens, model.dump.admission.known) == (None, False)
    read = static("kube-apiserver-cp1", "sh", "-c", f"exec kube-apiserver {RBAC}")
    assert reached(load_model(dump(tmp_path, web(), read)), "pod:shop/web") == "none"


OFF, ON = "--anonymous-auth=false", "--anonymous-auth=true"


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([OFF], [OFF], "none"),
        ([OFF], ["--anonymous_auth=False"], "none"),
        # on by default
        ([OFF], [], "known"),
        ([], [OFF], "known"),
        ([ON], [OFF], "known"),
        ([OFF, ON], [OFF], "known"),
    ],
)
def test_of_several_apiservers_the_most_open_one_counts(
    tmp_path: Path, first: list[str], second: list[str], found: str
) -> None:
    pods = (apiserver(RBAC, *first), apiserver(RBAC, *second, name="2"))
    model = load_model(dump(tmp_path, web(), ADMIN_FOR_ANONYMOUS, *pods))
    assert reached(model, "outside") == found


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("node-role.kubernetes.io/control-plane", "known"),
        ("node-role.kubernetes.io/controlplane", "known"),  # RKE
        ("node-role.kubernetes.io/etcd", "known"),  # RKE, RKE2
        ("node.kubernetes.io/microk8s-controlplane", "known"),
        ("node-role.kubernetes.io/worker", "none"),
    ],
)
def test_nodes_of_the_control_plane_are_known_by_the_labels_of_distributions(
    tmp_path: Path, label: str, found: str
) -> None:
    node = {"kind": "Node", "metadata": {"name": "cp1", "labels": {label: "true"}}}
    model = load_model(dump(tmp_path, node, web("cp1", privileged=True)))
    assert reached(model, "pod:shop/web on cp1") == found


@pytest.mark.parametrize(("name", "found"), [("etcd-cp1", "known"), ("other-cp1", "none")])
def test_a_node_with_a_static_pod_of_etcd_has_its_data(
    tmp_path: Path, name: str, found: str
) -> None:
    objects = (item("Node", "cp1"), static(name, "etcd"), web("cp1", privileged=True))
    assert reached(load_model(dump(tmp_path, *objects)), "pod:shop/web on cp1") == found


def test_a_list_of_which_pages_are_missing_is_not_all(tmp_path: Path) -> None:
    file = dump(tmp_path, web(), **{"continue": "token", "remainingItemCount": 500})
    [unread] = read_dump(file).unread
    assert "500 objects are on further pages" in unread.why
    assert read_dump(file).pod_count == 1
    yaml = tmp_path / "list.yaml"
    yaml.write_text("apiVersion: v1\nkind: PodList\nitems: []\nmetadata: {continue: token}\n")
    assert len(read_dump(yaml).unread) == 1
    assert not read_dump(dump(tmp_path, web(), **{"continue": ""})).unread


@pytest.mark.parametrize(
    ("flags", "env", "found"),
    [
        # of a flag that is there twice, the last counts (pflag's flag.go)
        ([RBAC, OFF, "$(EXTRA)"], [], ("possible", "possible")),
        ([RBAC, OFF, "$(EXTRA)"], [{"name": "EXTRA", "valueFrom": {}}], ("possible", "possible")),
        ([RBAC, OFF, "$(EXTRA)"], [{"name": "EXTRA", "value": "--v=2"}], ("none", "none")),
        ([RBAC, OFF, "$(EXTRA)"], [{"name": "EXTRA", "value": ON}], ("known", "known")),
        ([RBAC, OFF, "--advertise-address=$(IP)"], [], ("none", "none")),
    ],
)
def test_variables_in_an_apiservers_command_are_replaced_or_unknown(
    tmp_path: Path, flags: list[str], env: list[dict[str, Any]], found: tuple[str, str]
) -> None:
    """Kubernetes, "Define a Command and Arguments for a Container": $(VAR) is replaced."""
    server = apiserver(*flags)
    server["spec"]["containers"][0]["env"] = env
    model = load_model(dump(tmp_path, web(), ADMIN_FOR_ANONYMOUS, server))
    outside = attack_paths(model, "outside", "admin")
    said = "known" if outside.paths else "possible" if outside.possible else "none"
    assert (reached(model, "pod:shop/web"), said) == found


CREATES_PODS = (
    {
        "kind": "Role",
        "metadata": {"name": "maker", "namespace": "shop"},
        "rules": [{"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]}],
    },
    {
        "kind": "RoleBinding",
        "metadata": {"name": "maker", "namespace": "shop"},
        "roleRef": {"kind": "Role", "name": "maker"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "default"}],
    },
)
CP1 = item("Node", "cp1")
CP1["metadata"]["labels"] = {"node-role.kubernetes.io/control-plane": ""}
PLUGINS = "--admission-control-config-file=/etc/admission.yaml"
TAG = "registry.k8s.io/kube-apiserver:v1."


@pytest.mark.parametrize(
    ("label", "flags", "minor", "found"),
    [
        (None, [], 34, "possible"),  # the Namespace is not in the dump
        ("", [], 34, "known"),
        ("baseline", [], 34, "none"),
        # the file has the default, and namespaces that are exempt
        ("", [PLUGINS], 34, "possible"),
        ("baseline", [PLUGINS], 34, "possible"),
        ("baseline", ["$(EXTRA)"], 34, "possible"),
        # Kubernetes had the plugin on by default since 1.23 (pkg/features/kube_features.go)
        ("baseline", [], 22, "known"),
        (None, [], 22, "known"),
        # no kubelet is newer than its apiserver, and one of 1.22 has CVE-2024-10220
        ("baseline", ["--feature-gates=PodSecurity=true"], 22, "possible"),
        ("restricted", ["--feature-gates=PodSecurity=true"], 24, "none"),
        ("baseline", ["--feature-gates=PodSecurity=false"], 24, "known"),
    ],
)
def test_what_pod_security_enforces_is_known_or_unknown(
    tmp_path: Path, label: str | None, flags: list[str], minor: int, found: str
) -> None:
    """Kubernetes, "Pod Security Admission" and "Apply Pod Security Standards ... configuration"."""
    server = apiserver(RBAC, *flags, image=f"{TAG}{minor}.0")
    made = dump(tmp_path, web(), CP1, server, *CREATES_PODS)
    text = json.loads(made.read_text())
    shop = next(
        it for it in text["items"] if (it["kind"], it["metadata"]["name"]) == ("Namespace", "shop")
    )
    if label is None:
        text["items"].remove(shop)
        text["items"].append({"apiVersion": "v1", **item("Namespace", "other")})
    else:
        shop["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": label} if label else {}
    made.write_text(json.dumps(text))
    start = "is:system:serviceaccount:shop:default"
    assert reached(load_model(made), start) == found


ISSUER = "--service-account-issuer=https://oidc.example.org"


@pytest.mark.parametrize(
    ("audience", "flags", "found"),
    [
        # "If the --service-account-issuer flag is configured and this flag is not, this field
        # defaults to a single element list containing the issuer URL" (--api-audiences)
        ("https://oidc.example.org", [ISSUER], "known"),
        ("", [ISSUER], "known"),
        ("vault", [ISSUER], "none"),
        ("https://kubernetes.default.svc", [ISSUER], "none"),
        ("vault", [ISSUER, "--api-audiences=https://oidc.example.org,vault"], "known"),
        ("https://oidc.example.org", [ISSUER, "--api-audiences=vault"], "none"),
        ("vault", [ISSUER, "$(EXTRA)"], "possible"),
        ("vault", None, "possible"),
        ("api", None, "known"),
    ],
)
def test_audiences_are_those_of_the_apiserver(
    tmp_path: Path, audience: str, flags: list[str] | None, found: str
) -> None:
    pod = web()
    source = {"path": "token", **({"audience": audience} if audience else {})}
    pod["spec"]["volumes"] = [
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": source}]}}
    ]
    admin = {
        **ADMIN_FOR_ANONYMOUS,
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
    }
    servers = [] if flags is None else [apiserver(RBAC, *flags)]
    model = load_model(dump(tmp_path, pod, admin, *servers))
    assert reached(model, "pod:shop/web") == found


@pytest.mark.parametrize(
    ("binding", "kind", "lacks", "found"),
    [
        ("ClusterRoleBinding", "ClusterRole", ("ClusterRole",), "possible"),
        # every apiserver with RBAC makes cluster-admin: without it, not all roles are there
        ("ClusterRoleBinding", "ClusterRole", (), "possible"),
        ("ClusterRoleBinding", "ClusterRole", None, "none"),
        ("RoleBinding", "Role", ("Role",), "possible"),
        ("RoleBinding", "Role", (), "none"),
        ("RoleBinding", "ClusterRole", (), "possible"),
    ],
)
def test_a_role_that_the_dump_lacks_may_allow_everything(
    tmp_path: Path, binding: str, kind: str, lacks: tuple[str, ...] | None, found: str
) -> None:
    """Kubernetes, "Using RBAC Authorization": default roles; a binding may name any role."""
    home = "shop" if binding == "RoleBinding" else ""
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}]
    bound = item(binding, "b", home, roleRef={"kind": kind, "name": "ops"}, subjects=subjects)
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    more = [item("ClusterRole", "cluster-admin", rules=rules)] if lacks is None else []
    made = dump(tmp_path, web(), apiserver(RBAC), CP1, bound, *more)
    text = json.loads(made.read_text())
    text["items"] = [it for it in text["items"] if it["kind"] not in (lacks or ())]
    made.write_text(json.dumps(text))
    assert reached(load_model(made), "pod:shop/web") == found
    said = [it.why for it in read_dump(made).unknowns if f"{kind} ops" in it.why]
    assert ["not known" in why for why in said] == [found == "possible"]


def test_flags_in_a_file_of_openshift_are_unknown(tmp_path: Path) -> None:
    """openshift/kubernetes, cmd/kube-apiserver/app: --openshift-config names a file with flags."""
    config = "--openshift-config=/etc/kubernetes/static-pod-resources/config.yaml"
    server = static("kube-apiserver-cp1", "hyperkube", "kube-apiserver", config)
    server["metadata"]["namespace"] = "openshift-kube-apiserver"
    model = load_model(dump(tmp_path, web(), server))
    assert model.dump is not None
    assert (model.dump.anonymous, model.dump.admission.known) == (None, False)
    # AlwaysAllow is the default only if no flag says otherwise
    assert reached(model, "pod:shop/web") == "possible"


@pytest.mark.parametrize(
    ("label", "servers", "found"),
    [
        ("microk8s.io/cluster", [], "possible"),
        ("node.kubernetes.io/microk8s-controlplane", [], "possible"),
        ("kubernetes.io/os", [], "none"),
        ("microk8s.io/cluster", [apiserver(RBAC)], "none"),
    ],
)
def test_the_apiserver_of_microk8s_may_allow_everything(
    tmp_path: Path, label: str, servers: list[dict[str, Any]], found: str
) -> None:
    """MicroK8s, "Multi-user": by default all authenticated requests are authorized."""
    node = {"kind": "Node", "metadata": {"name": "m1", "labels": {label: "true"}}}
    made = dump(tmp_path, web(), node, *servers)
    assert reached(load_model(made), "pod:shop/web") == found
    said = [it for it in read_dump(made).gaps if "MicroK8s" in it.why]
    assert bool(said) is (found == "possible")


@pytest.mark.parametrize(("servers", "said"), [([], True), ([apiserver(RBAC)], False)])
def test_a_dump_without_an_apiserver_says_what_is_taken_for_granted(
    tmp_path: Path, servers: list[dict[str, Any]], said: bool
) -> None:
    """The flags decide who authorizes: the reference of kube-apiserver, --authorization-mode."""
    unknowns = read_dump(dump(tmp_path, web(), *servers)).unknowns
    assert any("taken to ask Node and RBAC alone" in it.why for it in unknowns) is said
