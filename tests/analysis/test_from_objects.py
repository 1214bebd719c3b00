"""Paths through pods, nodes and RBAC, on small clusters written as kubectl shows them."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from labkit.analysis import (
    attack_graph,
    attack_paths,
    close,
    cost,
    find_foothold,
    find_threats,
    object_steps,
    paths_to,
)
from labkit.analysis.attack_graph.from_objects.builder import MEMBERSHIP
from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.steps import known_and_possible
from labkit.cluster import Dump
from labkit.cluster.objects.reader import Builder
from labkit.errors import ConfigError
from labkit.model import Foothold, model_of_dump, parse_foothold
from labkit.model.footholds import ADMIN

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]
ADMISSION = "admissionregistration.k8s.io"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    for item in objects:
        builder.add(item, item["kind"], "dump.json")
    # without a binding that a test does not name
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return builder.finish()


def reached(start: str, *objects: Object) -> set[str]:
    """Return everything that is reached from a start."""
    graph = attack_graph(object_steps(dump_of(*objects)))
    return set(map(str, close(graph, parse_foothold(start))))


def techniques(start: str, goal: str, *objects: Object) -> list[str]:
    """Return the names of the steps on the cheapest path to a goal."""
    graph = attack_graph(object_steps(dump_of(*objects)))
    found = close(graph, parse_foothold(start)).get(parse_foothold(goal), ())
    return [step.name for step in found if step.cost > 0.1]


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ((), "closed"),
        (("ClusterRoleBinding",), "possible"),
        (("RoleBinding",), "possible"),
        (("ClusterRoleBinding", "RoleBinding"), "possible"),
    ],
)
@pytest.mark.parametrize("start", ["pod:n/web", "outside the cluster"])
def test_bindings_that_are_not_in_the_dump_may_give_everything(
    start: str, lost: tuple[str, ...], expected: str
) -> None:
    """Every apiserver with RBAC has bindings of both kinds: the RBAC reference, default roles."""
    builder = Builder("test")
    nodes = (node("worker1"), node("cp1", control_plane=True))
    for item in (*nodes, namespace("kube-system"), pod("n", "web", token=True)):
        builder.add(item, item["kind"], "dump.json")
    builder.every_namespace = True
    builder.kinds |= WHOLE - set(lost)
    found = attack_paths(model_of_dump(builder.finish()), start, "admin")
    assert not found.paths
    assert ("possible" if found.possible else "closed") == expected
    assert all(kind in str(found) for kind in lost[:1])


KUBE, MODES = "kube-apiserver", "--authorization-mode=Node,RBAC"


def node(name: str, version: str = "v1.37.0", control_plane: bool = False) -> Object:
    labels = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    status = {"nodeInfo": {"kubeletVersion": version}}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def apiserver(*command: str, name: str = "cp1", tag: str = "v1.37.0") -> Object:
    made = pod("kube-system", f"kube-apiserver-{name}", on=name, token=False)
    image = f"registry.k8s.io/kube-apiserver:{tag}"
    # without the flag, AlwaysAllow is the default
    with_modes = (it.replace(KUBE, f"{KUBE} {MODES}") for it in command)
    alone = f"{KUBE} {MODES}"
    line = [word for it in with_modes for word in (it.split() if it == alone else [it])]
    made["spec"]["containers"][0] |= {"image": image, "command": line}
    return made


def namespace(name: str, level: str = "") -> Object:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def account(home: str, name: str, **more: Any) -> Object:
    return {"kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}, **more}


def pod(
    home: str,
    name: str,
    account: str = "default",
    on: str = "worker1",
    token: bool = True,
    host_paths: tuple[str, ...] = (),
    read_only: bool = False,
    security: Object | None = None,
    **spec: Any,
) -> Object:
    volumes = [{"name": f"h{i}", "hostPath": {"path": p}} for i, p in enumerate(host_paths)]
    mounts: list[Object] = [{"name": v["name"], "readOnly": read_only} for v in volumes]
    if token:
        volumes.append({"name": "t", **copy.deepcopy(TOKEN)})
        mounts.append({"name": "t"})
    container = {"name": "main", "volumeMounts": mounts, "securityContext": security or {}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": home, "uid": name},
        "spec": {
            "serviceAccountName": account,
            "nodeName": on,
            "volumes": volumes,
            "containers": [container],
            **spec,
        },
    }


def secret(home: str, name: str, of: str = "") -> Object:
    kind = "kubernetes.io/service-account-token" if of else "Opaque"
    annotations = {"kubernetes.io/service-account.name": of} if of else {}
    metadata = {"name": name, "namespace": home, "annotations": annotations}
    return {"kind": "Secret", "type": kind, "metadata": metadata, "data": {"token": "aHVudGVyMg=="}}


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Object:
    made: Object = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": names.split()} if names else made


def may(who: str, *rules: Object, at: str = "", role: str = "") -> tuple[Object, ...]:
    """Give somebody ("NS/ACCOUNT", a user, or "group:NAME") a role of its own."""
    name = role or f"r-{abs(hash((who, at, str(rules)))) % 10**8}"
    metadata = {"name": name, **({"namespace": at} if at else {})}
    kind = "Role" if at else "ClusterRole"
    made = {"kind": kind, "metadata": metadata, "rules": list(rules)}
    return made, bind(who, name, at, kind)


def bind(who: str, role: str, at: str = "", kind: str = "ClusterRole") -> Object:
    if "/" in who:
        home, name = who.split("/")
        subject = {"kind": "ServiceAccount", "namespace": home, "name": name}
    elif who.startswith("group:"):
        subject = {"kind": "Group", "name": who.removeprefix("group:")}
    else:
        subject = {"kind": "User", "name": who}
    metadata = {"name": f"b-{role}-{abs(hash(who)) % 10**8}", **({"namespace": at} if at else {})}
    return {
        "kind": "RoleBinding" if at else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"kind": kind, "name": role},
        "subjects": [subject],
    }


def is_account(home: str, name: str) -> str:
    return f"is system:serviceaccount:{home}:{name}"


# -- where KubeHound and IceKube are wrong, one test each ------------------------------------


def test_w1_reading_secrets_gives_only_the_tokens_stored_in_them():
    """KubeHound: TOKEN_LIST leads to every service account of the namespace."""
    reader = may("a/reader", rule("list get", "secrets"), at="b")
    objects = (*reader, account("b", "one"), account("b", "two"), secret("b", "s", of="two"))
    found = reached(is_account("a", "reader"), *objects)
    assert is_account("b", "two") in found
    assert is_account("b", "one") not in found


def test_w2_runtime_socket_gives_root_under_every_path():
    """KubeHound: everything below /var/run counts as safe."""
    for path in ("/var/run/docker.sock", "/var/run/containerd/containerd.sock", "/run", "/var/run"):
        for read_only in (True, False):
            held = pod("a", "agent", host_paths=(path,), read_only=read_only)
            assert "root on worker1" in reached("inside pod a/agent on worker1", held), path


def test_w3_pod_security_keeps_privileged_pods_out():
    """KubeHound: who creates pods is root on every node."""
    creator = may("a/maker", rule("create", "pods"), at="b")
    for level, expected in (
        ("", True),
        ("privileged", True),
        ("baseline", False),
        ("restricted", False),
    ):
        objects = (*creator, node("worker1"), namespace("b", level), account("b", "other"))
        found = reached(is_account("a", "maker"), *objects)
        assert ("root on worker1" in found) == expected, level
        assert is_account("b", "other") in found


@pytest.mark.parametrize(
    ("path", "read_only", "gives"),
    [
        ("/", False, "root on worker1"),
        ("/etc", False, "root on worker1"),
        ("/etc/systemd/system/x.service.d", False, "root on worker1"),
        ("/var/lib/", True, "is system:node:worker1"),
        ("/var/lib/kubelet/pods", True, "is system:serviceaccount:c:rich"),
        ("/etc/ssl/certs", False, None),
        ("/etc", True, "is system:node:worker1"),
        ("/var/log", False, None),
        ("/data/../etc/cron.d", False, "root on worker1"),
    ],
)
def test_w4_host_path_is_judged_by_its_parents_and_children(path, read_only, gives):
    """KubeHound: lists of exact paths."""
    objects = (
        pod("a", "agent", token=False, host_paths=(path,), read_only=read_only),
        pod("c", "web", "rich"),
    )
    found = reached("inside pod a/agent on worker1", *objects)
    assert found == {"inside pod a/agent on worker1"} if gives is None else gives in found


def test_w4_resource_names_limit_the_rule():
    """KubeHound: resourceNames are left out."""
    objects = (
        *may("a/reader", rule("get list", "secrets", names="plain"), at="b"),
        account("b", "rich"),
        secret("b", "plain"),
        secret("b", "token", of="rich"),
    )
    assert is_account("b", "rich") not in reached(is_account("a", "reader"), *objects)
    exact = may("a/other", rule("get", "secrets", names="token"), at="b")
    assert is_account("b", "rich") in reached(is_account("a", "other"), *objects, *exact)
    # what is created has no name yet: such a rule lets nothing through
    creator = may("a/maker", rule("create", "pods", names="web"), at="b")
    found = reached(is_account("a", "maker"), *creator, account("b", "rich"))
    assert found == {is_account("a", "maker")}


def test_w5_kubelet_reaches_only_the_pods_of_its_own_node():
    """KubeHound: neither the Node authorizer nor NodeRestriction."""
    objects = (
        node("worker1"),
        node("worker2"),
        pod("a", "here", "near", "worker1", token=False),
        pod("a", "there", "far", "worker2"),
        secret("a", "other"),
    )
    found = reached("root on worker1", *objects)
    # not mounted, but asked for: the authorizer lets a kubelet do that for the pods it has
    assert {"is system:node:worker1", is_account("a", "near")} <= found
    assert not {is_account("a", "far"), "reads the secrets", "root on worker2"} & found


def test_w6_no_certificate_is_issued_for_system_masters():
    """IceKube: GENERATE_CLIENT_CERTIFICATE leads to system:masters."""
    signer = (
        rule("create", "certificatesigningrequests", CERTIFICATES),
        rule("update", "certificatesigningrequests/approval", CERTIFICATES),
        rule("approve", "signers", CERTIFICATES, "kubernetes.io/kube-apiserver-client"),
    )
    admin = may("group:system:masters", rule("*", "*", "*"), role="cluster-admin")
    objects = (*may("a/signer", *signer), *admin)
    found = reached(is_account("a", "signer"), *objects)
    assert not {"cluster-admin", "in group system:masters"} & found
    # any other name may stand there
    objects = (*objects, bind("group:kubeadm:cluster-admins", "cluster-admin"))
    found = reached(is_account("a", "signer"), *objects)
    assert {"cluster-admin", "in group kubeadm:cluster-admins"} <= found
    # each of the three is needed
    for missing in range(3):
        rest = [item for index, item in enumerate(signer) if index != missing]
        objects = (*may("a/half", *rest), *admin, bind("group:x", "cluster-admin"))
        assert "cluster-admin" not in reached(is_account("a", "half"), *objects)


@pytest.mark.parametrize("verb", ["get", "create"])
def test_w7_get_on_nodes_proxy_runs_commands_in_every_pod(verb):
    """IceKube: only "create" counts, and a websocket begins with a GET."""
    objects = (*may("a/metrics", rule(verb, "nodes/proxy")), pod("b", "web", "rich"))
    assert techniques(is_account("a", "metrics"), is_account("b", "rich"), *objects) == [
        "exec-through-kubelet",
        "mounted-token",
    ]
    for other in ("nodes/metrics", "nodes/stats", "nodes", "nodes/log"):
        objects = (*may("a/metrics", rule("get", other)), pod("b", "web", "rich"))
        assert reached(is_account("a", "metrics"), *objects) == {is_account("a", "metrics")}


def test_w7_nodes_proxy_in_a_role_binding_gives_nothing():
    made = may("a/metrics", rule("get", "nodes/proxy"), at="b")
    assert reached(is_account("a", "metrics"), *made, pod("b", "web")) == {
        is_account("a", "metrics")
    }


def test_w8_debug_container_enters_the_pod():
    """IceKube: the query of DEBUG_POD names a relation that does not exist."""
    made = may("a/debugger", rule("patch", "pods/ephemeralcontainers"), at="b")
    objects = (*made, namespace("b", "restricted"), pod("b", "web", "rich"))
    found = reached(is_account("a", "debugger"), *objects)
    assert is_account("b", "rich") in found
    assert "root on worker1" not in found
    objects = (*made, namespace("b"), pod("b", "web", "rich"))
    assert "root on worker1" in reached(is_account("a", "debugger"), *objects)


# -- no shortcuts -----------------------------------------------------------------------------


def test_view_role_gives_nothing_further():
    """KubeHound counts the holder of the role view among the critical."""
    view = may("a/viewer", rule("get list watch", "pods configmaps services"), role="view")
    objects = (*view, account("a", "other"), pod("a", "web", "other"), node("worker1"))
    assert reached(is_account("a", "viewer"), *objects) == {is_account("a", "viewer")}


def test_writing_bindings_needs_the_bind_verb():
    """RBAC refuses to bind what one does not hold, unless one may bind."""
    plain = may("a/writer", rule("create update", "clusterrolebindings rolebindings", RBAC))
    assert "cluster-admin" not in reached(is_account("a", "writer"), *plain)
    binder = may("a/writer", rule("bind", "clusterroles", RBAC))
    assert "cluster-admin" in reached(is_account("a", "writer"), *plain, *binder)
    # bind without writing bindings
    assert "cluster-admin" not in reached(is_account("a", "writer"), *binder)


def test_bind_verb_with_a_name_gives_that_role_only():
    objects = (
        *may(
            "a/b",
            rule("create", "clusterrolebindings", RBAC),
            rule("bind", "clusterroles", RBAC, "r"),
        ),
        *may("x/y", rule("list", "secrets"), role="r"),
    )
    found = reached(is_account("a", "b"), *objects)
    assert "reads the secrets" in found
    assert "cluster-admin" not in found


def test_binding_in_a_namespace_stays_there():
    rules = (rule("create", "rolebindings", RBAC), rule("bind", "clusterroles", RBAC))
    objects = (*may("a/b", *rules, at="n"), account("n", "inner"), account("m", "outer"))
    found = reached(is_account("a", "b"), *objects)
    assert is_account("n", "inner") in found
    assert not {is_account("m", "outer"), "cluster-admin", "reads the secrets"} & found


def test_escalate_verb_needs_update_on_an_own_role():
    both = may("a/b", rule("escalate update", "clusterroles", RBAC))
    assert "cluster-admin" in reached(is_account("a", "b"), *both)
    assert "cluster-admin" not in reached(
        is_account("a", "b"), *may("a/b", rule("escalate", "clusterroles", RBAC))
    )
    assert "cluster-admin" not in reached(
        is_account("a", "b"), *may("a/b", rule("update", "clusterroles", RBAC))
    )
    other = may("a/b", rule("escalate update", "clusterroles", RBAC, "not-mine"), role="mine")
    assert "cluster-admin" not in reached(is_account("a", "b"), *other)


def test_impersonating_a_group_needs_impersonating_a_user():
    groups = may("a/b", rule("impersonate", "groups"))
    assert "cluster-admin" not in reached(is_account("a", "b"), *groups)
    users = may("a/b", rule("impersonate", "users", names="nobody"))
    assert "cluster-admin" in reached(is_account("a", "b"), *groups, *users)


def test_impersonating_users_excludes_service_accounts():
    objects = (
        *may("a/b", rule("impersonate", "users")),
        *may("n/rich", rule("list", "secrets")),
        *may("eve", rule("create", "pods/exec")),
    )
    found = reached(is_account("a", "b"), *objects)
    assert "is eve" in found
    assert is_account("n", "rich") not in found
    accounts = may("a/c", rule("impersonate", "serviceaccounts"), at="n")
    assert is_account("n", "rich") in reached(is_account("a", "c"), *objects, *accounts)


def test_creating_and_reading_secrets_gives_account_tokens():
    objects = (account("n", "rich"), *may("a/b", rule("create", "secrets"), at="n"))
    assert is_account("n", "rich") not in reached(is_account("a", "b"), *objects)
    more = may("a/b", rule("get", "secrets"), at="n")
    assert is_account("n", "rich") in reached(is_account("a", "b"), *objects, *more)


def test_token_request_is_limited_by_resource_names():
    named = may("a/b", rule("create", "serviceaccounts/token", names="one"), at="n")
    objects = (account("n", "one"), account("n", "two"), account("m", "three"))
    found = reached(is_account("a", "b"), *named, *objects)
    assert (is_account("n", "one") in found, is_account("n", "two") in found) == (True, False)
    every = may("a/c", rule("create", "serviceaccounts/token"))
    assert is_account("m", "three") in reached(is_account("a", "c"), *every, *objects)


@pytest.mark.parametrize(
    ("version", "enters"), [("v1.31.9", True), ("v1.35.0", False), ("v1.37.2", False)]
)
def test_get_on_pods_exec_enters_pods_before_135(version, enters):
    objects = (*may("a/b", rule("get", "pods/exec"), at="n"), pod("n", "web"), node("x", version))
    assert ("inside pod n/web" in reached(is_account("a", "b"), *objects)) == enters


@pytest.mark.parametrize(
    ("images", "kubelet", "value"),
    [
        # AuthorizePodWebsocketUpgradeCreatePermission, on since 1.35 (kube_features.go)
        (("v1.34.1",), "", "known"),
        (("v1.35.0",), "v1.34.0", "none"),
        (("v1.34.1", "v1.35.0"), "v1.34.0", "possible"),
        ((), "", "possible"),
        # an apiserver is up to three minor versions ahead of its kubelets (version skew policy)
        ((), "v1.31.0", "known"),
        ((), "v1.32.0", "possible"),
        ((), "v1.34.0", "possible"),
        ((), "v1.35.0", "none"),
    ],
)
def test_version_of_the_apiserver_decides_what_get_on_pods_exec_gives(images, kubelet, value):
    apiservers = []
    for number, tag in enumerate(images):
        it = pod("kube-system", f"kube-apiserver-cp{number}", on=f"cp{number}", token=False)
        it["spec"]["containers"][0]["image"] = f"registry.k8s.io/kube-apiserver:{tag}"
        it["spec"]["containers"][0]["command"] = [KUBE, MODES]
        apiservers.append(it)
    rights = may("a/b", rule("get", "pods/exec"), at="n")
    objects = (*rights, pod("n", "web"), node("x", kubelet), *apiservers)
    known = "inside pod n/web" in reached(A_B, *objects)
    maybe = "inside pod n/web" in possible(A_B, *objects)
    assert (known, maybe and not known) == (value == "known", value == "possible")


def test_portforward_reaches_ports_and_attach_costs_more_than_exec():
    objects = (*may("a/b", rule("create", "pods/portforward"), at="n"), pod("n", "web"))
    found = reached(is_account("a", "b"), *objects)
    assert "reaches the ports of n" in found
    assert "inside pod n/web" not in found
    made = may("a/b", rule("create", "pods/attach pods/exec"), at="n")
    assert techniques(is_account("a", "b"), "inside pod n/web", *made, pod("n", "web")) == ["exec"]


def test_wildcards_match_as_in_rbac():
    """``*/exec`` is a pattern, ``pods/*`` is not."""
    for resources, enters in (("*/exec", True), ("pods/*", False), ("*", True), ("pods", False)):
        objects = (*may("a/b", rule("create", resources), at="n"), pod("n", "web", token=False))
        entered = "enters the pods of n" in reached(is_account("a", "b"), *objects)
        assert entered == enters, resources
    everything = may("a/b", rule("*", "*", "*"))
    assert "cluster-admin" in reached(is_account("a", "b"), *everything)
    core = may("a/b", rule("create delete get list update", "*", ""))
    assert "cluster-admin" not in reached(is_account("a", "b"), *core)
    # every verb on the core group is also "impersonate" on users and groups
    core = may("a/b", rule("*", "*", ""))
    assert techniques(is_account("a", "b"), "cluster-admin", *core) == ["impersonate"]


def test_namespace_admin_is_not_cluster_admin():
    objects = (
        *may("a/b", rule("*", "*", "*"), at="n"),
        account("n", "x"),
        namespace("n", "baseline"),
    )
    found = reached(is_account("a", "b"), *objects)
    assert {"everything in n", is_account("n", "x"), "reads the secrets of n"} <= found
    assert not {"cluster-admin", "reads the secrets"} & found


def test_aggregated_role_has_the_rules_of_those_it_selects():
    part = may("nobody", rule("list", "secrets"), role="part")
    part[0]["metadata"]["labels"] = {"to-admin": "yes"}
    whole = {
        "kind": "ClusterRole",
        "metadata": {"name": "whole"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-admin": "yes"}}]},
        "rules": None,
    }
    found = reached(is_account("a", "b"), *part, whole, bind("a/b", "whole"))
    assert "reads the secrets" in found


def test_relabelled_namespace_admits_privileged_pods():
    objects = (node("worker1"), namespace("n", "restricted"))
    maker = may("a/b", rule("create", "pods"), at="n")
    patch = may("a/b", rule("patch", "namespaces", names="n"))
    assert "root on a node" not in reached(is_account("a", "b"), *objects, *maker)
    assert "root on a node" in reached(is_account("a", "b"), *objects, *maker, *patch)


def test_pod_has_the_rights_of_its_service_account_groups():
    objects = (pod("n", "web"), *may("group:system:serviceaccounts:n", rule("list", "secrets")))
    assert "reads the secrets" in reached("inside pod n/web", *objects)
    objects = (pod("m", "web"), *may("group:system:serviceaccounts:n", rule("list", "secrets")))
    assert "reads the secrets" not in reached("inside pod m/web", *objects)
    everybody = may("group:system:authenticated", rule("list", "secrets"))
    assert "reads the secrets" in reached("inside pod m/web", *objects, *everybody)
    assert "reads the secrets" not in reached("is system:anonymous", *objects, *everybody)


# -- pods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "escapes"),
    [
        ({"security": {"privileged": True}}, True),
        ({"security": {"privileged": True}, "hostUsers": False}, False),
        ({"host_paths": ("/",), "securityContext": {"runAsUser": 1000}}, False),
        ({"host_paths": ("/",), "securityContext": {"runAsNonRoot": True}}, False),
        ({"security": {"capabilities": {"add": ["NET_ADMIN"]}}}, False),
        ({"security": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}, True),
        ({"security": {"capabilities": {"add": ["SYS_PTRACE"]}}}, False),
        ({"security": {"capabilities": {"add": ["SYS_PTRACE"]}}, "hostPID": True}, True),
        ({"hostPID": True}, False),
        ({"hostNetwork": True}, False),
        ({}, False),
    ],
)
def test_pod_settings_that_allow_an_escape(spec, escapes):
    held = pod("a", "x", token=False, **spec)
    [group] = dump_of(held).pods
    assert ("root on a node" in reached(f"inside pod {group.id}", held)) == escapes


def test_unmounted_volume_is_ignored():
    held = pod("a", "x", token=False)
    held["spec"]["volumes"] = [{"name": "h", "hostPath": {"path": "/"}}]
    assert reached("inside pod a/x", held) == {"inside pod a/x"}


def test_token_for_another_audience_is_ignored():
    held = pod("a", "x")
    held["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["audience"] = (
        "vault"
    )
    assert reached("inside pod a/x", held) == {"inside pod a/x"}


@pytest.mark.parametrize(
    ("of_account", "of_pod", "token"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_manifest_pod_gets_a_token_by_the_automount_settings(of_account, of_pod, token):
    held = pod("a", "x", "web", token=False)
    del held["metadata"]["uid"]
    held["spec"]["automountServiceAccountToken"] = of_pod
    for order in ((0, 1), (1, 0)):
        pair = (held, account("a", "web", automountServiceAccountToken=of_account))
        found = reached("inside pod a/x", *(pair[index] for index in order))
        assert (is_account("a", "web") in found) == token


def test_control_plane_node_gives_cluster_admin():
    objects = (node("master", control_plane=True), node("worker1"))
    assert "cluster-admin" in reached("root on master", *objects)
    assert "cluster-admin" not in reached("root on worker1", *objects)
    reads = pod("a", "x", on="master", token=False, host_paths=("/etc/kubernetes",), read_only=True)
    assert "cluster-admin" in reached("inside pod a/x on master", *objects, reads)
    public = pod("a", "x", on="master", token=False, host_paths=("/etc/kubernetes/pki/ca.crt",))
    assert "cluster-admin" not in reached("inside pod a/x on master", *objects, public)


def test_privileged_daemon_set_pod_is_root_on_its_own_node_only():
    """Of twenty pods of a daemon set one is entered, and not every node is the attacker's."""
    pods = [pod("a", f"x{n}", on=f"w{n}", security={"privileged": True}) for n in range(3)]
    for each in pods:
        each["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "x"}]
    found = reached("inside pod a/x on w1", *pods)
    assert {name for name in found if name.startswith("root on w")} == {"root on w1"}


# -- bind, escalate, aggregation --------------------------------------------------------------

A_B = is_account("a", "b")
STARS = rule("*", "*", "*")


def possible(start: str, *objects: Object) -> dict[str, str]:
    """Return what is reached only if something unknown is true, and what has to be found out."""
    known, wide = known_and_possible(object_steps(dump_of(*objects)))
    first = parse_foothold(start)
    sure = close(known, first)
    return {
        str(thing): "; ".join(step.unknown for step in path if step.unknown)
        for thing, path in close(wide, first).items()
        if thing not in sure
    }


def test_bind_on_roles_gives_each_role_that_exists_there():
    create = rule("create", "rolebindings", RBAC)
    binder = may("a/b", create, rule("bind", "roles", RBAC), at="n", role="b")
    team = may("x/y", STARS, at="n", role="adm")
    assert "everything in n" in reached(A_B, *binder, *team)
    assert "everything in n" not in reached(A_B, *binder)
    elsewhere = may("x/y", STARS, at="m", role="adm")
    assert not {"everything in m", "everything in n"} & reached(A_B, *binder, *elsewhere)
    named = may("a/b", create, rule("bind", "roles", RBAC, "other"), at="n", role="b")
    assert "everything in n" not in reached(A_B, *named, *team)


def test_bind_on_roles_everywhere_stays_in_each_namespace():
    binder = may("a/b", rule("create", "rolebindings", RBAC), rule("bind", "roles", RBAC))
    found = reached(A_B, *binder, *may("x/y", STARS, at="n"), account("m", "outer"))
    assert "everything in n" in found
    assert not {"cluster-admin", is_account("m", "outer")} & found


@pytest.mark.parametrize("names", ["", "r"])
def test_role_bindings_everywhere_give_nothing_of_the_whole_cluster(names):
    bind_verb = rule("bind", "clusterroles", RBAC, names)
    binder = may("a/b", rule("create", "rolebindings", RBAC), bind_verb)
    proxy = may("x/y", rule("get", "nodes/proxy"), rule("create", "pods/exec"), role="r")
    objects = (*binder, *proxy, pod("n", "web", "rich"), namespace("n", "baseline"))
    found = reached(A_B, *objects)
    assert "inside pod n/web" in found
    assert not {"enters the pods on worker1", "cluster-admin"} & found


@pytest.mark.parametrize(
    ("verbs", "bindings", "names", "joins"),
    [
        ("update", "clusterrolebindings", "", True),
        ("patch", "clusterrolebindings", "theirs", True),
        ("patch", "clusterrolebindings", "absent", False),
        # the name of what is created is not known yet
        ("create", "clusterrolebindings", "theirs", False),
        ("update", "rolebindings", "theirs", False),
    ],
)
def test_changing_a_binding_gives_the_role_of_one_that_exists(verbs, bindings, names, joins):
    theirs = bind("eve", "cluster-admin")
    theirs["metadata"]["name"] = "theirs"
    change = rule(verbs, bindings, RBAC, names)
    objects = (*may("a/b", change, rule("bind", "clusterroles", RBAC)), theirs)
    assert ("cluster-admin" in reached(A_B, *objects)) == joins


def test_joining_a_binding_needs_the_bind_verb_on_its_role():
    theirs = bind("eve", "cluster-admin")
    change = rule("update", "clusterrolebindings", RBAC)
    for role, joins in (("cluster-admin", True), ("view", False)):
        objects = (*may("a/b", change, rule("bind", "clusterroles", RBAC, role)), theirs)
        assert ("cluster-admin" in reached(A_B, *objects)) == joins


@pytest.mark.parametrize(
    ("rules", "grows"),
    [
        ([("create escalate", "")], True),
        ([("create", "")], False),
        ([("create", ""), ("escalate", "x")], False),
        ([("update escalate", "part")], True),
        ([("update escalate", "absent")], False),
    ],
)
def test_own_aggregated_role_grows_by_a_role_that_it_takes_in(rules, grows):
    writer = may("a/b", *(rule(verbs, "clusterroles", RBAC, names) for verbs, names in rules))
    part = may("nobody", rule("get", "pods"), role="part")
    whole: Object = {
        "kind": "ClusterRole",
        "metadata": {"name": "whole"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-whole": "yes"}}]},
        "rules": [],
    }
    objects = (*writer, *part, whole, bind("a/b", "whole"))
    assert ("cluster-admin" in reached(A_B, *objects)) == grows
    del whole["aggregationRule"]
    if rules != [("create escalate", "")]:
        assert "cluster-admin" not in reached(A_B, *objects)


def test_escalate_on_the_role_of_a_group_counts_too():
    both = may("group:system:serviceaccounts:a", rule("escalate update", "clusterroles", RBAC))
    own = may("a/b", rule("get", "nodes"))
    assert "cluster-admin" in reached(A_B, *both, *own)


def test_role_that_gives_nothing_yet_grows_by_escalate_everywhere():
    """pkg/registry/rbac/role/policybased/storage.go: "escalate" skips the check of a role."""
    everywhere = may("a/b", rule("escalate update", "roles", RBAC))
    harmless = may("a/b", rule("get", "configmaps"), at="n", role="reader")
    boss = pod("n", "boss", "boss")
    assert is_account("n", "boss") in reached(A_B, *everywhere, *harmless, boss)
    assert is_account("n", "boss") not in reached(A_B, *everywhere, boss)
    for names, found in (("reader", True), ("writer", False)):
        named = may("a/b", rule("escalate update", "roles", RBAC, names))
        assert (is_account("n", "boss") in reached(A_B, *named, *harmless, boss)) == found


def test_rights_everywhere_count_with_those_of_a_group_in_a_namespace():
    binds = may("a/b", rule("bind", "clusterroles", RBAC))
    of_group = may("group:system:serviceaccounts", rule("create", "rolebindings", RBAC), at="n")
    boss = pod("n", "boss", "boss")
    assert is_account("n", "boss") in reached(A_B, *binds, *of_group, boss)
    assert is_account("n", "boss") not in reached(A_B, *of_group, boss)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (["create escalate bind", "create rolebindings"], True),
        (["update escalate bind", "patch rolebindings"], True),
        (["create escalate bind"], False),
        (["create bind", "create rolebindings"], False),
        (["create escalate", "create rolebindings"], False),
    ],
)
@pytest.mark.parametrize("at", ["n", ""])
def test_role_that_its_holder_makes_gives_everything_once_bound(rules, found, at):
    """Role-based access control, "Privilege escalation prevention": escalate, bind."""
    verbs, *bindings = rules
    rights = [rule(verbs, "roles", RBAC)]
    for binding in bindings:
        writes, resource = binding.split()
        rights.append(rule(writes, resource, RBAC))
    objects = (*may("a/b", *rights, at=at), pod("n", "boss", "boss"), namespace("n"))
    assert (is_account("n", "boss") in reached(A_B, *objects)) == found


def test_role_that_its_holder_makes_needs_one_name_for_all_verbs():
    for names, found in ((("x", "x"), True), (("x", "y"), False), (("x", ""), True)):
        rules = (
            rule("bind", "roles", RBAC, names[0]),
            rule("escalate", "roles", RBAC, names[1]),
            rule("create", "roles rolebindings", RBAC),
        )
        objects = (*may("a/b", *rules, at="n"), pod("n", "boss", "boss"))
        assert (is_account("n", "boss") in reached(A_B, *objects)) == found


def test_cluster_role_bound_in_a_namespace_grows_there():
    writer = may("a/b", rule("escalate update", "clusterroles", RBAC, "mine"), role="w")
    mine = may("x/y", rule("get", "pods"), role="mine")
    found = reached(A_B, *writer, *mine, bind("a/b", "mine", at="n"))
    assert "everything in n" in found
    assert "cluster-admin" not in found


# -- resourceNames ----------------------------------------------------------------------------


def owned(kind: str, home: str, name: str, **more: Any) -> Object:
    made = pod(home, f"{name}-x", **more)
    made["metadata"]["ownerReferences"] = [{"kind": kind, "name": name}]
    return made


@pytest.mark.parametrize(
    ("resource", "kind", "there"),
    [
        ("daemonsets", "DaemonSet", True),
        ("statefulsets", "StatefulSet", True),
        # a rule is for one kind: another kind may have a workload of that name
        ("deployments", "DaemonSet", False),
    ],
)
def test_named_workload_opens_its_own_namespace_only(resource, kind, there):
    named = may("a/b", rule("patch", resource, "apps", "logger"))
    logger = owned(kind, "n", "logger", token=False)
    objects = (logger, account("n", "inner"), account("m", "outer"), namespace("n", "baseline"))
    found = reached(A_B, *named, *objects)
    assert (is_account("n", "inner") in found) == there
    assert is_account("m", "outer") not in found


def test_named_workload_that_is_not_in_the_dump_is_possible_and_is_told():
    named = may("a/b", rule("update", "deployments", "apps", "gone"), role="r")
    objects = (*named, account("n", "inner"), owned("DaemonSet", "n", "logger"))
    assert reached(A_B, *objects) == {A_B}
    [said] = [str(it) for it in dump_of(*objects).unknowns if "Deployment gone" in str(it)]
    assert "which deployments would say" in said
    [step] = [it for it in object_steps(dump_of(*objects)) if it.name == "change-workload"]
    assert step.unknown == "whether there is a Deployment gone: none is in the dump"
    # a dump that lists them leaves nothing open
    other = {"kind": "Deployment", "metadata": {"name": "other", "namespace": "n"}}
    assert not [it for it in dump_of(*objects, other).unknowns if "gone" in str(it)]
    steps = object_steps(dump_of(*objects, other))
    assert not [it for it in steps if it.name == "change-workload"]
    without_pods = {"kind": "Deployment", "metadata": {"name": "gone", "namespace": "n"}}
    assert is_account("n", "inner") in reached(A_B, *objects, without_pods)


@pytest.mark.parametrize(
    ("rules", "makes"),
    [
        ([("get", "redis")], False),
        ([("get", "free")], True),
        ([("list", "redis")], False),
        ([("watch", "")], True),
        ([("get delete", "redis")], True),
        ([("get", "redis"), ("delete", "")], True),
        # what is deleted in the foreground is the answer: apiserver, registry/store.go, Delete
        ([("get", "redis"), ("delete", "x")], True),
        # a rule with names allows no deletion of all of them: the RBAC reference
        ([("deletecollection", "redis")], False),
    ],
)
def test_secret_of_ones_making_needs_a_name_that_is_free_and_readable(rules, makes):
    reading = (rule(verbs, "secrets", names=names) for verbs, names in rules)
    maker = may("a/b", rule("create", "secrets"), *reading, at="n")
    objects = (*maker, account("n", "rich"), secret("n", "redis"))
    assert (is_account("n", "rich") in reached(A_B, *objects)) == makes


def test_create_with_a_name_makes_no_secret():
    maker = may("a/b", rule("create", "secrets", names="s"), rule("get", "secrets"), at="n")
    assert is_account("n", "rich") not in reached(A_B, *maker, account("n", "rich"))


def test_secrets_that_the_dump_lacks_may_hold_tokens():
    objects = (*may("a/b", rule("list", "secrets"), at="n"), account("n", "rich"))
    assert "which secrets of n hold a token" in possible(A_B, *objects)[is_account("n", "rich")]
    assert is_account("n", "rich") not in possible(A_B, *objects, secret("m", "plain"))


def test_debugging_a_named_pod_is_root_on_its_node_where_privileged_pods_are_let_in():
    named = may("a/b", rule("patch", "pods/ephemeralcontainers", names="web"), at="n")
    objects = (*named, pod("n", "web", on="w2", token=False), pod("n", "other", on="w3"))
    for level, expected in (("", True), ("baseline", False)):
        found = reached(A_B, *objects, namespace("n", level))
        assert ("root on w2" in found) == expected
        assert "root on w3" not in found


# -- a volume of their own --------------------------------------------------------------------

VOLUMES = rule("create", "persistentvolumes")


@pytest.mark.parametrize(
    ("resource", "group"), [("pods", ""), ("statefulsets", "apps"), ("jobs", "batch")]
)
def test_volume_of_ones_own_passes_baseline(resource, group):
    starts = may("a/b", rule("create", resource, group), at="n")
    objects = (node("worker1"), namespace("n", "baseline"), *starts)
    assert "root on worker1" not in reached(A_B, *objects)
    assert "root on worker1" in reached(A_B, *objects, *may("a/b", VOLUMES))
    # no RoleBinding gives a volume
    assert "root on worker1" not in reached(A_B, *objects, *may("a/b", VOLUMES, at="n"))
    assert "root on worker1" not in reached(A_B, node("worker1"), *may("a/b", VOLUMES))


def test_volume_of_ones_own_under_restricted_depends_on_the_groups_of_a_socket():
    both = (*may("a/b", rule("create", "pods"), at="n"), *may("a/b", VOLUMES))
    objects = (node("worker1"), namespace("n", "restricted"), *both)
    assert "root on worker1" not in reached(A_B, *objects)
    assert "socket" in possible(A_B, *objects)["root on worker1"]


# -- bootstrap tokens -------------------------------------------------------------------------

GROUP = "system:bootstrappers:kubeadm:default-node-token"
AUTHENTICATES = {"usage_bootstrap_authentication": "true"}
READER = may("a/b", rule("get", "secrets"), at="kube-system")
W1 = "is system:node:worker1"


def bootstrap_token(home: str = "kube-system", **data: str) -> Object:
    made = secret(home, "bootstrap-token-abcdef")
    made["type"] = "bootstrap.kubernetes.io/token"
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    made["data"] = {key.replace("_", "-"): value for key, value in encoded.items()}
    return made


def kubeadm(group: str = GROUP) -> tuple[Object, ...]:
    requests = "certificatesigningrequests"
    return (
        *may(f"group:{group}", rule("create get", requests, CERTIFICATES)),
        *may(f"group:{group}", rule("create", f"{requests}/nodeclient", CERTIFICATES)),
    )


def test_bootstrap_token_becomes_any_node():
    objects = (*READER, *kubeadm(), node("worker1"), pod("n", "web", "rich", token=False))
    assert W1 not in reached(A_B, *objects)
    found = reached(A_B, *objects, bootstrap_token())
    assert {"is system:bootstrap:abcdef", W1, is_account("n", "rich")} <= found
    # elsewhere, it is a secret like any other
    assert W1 not in reached(A_B, *objects, bootstrap_token("n"))


def test_approval_by_hand_keeps_a_bootstrap_token_from_becoming_a_node():
    objects = (*READER, *kubeadm()[:2], node("worker1"), bootstrap_token())
    assert W1 not in reached(A_B, *objects)


@pytest.mark.parametrize(
    ("data", "becomes"),
    [
        ({**AUTHENTICATES, "auth_extra_groups": GROUP}, True),
        ({**AUTHENTICATES, "auth_extra_groups": "system:bootstrappers:x"}, False),
        (AUTHENTICATES, False),
        ({"usage_bootstrap_signing": "true", "auth_extra_groups": GROUP}, False),
    ],
)
def test_bootstrap_token_has_the_groups_and_usages_of_its_secret(data, becomes):
    objects = (*READER, *kubeadm(), node("worker1"), bootstrap_token(**data))
    assert (W1 in reached(A_B, *objects)) == becomes
    assert W1 not in possible(A_B, *objects)


def test_unknown_groups_of_a_bootstrap_token_are_possible():
    objects = (*READER, *kubeadm("system:bootstrappers:ops"), node("worker1"), bootstrap_token())
    assert W1 not in reached(A_B, *objects)
    assert "system:bootstrappers:ops" in possible(A_B, *objects)[W1]


@pytest.mark.parametrize(
    ("command", "takes"),
    [
        ((KUBE,), False),
        ((KUBE, "--enable-bootstrap-token-auth=true"), True),
        ((KUBE, "--enable-bootstrap-token-auth"), True),
        (("sh", "-c", f"exec {KUBE} --enable-bootstrap-token-auth"), True),
        (("sh", "-c", f"exec {KUBE} $FLAGS"), True),
        (("/start.sh",), True),
    ],
)
def test_apiserver_without_bootstrap_tokens_takes_none(command, takes):
    objects = (*READER, *kubeadm(), node("worker1"), bootstrap_token(), apiserver(*command))
    assert (W1 in reached(A_B, *objects)) == takes


# -- what the flags of apiservers' pods say ---------------------------------------------------


def test_one_of_several_apiservers_lets_anonymous_callers_in():
    closed, silent = apiserver(KUBE, "--anonymous-auth=false"), apiserver(KUBE, name="cp2")
    assert dump_of(closed).anonymous is False
    assert dump_of(closed, silent).anonymous is True  # the flag's default lets them in
    other = apiserver(KUBE, "--anonymous-auth=true", name="cp2")
    assert dump_of(closed, other).anonymous is True


@pytest.mark.parametrize(
    ("command", "off"),
    [
        ((KUBE, "--disable-admission-plugins", "A,PodSecurity"), True),
        ((KUBE, "--disable_admission_plugins=PodSecurity"), True),
        (("sh", "-c", f"{KUBE} --disable-admission-plugins=PodSecurity"), True),
        (("/start.sh",), None),
        ((KUBE,), False),
    ],
)
def test_admission_plugins_are_off_however_the_flag_is_written(command, off):
    assert dump_of(apiserver(*command)).admission.is_off("PodSecurity") is off


@pytest.mark.parametrize(
    ("tag", "gates", "value"),
    [
        ("v1.36.0", "", "none"),
        ("v1.36.0", "AuthorizePodWebsocketUpgradeCreatePermission=false", "known"),
        ("v1.36.0", "AllBeta=false", "possible"),
        ("v1.36.0", "AllAlpha=true", "none"),
        ("v1.34.0", "AllBeta=true", "known"),
    ],
)
def test_gate_of_the_apiserver_decides_what_get_on_pods_exec_gives(tag, gates, value):
    """kube_features.go: beta and on since 1.35, so it can be switched off."""
    flags = (f"--feature-gates={gates}",) if gates else ()
    rights = may("a/b", rule("get", "pods/exec"), at="n")
    objects = (*rights, pod("n", "web"), node("x"), apiserver(KUBE, *flags, tag=tag))
    known = "inside pod n/web" in reached(A_B, *objects)
    maybe = "inside pod n/web" in possible(A_B, *objects)
    assert (known, maybe and not known) == (value == "known", value == "possible")


@pytest.mark.parametrize(
    ("version", "value"),
    [("v1.37.0", "none"), ("v1.33.0", "none"), ("v1.32.9", "possible"), ("", "possible")],
)
def test_kubelet_without_user_namespaces_may_ignore_host_users(version, value):
    held = pod("a", "x", token=False, security={"privileged": True}, hostUsers=False)
    objects = (held, node("worker1", version))
    [group] = dump_of(*objects).pods
    start = f"inside pod {group.id}"
    known = "root on worker1" in reached(start, *objects)
    maybe = "root on worker1" in possible(start, *objects)
    assert (known, maybe and not known) == (value == "known", value == "possible")


# -- nodes ------------------------------------------------------------------------------------


def test_root_on_a_node_who_taints_others_draws_their_pods():
    csi = pod("n", "csi", "csi", on="w1", security={"privileged": True})
    start, rich = "inside pod n/csi on w1", is_account("m", "rich")
    deployed = owned("StatefulSet", "m", "prov", account="rich", on="w2")
    nodes, changes = (node("w1"), node("w2"), csi), may("n/csi", rule("patch", "nodes"))
    assert rich in reached(start, *nodes, *changes, deployed)
    assert rich not in reached(start, *nodes, deployed)
    # the token without the node draws nothing
    assert rich not in reached(is_account("n", "csi"), *nodes, *changes, deployed)
    stays = owned("DaemonSet", "m", "agent", account="rich", on="w2")
    assert rich not in reached(start, *nodes, *changes, stays)
    assert rich not in possible(start, *nodes, *changes, stays)
    bare = pod("m", "prov", "rich", on="w2")
    assert "something makes m/prov again" in possible(start, *nodes, *changes, bare)[rich]


@pytest.mark.parametrize(
    ("resource", "verb", "at", "found"),
    [
        ("pods/binding", "create", "", "possible"),
        ("bindings", "create", "", "possible"),
        ("pods/binding", "create", "m", "possible"),
        ("pods/binding", "create", "n", "none"),
        ("pods/binding", "get", "", "none"),
        ("pods/status", "create", "", "none"),
    ],
)
def test_root_on_a_node_who_binds_pods_may_draw_them(resource, verb, at, found):
    """The Pod API, "Binding": the scheduler binds a pod that has no node; others may as well.

    A kubelet has tokens made for the pods of its node: Node authorization.
    """
    scheduler = pod("n", "plan", "plan", on="w1", security={"privileged": True})
    others = (node("w1"), node("w2"), pod("m", "prov", "rich", on="w2", token=False))
    rights = may("n/plan", rule(verb, resource), at=at)
    rich = is_account("m", "rich")
    held = possible("inside pod n/plan on w1", scheduler, *others, *rights)
    assert ("possible" if rich in held else "none") == found
    assert rich not in reached("inside pod n/plan on w1", scheduler, *others, *rights)
    # the token without a node draws nothing
    assert rich not in possible(is_account("n", "plan"), *others, *rights)


@pytest.mark.parametrize(
    ("verbs", "group", "resource", "found"),
    [
        # "Kubernetes API Aggregation Layer": the apiserver proxies a group to the server that an
        # APIService names, and nobody else answers for it
        ("create", "apiregistration.k8s.io", "apiservices", "possible"),
        ("patch", "apiregistration.k8s.io", "apiservices", "possible"),
        ("update", "apiregistration.k8s.io", "apiservices", "possible"),
        ("get list delete", "apiregistration.k8s.io", "apiservices", "none"),
        ("patch", "apiregistration.k8s.io", "apiservices/status", "none"),
        # "Versions in CustomResourceDefinitions": a conversion webhook gets every object that is
        # stored in another version, and returns what the client gets
        ("create", "apiextensions.k8s.io", "customresourcedefinitions", "possible"),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions", "possible"),
        ("delete", "apiextensions.k8s.io", "customresourcedefinitions", "none"),
        ("patch", "example.org", "customresourcedefinitions", "none"),
        # a validating policy refuses requests, and gives its owner nothing
        ("create patch", ADMISSION, "validatingadmissionpolicies", "none"),
    ],
)
def test_who_answers_for_a_group_or_converts_objects_may_command_controllers(
    verbs, group, resource, found
):
    rights = may("a/b", rule(verbs, resource, group))
    assert value("cluster-admin", *rights, *BOSS) == found
    # what is in no namespace is not given by a RoleBinding
    assert (
        value("cluster-admin", *may("a/b", rule(verbs, resource, group), at="n"), *BOSS) == "none"
    )


@pytest.mark.parametrize(
    ("verb", "names", "found"),
    [
        # the API reference, Secret: the answer to a patch is the Secret, to an update what was sent
        ("patch", "", "known"),
        ("patch", "t", "known"),
        ("patch", "other", "none"),
        ("update", "", "none"),
        ("create", "", "none"),
        # apiserver, registry/generic/registry/store.go, Delete and DeleteCollection: with a
        # finalizer, which a deletion in the foreground adds, the object; the deleted objects
        ("delete", "", "known"),
        ("delete", "t", "known"),
        ("deletecollection", "", "known"),
        # these requests have no name: a rule with names does not allow them
        ("deletecollection", "t", "none"),
    ],
)
def test_answers_to_writes_hold_secrets(verb, names, found):
    rights = may("a/b", rule(verb, "secrets", names=names), at="n")
    objects = (secret("n", "t", of="boss"), *rights, *BOSS)
    assert value(is_account("n", "boss"), *objects) == found


def test_links_in_the_logs_of_a_node_are_read_by_its_kubelet():
    logs: Object = {"host_paths": ("/var/log",)}
    for resource, names, more, reads in (
        ("nodes/log", "", logs, True),
        ("nodes/proxy", "", {"host_paths": ("/var/log/app",)}, True),
        ("nodes/log", "w2", logs, False),
        ("nodes/metrics", "", logs, False),
        ("nodes/log", "", {**logs, "read_only": True}, False),
        # a link of root in a user namespace is the node's root's (KEP-127: mapped mounts)
        ("nodes/log", "", {**logs, "hostUsers": False}, True),
        ("nodes/log", "", {**logs, "securityContext": {"runAsUser": 5}}, False),
        ("nodes/log", "", {**logs, "token": False}, False),
    ):
        held = pod("n", "web", "web", **more)
        objects = (held, *may("n/web", rule("get", resource, names=names)), node("worker1"))
        [group] = dump_of(*objects).pods
        found = reached(f"inside pod {group.id}", *objects)
        assert (W1 in found) == reads, (resource, names, more)


# -- impersonation, webhooks and controllers --------------------------------------------------

BOSS = (pod("n", "boss", "boss"), *may("n/boss", rule("*", "*", "*")))
AUTHN = "authentication.k8s.io"


def value(goal: str, *objects: Object) -> str:
    """Say whether a/b reaches a goal: "known", "possible" or "none"."""
    if goal in reached(A_B, *objects):
        return "known"
    return "possible" if goal in possible(A_B, *objects) else "none"


def test_group_of_nodes_beside_a_user_makes_a_kubelet():
    """plugin/pkg/auth/authorizer/node: the name of a node's user, and the group system:nodes."""
    group = rule("impersonate", "groups", names="system:nodes")
    worker = node("worker1")
    for users, found in (("", True), ("system:node:worker1", True), ("system:node:other", False)):
        rights = may("a/b", rule("impersonate", "users", names=users), group)
        assert (is_account("n", "boss") in reached(A_B, *rights, worker, *BOSS)) == found
    alone = may("a/b", rule("impersonate", "users"))
    assert is_account("n", "boss") not in reached(A_B, *alone, worker, *BOSS)


@pytest.mark.parametrize(
    ("verb", "resource", "version", "found"),
    [
        ("impersonate:serviceaccount", "serviceaccounts", "v1.36.0", "possible"),
        ("impersonate:user-info", "groups", "v1.36.0", "possible"),
        ("impersonate:associated-node", "nodes", "v1.35.0", "possible"),
        ("impersonate:arbitrary-node", "nodes", "v1.34.0", "none"),
        ("impersonate:serviceaccount", "serviceaccounts", "v1.34.0", "none"),
        ("impersonate:scheduled-node", "nodes", "v1.36.0", "none"),
    ],
)
def test_constrained_impersonation_may_give_what_another_may_do(verb, resource, version, found):
    """KEP-5284: alpha in 1.35, on by default since 1.36; ``impersonate-on`` says for what."""
    rights = may("a/b", rule(verb, resource, AUTHN), rule("impersonate-on:x:get", "secrets"))
    objects = (*rights, node("worker1", version), apiserver(KUBE, tag=version), *BOSS)
    assert value("cluster-admin", *objects) == found


def test_validating_webhook_is_sent_what_is_written():
    """https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/"""
    home = (secret("n", "t", of="boss"), *BOSS)
    for verbs, found in (("create", "possible"), ("patch", "possible"), ("delete", "none")):
        rights = may("a/b", rule(verbs, "validatingwebhookconfigurations", ADMISSION))
        assert value(is_account("n", "boss"), *rights, *home) == found


@pytest.mark.parametrize(
    ("verbs", "group", "resource", "at", "found"),
    [
        ("create", "argoproj.io", "applications", "", "possible"),
        ("patch", "argoproj.io", "applications", "n", "possible"),
        ("get list", "argoproj.io", "applications", "", "none"),
        ("create", "argoproj.io", "workflows", "n", "possible"),
        ("create", "helm.cattle.io", "helmcharts", "", "possible"),
        ("update", "operators.coreos.com", "subscriptions", "", "possible"),
        ("create", "tekton.dev", "taskruns", "n", "possible"),
        ("create", "example.org", "taskruns", "n", "none"),
    ],
)
def test_controllers_act_for_those_who_may_ask_them(verbs, group, resource, at, found):
    """Each controller's own pages on security: see ``CONTROLLERS``."""
    rights = may("a/b", rule(verbs, resource, group), at=at)
    assert value("cluster-admin", *rights, *BOSS) == found


# -- mutating admission -----------------------------------------------------------------------

POLICIES, POLICY_BINDINGS = "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"


@pytest.mark.parametrize(
    ("verbs", "resources", "version", "value"),
    [
        ("create", f"{POLICIES} {POLICY_BINDINGS}", "v1.36.0", "known"),
        ("create", f"{POLICIES} {POLICY_BINDINGS}", "v1.34.2", "possible"),
        # behind a gate since 1.32, and the apiserver is up to three versions ahead of the kubelet
        ("create", f"{POLICIES} {POLICY_BINDINGS}", "v1.29.0", "possible"),
        ("create", f"{POLICIES} {POLICY_BINDINGS}", "v1.28.0", "none"),
        ("create", POLICIES, "v1.37.0", "none"),
        ("create", POLICY_BINDINGS, "v1.37.0", "none"),
        ("update", POLICIES, "v1.37.0", "possible"),
        ("create", "mutatingwebhookconfigurations", "v1.30.0", "known"),
        ("patch", "mutatingwebhookconfigurations", "v1.30.0", "possible"),
    ],
)
def test_mutating_admission_of_ones_own_changes_every_pod(verbs, resources, version, value):
    objects = (*may("a/b", rule(verbs, resources, ADMISSION)), node("worker1", version))
    known = "root on worker1" in reached(A_B, *objects)
    maybe = "root on worker1" in possible(A_B, *objects)
    assert (known, maybe) == (value == "known", value == "possible")


# -- paths, ports and tokens of pods ----------------------------------------------------------


def from_inside(held: Object, *objects: Object) -> tuple[set[str], dict[str, str]]:
    every = (held, *objects)
    group = next(it for it in dump_of(*every).pods if held["metadata"]["name"] in it.pods)
    start = f"inside pod {group.id}"
    return reached(start, *every), possible(start, *every)


@pytest.mark.parametrize(
    ("path", "read_only"),
    [
        ("/etc/cron.hourly", False),
        ("/etc/cron.weekly/backup", False),
        ("/etc/crontab", False),
        ("/run/systemd", False),
        ("/run/systemd/private", True),
        ("/var/run/dbus/system_bus_socket", True),
        ("/run/dbus", True),
        ("/run/k0s/containerd.sock", True),
        ("/var/snap/microk8s/common/run", True),
        ("/var/lib/rancher", False),
        ("/etc/profile.d", False),
        ("/usr/libexec/kubernetes/kubelet-plugins/volume/exec", False),
        ("/root/.ssh", False),
    ],
)
def test_path_of_the_node_gives_root(path, read_only):
    found, _ = from_inside(pod("n", "x", token=False, host_paths=(path,), read_only=read_only))
    assert "root on worker1" in found


@pytest.mark.parametrize(
    "path",
    [
        "/etc/rancher/k3s",
        "/var/lib/rancher/rke2/server/tls",
        "/var/lib/k0s/pki",
        "/etc/kubernetes/ssl",
        "/etc/ssl/etcd/ssl",
        "/var/snap/microk8s/current/credentials/client.config",
        "/root/.kube",
        "/home",
        "/home/ops/.kube/config",
    ],
)
def test_keys_of_a_distribution_are_known_on_a_control_plane_and_possible_elsewhere(path):
    held = pod("n", "x", token=False, host_paths=(path,), read_only=True)
    found, maybe = from_inside(held, node("worker1"))
    assert "cluster-admin" not in found
    assert maybe["cluster-admin"].startswith("whether ")
    found, maybe = from_inside(held, node("worker1", control_plane=True))
    people = path.startswith(("/root", "/home"))
    assert ("cluster-admin" in found, "cluster-admin" in maybe) == (not people, people)


@pytest.mark.parametrize(
    "path", ["/var/snap", "/srv", "/var/log", "/data", "/etc/ssl", "/etc/ssl/certs", "/var/cache"]
)
def test_folder_above_those_of_distributions_says_nothing_of_them(path):
    held = pod("n", "x", token=False, host_paths=(path,), read_only=True)
    found, maybe = from_inside(held, node("worker1"))
    assert not {"cluster-admin", "root on worker1"} & {*found, *maybe}


def test_writable_home_may_give_the_node():
    _, maybe = from_inside(pod("n", "x", token=False, host_paths=("/home/ops",)))
    assert "whether a kubeconfig" in maybe["root on worker1"]


@pytest.mark.parametrize(
    ("of_pod", "path", "maybe"),
    [
        ({"runAsUser": 1000, "supplementalGroups": [999]}, "/var/run/docker.sock", True),
        ({"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 998}, "/run", True),
        # the main group is 0 where neither the pod nor its image names one
        ({"runAsUser": 1000}, "/run/containerd/containerd.sock", True),
        ({"runAsUser": 1000, "supplementalGroups": [999]}, "/run/systemd/private", False),
        ({"runAsUser": 1000, "supplementalGroups": [999]}, "/data", False),
    ],
)
def test_group_may_open_the_socket_of_a_runtime(of_pod, path, maybe):
    held = pod("n", "x", token=False, host_paths=(path,), securityContext=of_pod)
    found, unknown = from_inside(held)
    assert "root on worker1" not in found
    assert ("root on worker1" in unknown) == maybe


@pytest.mark.parametrize(
    ("path", "volume", "token"),
    [
        ("/var/run/secrets/kubernetes.io/serviceaccount", "secret", True),
        ("/run/secrets/kubernetes.io/serviceaccount/", "secret", True),
        ("/etc/tls", "secret", False),
        ("/var/run/secrets/kubernetes.io/serviceaccount", "emptyDir", False),
    ],
)
def test_secret_at_the_place_of_the_token_is_one(path, volume, token):
    held = pod("n", "x", "web", token=False)
    held["spec"]["volumes"] = [{"name": "t", volume: {"secretName": "web-token-abcde"}}]
    held["spec"]["containers"][0]["volumeMounts"] = [{"name": "t", "mountPath": path}]
    found, _ = from_inside(held)
    assert (is_account("n", "web") in found) == token


@pytest.mark.parametrize(
    ("port", "spec", "value"),
    [
        ({"hostPort": 8080}, {}, "known"),
        ({}, {}, "none"),
        ({"hostPort": 80, "hostIP": "127.0.0.1"}, {}, "none"),
        ({"hostPort": 80}, {"hostNetwork": True}, "possible"),
    ],
)
def test_port_of_the_node_is_a_way_in(port, spec, value):
    held = pod("n", "web", token=False, **spec)
    held["spec"]["containers"][0]["ports"] = [{"containerPort": 80, **port}]
    inside, outside = "inside pod n/web", "outside the cluster"
    known, maybe = inside in reached(outside, held), inside in possible(outside, held)
    assert (known, maybe) == (value == "known", value == "possible")


def test_network_policy_closes_a_port_of_the_node():
    held = pod("n", "web", token=False)
    held["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    policy = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "n"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    assert "inside pod n/web" not in reached("outside the cluster", held, policy)


def test_path_that_depends_on_something_unknown_is_an_unknown_finding():
    held = pod("n", "x", token=False, host_paths=("/etc/rancher/k3s",), read_only=True)
    [found] = find_threats(model_of_dump(dump_of(held, node("worker1"))))
    assert (found.rule, found.state) == ("pod-to-cluster-admin", "unknown")
    assert "to find out: whether Node worker1 runs a control plane" in found.explanation


# -- the whole --------------------------------------------------------------------------------


def test_every_step_has_a_reason_and_an_attack_technique():
    objects = (
        node("master", control_plane=True),
        namespace("n"),
        pod("n", "web", "web", host_paths=("/run/docker.sock",)),
        secret("n", "token", of="web"),
        *may("n/web", rule("*", "*", "*"), at="n"),
        *may("eve", rule("*", "pods pods/exec secrets nodes/proxy serviceaccounts/token users")),
    )
    steps = object_steps(dump_of(*objects))
    assert {"runtime-socket", "mounted-token", "exec"} <= {step.name for step in steps}
    for step in steps:
        membership = step.name in {"group-membership", "any-namespace", "any-request"}
        assert step.cost > 0
        attack = STEP_KINDS[step.name].attack
        assert membership or attack or step.cost == MEMBERSHIP, step
        if step.cost > MEMBERSHIP:
            assert step.because, step


def test_no_value_of_a_secret_is_kept():
    dump = dump_of(secret("n", "token", of="web"))
    assert "aHVudGVyMg==" not in repr((dump.secrets, dump.unknowns, dump))


def test_paths_to_equals_the_cheapest_path_from_each_start():
    objects = (
        node("master", control_plane=True),
        pod("n", "web", "web"),
        pod("n", "agent", on="master", security={"privileged": True}),
        *may("n/web", rule("create", "pods/exec")),
    )
    graph = attack_graph(object_steps(dump_of(*objects)))
    paths = paths_to(graph, ADMIN)
    for start, path in paths.items():
        assert cost(path) == pytest.approx(cost(close(graph, start)[ADMIN]))
        assert not path or (path[0].foothold, ADMIN in path[-1].grants) == (start, True)
    assert set(paths) == {s for s in graph if ADMIN in close(graph, s)}
    assert Foothold("pod", "n/web") in paths
    assert paths_to(graph, Foothold("is", "nobody")) == {}


def test_number_of_steps_is_linear_in_the_objects():
    def count(size: int) -> int:
        readers = [o for n in range(size) for o in may(f"n/r{n}", rule("create", "pods/exec"))]
        pods = [pod(f"n{n}", "web", f"a{n}") for n in range(size)]
        return sum(len(step.grants) for step in object_steps(dump_of(*readers, *pods)))

    small, large = count(20), count(80)
    assert large < 4.5 * small


@pytest.mark.parametrize("word", ["pod:n/web", "inside pod n/web", "pod:n/web-1 on w1"])
def test_pod_is_found_by_its_names(word):
    pods = [pod("n", "web-1", on="w1")]
    pods[0]["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web"}]
    model = model_of_dump(dump_of(*pods))
    assert model.dump is not None
    ids = {group.id for group in model.dump.pods}
    if word.endswith("on w1"):
        word = f"pod:{next(iter(ids))}"
    assert find_foothold(model, word).where in ids
    assert not attack_paths(model, word, "admin"), "a pod that leads nowhere is known"


def test_name_of_pods_on_two_nodes_is_refused():
    security = {"privileged": True}
    pods = [pod("n", f"web-{n}", on=f"w{n}", security=security) for n in (1, 2)]
    for each in pods:
        each["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "web"}]
    model = model_of_dump(dump_of(*pods))
    assert model.dump is not None
    with pytest.raises(ConfigError, match="no foothold or goal 'pod:n/web'"):
        find_foothold(model, "pod:n/web")
    assert find_foothold(model, "pod:n/web-1").where in {it.id for it in model.dump.pods}
