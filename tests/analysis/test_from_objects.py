"""Paths through pods, nodes and RBAC, on small clusters written as kubectl shows them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from labkit.analysis import (
    attack_graph,
    attack_paths,
    close,
    cost,
    find_foothold,
    object_steps,
    paths_to,
)
from labkit.analysis.attack_graph.from_objects.builder import MEMBERSHIP
from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.cluster import Dump
from labkit.cluster.objects.reader import Builder
from labkit.errors import ConfigError
from labkit.model import Foothold, model_of_dump, parse_foothold
from labkit.model.footholds import ADMIN

Object = dict[str, Any]
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    for item in objects:
        builder.add(item, item["kind"], "dump.json")
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


def node(name: str, version: str = "v1.37.0", control_plane: bool = False) -> Object:
    labels = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    status = {"nodeInfo": {"kubeletVersion": version}}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


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
    ("version", "enters"), [("v1.34.9", True), ("v1.35.0", False), ("v1.37.2", False)]
)
def test_get_on_pods_exec_enters_pods_before_135(version, enters):
    objects = (*may("a/b", rule("get", "pods/exec"), at="n"), pod("n", "web"), node("x", version))
    assert ("inside pod n/web" in reached(is_account("a", "b"), *objects)) == enters


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
