"""Steps that a webhook or an admission policy may refuse: possible, neither certain nor closed.

Which requests a webhook sees is in Kubernetes' documentation, "Dynamic Admission Control" and
"Validating Admission Policy", and in its source (apiserver/pkg/admission/plugin).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import attack_paths, find_threats, object_steps
from labkit.analysis.attack_graph.steps import known_and_possible
from labkit.cluster import Dump
from labkit.cluster.objects.reader import Builder, read_dump
from labkit.loading import load_model
from labkit.model import Foothold, model_of_dump
from labkit.model.footholds import ADMIN

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]
APISERVER = ["kube-apiserver", "--authorization-mode=Node,RBAC"]
KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
WHO = "system:serviceaccount:shop:till"
TILL = Foothold("is", WHO)
KUBELET = Foothold("is", "system:node:worker1")
#: Where each right leads in the cluster below.
ROOT, OTHER = Foothold("root", "worker1"), Foothold("is", "system:serviceaccount:ops:agent")


def may(*rules: Object, at: str = "") -> tuple[Object, Object]:
    kind, place = ("Role", {"namespace": at}) if at else ("ClusterRole", {})
    head = {"metadata": {"name": "clerk", **place}}
    subject = {"kind": "ServiceAccount", "namespace": "shop", "name": "till"}
    return (
        {**head, "kind": kind, "rules": list(rules)},
        {
            **head,
            "kind": f"{kind}Binding",
            "roleRef": {"kind": kind, "name": "clerk"},
            "subjects": [subject],
        },
    )


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Object:
    made: Object = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": names.split()} if names else made


def sees(operations: str, resources: str, group: str = "*") -> Object:
    return {
        "operations": operations.split(),
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": resources.split(),
    }


def webhook(*rules: Object, **more: Any) -> Object:
    return {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "gatekeeper"},
        "webhooks": [{"name": "check.example.com", "rules": list(rules), **more}],
    }


def policy(*rules: Object) -> Object:
    return {
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "strict"},
        "spec": {"matchConstraints": {"resourceRules": list(rules)}},
    }


def binding(*actions: str, of: str = "strict") -> Object:
    return {
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "everywhere"},
        "spec": {"policyName": of, "validationActions": list(actions)},
    }


def namespace(name: str, **labels: str) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


AGENT = {
    "kind": "Pod",
    "metadata": {"name": "agent-1", "namespace": "ops", "uid": "1"},
    "spec": {
        "serviceAccountName": "agent",
        "nodeName": "worker1",
        "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {}}]}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "t"}]}],
    },
}
NODE = {"kind": "Node", "metadata": {"name": "worker1"}}
CLUSTER = (
    NODE,
    namespace("shop"),
    namespace("ops", team="a"),
    AGENT,
    {"kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "ops"}},
    {
        "kind": "Role",
        "metadata": {"name": "owner", "namespace": "ops"},
        "rules": [rule("*", "*", "*")],
    },
)


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    for item in (*CLUSTER, *objects):
        builder.add(item, item["kind"], "dump.json")
    # without a binding that a test does not name
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return builder.finish()


def reach(goal: Foothold, *objects: Object) -> str:
    """Return "known", "possible" or "closed" for the way from the account to a goal."""
    import networkx as nx

    known, possible = known_and_possible(object_steps(dump_of(*objects)))
    for word, graph in (("known", known), ("possible", possible)):
        if TILL in graph and goal in graph and nx.has_path(graph, TILL, goal):
            return word
    return "closed"


def csr(*extra: Object) -> tuple[Object, ...]:
    return may(
        rule("create", "certificatesigningrequests", CERTIFICATES),
        rule("update", "certificatesigningrequests/approval", CERTIFICATES),
        rule("approve", "signers", CERTIFICATES),
        *extra,
    )


POLICIES = (*may(rule("create", "pods"), at="ops"), policy(sees("CREATE", "pods")))
BINDING = (rule("bind", "clusterroles", RBAC), rule("create", "clusterrolebindings", RBAC))
VOLUMES = (rule("create", "pods persistentvolumes"),)


@pytest.mark.parametrize(
    ("rights", "goal", "seen", "unseen"),
    [
        (may(rule("create", "pods"), at="ops"), ROOT, ("CREATE", "pods"), ("CONNECT", "pods/exec")),
        (may(rule("create", "pods"), at="ops"), OTHER, ("CREATE", "*/*"), ("CREATE", "*/exec")),
        (may(rule("create", "pods")), ROOT, ("CREATE", "pods"), ("DELETE", "pods")),
        # one who starts pods by a workload meets what is for pods, and what is for the workload
        (
            may(rule("create", "jobs", "batch"), at="ops"),
            ROOT,
            ("CREATE", "pods"),
            ("CREATE", "deployments"),
        ),
        (may(rule("create", "jobs", "batch")), ROOT, ("CREATE", "jobs"), ("UPDATE", "jobs")),
        (
            may(rule("patch", "deployments", "apps"), at="ops"),
            ROOT,
            ("UPDATE", "deployments"),
            ("CREATE", "deployments"),
        ),
        (may(rule("update", "pods"), at="ops"), OTHER, ("UPDATE", "pods"), ("CREATE", "pods")),
        (may(rule("create", "pods/exec"), at="ops"), OTHER, ("CONNECT", "*/*"), ("CREATE", "*/*")),
        (may(rule("create", "pods/attach")), OTHER, ("CONNECT", "pods/attach"), ("*", "pods")),
        (
            may(rule("patch", "pods/ephemeralcontainers"), at="ops"),
            ROOT,
            ("UPDATE", "pods/ephemeralcontainers"),
            ("CREATE", "pods"),
        ),
        (
            may(rule("create", "serviceaccounts/token")),
            OTHER,
            ("CREATE", "serviceaccounts/*"),
            ("CREATE", "serviceaccounts"),
        ),
        (
            may(rule("create list", "secrets"), at="ops"),
            OTHER,
            ("CREATE", "secrets"),
            ("DELETE", "secrets"),
        ),
        (may(*BINDING), ADMIN, ("CREATE", "clusterrolebindings"), ("CREATE", "rolebindings")),
        (csr(), ADMIN, ("UPDATE", "certificatesigningrequests/*"), ("CREATE", "pods")),
        (csr(), ADMIN, ("CREATE", "certificatesigningrequests"), ("UPDATE", "*")),
        # what controllers send in turn passes admission as well
        (csr(), ADMIN, ("UPDATE", "certificatesigningrequests/status"), ("DELETE", "*/*")),
        (
            may(
                rule("create", "certificatesigningrequests", CERTIFICATES),
                rule("create", "certificatesigningrequests/nodeclient", CERTIFICATES),
            ),
            KUBELET,
            ("UPDATE", "certificatesigningrequests/approval"),
            ("UPDATE", "certificatesigningrequests"),
        ),
        (
            may(rule("create list", "secrets"), at="ops"),
            OTHER,
            ("UPDATE", "secrets"),
            ("UPDATE", "*/status"),
        ),
        (
            may(rule("create", "deployments", "apps"), at="ops"),
            ROOT,
            ("CREATE", "replicasets"),
            ("CREATE", "jobs"),
        ),
        (
            may(rule("create", "cronjobs", "batch")),
            ROOT,
            ("CREATE", "jobs"),
            ("CREATE", "replicasets"),
        ),
        (
            may(rule("create", "pods"), rule("patch", "namespaces")),
            ROOT,
            ("CREATE", "pods"),
            ("DELETE", "*/*"),
        ),
        # everything in a namespace; its accounts can be impersonated, which no webhook sees
        (may(rule("*", "*", "*"), at="ops"), ROOT, ("*", "*/*"), ("*", "configmaps")),
        (may(rule("*", "*", "*"), at="ops"), OTHER, None, ("*", "*/*")),
        # what is read, asked of authorizers alone or of a kubelet passes no admission
        (may(rule("impersonate", "serviceaccounts")), OTHER, None, ("*", "*/*")),
        (may(rule("get", "nodes/proxy")), OTHER, None, ("*", "*/*")),
        # the rules of admission itself are for everybody who may write them
        (may(rule("create", "mutatingwebhookconfigurations", ADMISSION)), ROOT, None, ("*", "*/*")),
        # who may do everything may delete what refuses it
        (may(rule("*", "*", "*")), ADMIN, None, ("*", "*/*")),
    ],
)
def test_hook_makes_the_steps_that_it_sees_possible(
    rights: tuple[Object, ...],
    goal: Foothold,
    seen: tuple[str, str] | None,
    unseen: tuple[str, str],
) -> None:
    # a group without rights of its own, to which a certificate could lead
    admins = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "ops"},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "name": "ops"}],
    }
    objects = (*rights, admins)
    assert reach(goal, *objects) == "known"
    assert reach(goal, *objects, webhook(sees(*unseen))) == "known"
    assert reach(goal, *objects, policy(sees(*unseen)), binding("Deny")) == "known"
    if seen is not None:
        assert reach(goal, *objects, webhook(sees(*seen))) == "possible"
        assert reach(goal, *objects, policy(sees(*seen)), binding("Deny")) == "possible"


def test_step_names_the_hook_that_may_refuse_it() -> None:
    objects = (*may(rule("create", "pods"), at="ops"), webhook(sees("CREATE", "pods")))
    steps = object_steps(dump_of(*objects))
    # what the secrets hold that a new pod mounts is another question
    unknown = {it.unknown for it in steps if it.unknown and it.name != "token-in-secret"}
    hook = "ValidatingWebhookConfiguration gatekeeper: check.example.com"
    assert unknown == {f"what {hook} answers to: create pods in ops (dump.json)"}


@pytest.mark.parametrize(
    ("selector", "at", "word"),
    [
        ({"matchLabels": {"team": "a"}}, "ops", "possible"),
        ({"matchLabels": {"team": "a"}}, "shop", "known"),
        # rights in every namespace are rights in one of which the webhook is not
        ({"matchLabels": {"team": "a"}}, "", "known"),
        ({"matchLabels": {"kubernetes.io/metadata.name": "shop"}}, "ops", "known"),
        ({}, "", "possible"),
    ],
)
@pytest.mark.parametrize(
    "right", [rule("create", "pods"), rule("create", "deployments", "apps")], ids=["pods", "apps"]
)
def test_hook_for_some_namespaces_leaves_the_others_certain(
    right: Object, selector: Object, at: str, word: str
) -> None:
    hook = webhook(sees("CREATE", "pods deployments"), namespaceSelector=selector)
    assert reach(ROOT, *may(right, at=at), hook) == word


def test_one_of_two_rights_that_no_hook_sees_is_enough() -> None:
    hook = webhook(sees("CREATE", "deployments"))
    one = may(rule("create", "deployments", "apps"), at="ops")
    assert reach(ROOT, *one, hook) == "possible"
    both = may(rule("create", "deployments", "apps"), rule("create", "jobs", "batch"), at="ops")
    assert reach(ROOT, *both, hook) == "known"


@pytest.mark.parametrize(
    ("objects", "word"),
    [
        ((*POLICIES, binding("Deny")), "possible"),
        ((*POLICIES, binding("Warn", "Audit")), "known"),
        ((*POLICIES, binding("Deny", of="another")), "known"),
        # whether something binds it: the dump has no bindings
        (POLICIES, "possible"),
    ],
)
def test_policy_of_a_dump_counts_by_its_bindings(objects: tuple[Object, ...], word: str) -> None:
    assert reach(ROOT, *objects) == word


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--disable-admission-plugins=ValidatingAdmissionWebhook,Priority", "known"),
        ("--disable-admission-plugins=Priority", "possible"),
    ],
)
def test_plugin_that_an_apiserver_s_pod_disables_calls_no_hook(flag: str, word: str) -> None:
    apiserver = {
        "kind": "Pod",
        "metadata": {"name": "kube-apiserver-cp1", "namespace": "kube-system", "uid": "2"},
        "spec": {"containers": [{"name": "a", "command": [*APISERVER, flag]}]},
    }
    hook = webhook(sees("CREATE", "pods"))
    assert reach(ROOT, *may(rule("create", "pods"), at="ops"), hook, apiserver) == word


def test_pod_security_that_an_apiserver_s_pod_disables_refuses_nothing() -> None:
    flag = "--disable-admission-plugins=PodSecurity"
    apiserver = {
        "kind": "Pod",
        "metadata": {"name": "kube-apiserver-cp1", "namespace": "kube-system", "uid": "2"},
        "spec": {"containers": [{"name": "a", "command": [*APISERVER, flag]}]},
    }
    held = namespace("ops", **{"pod-security.kubernetes.io/enforce": "baseline"})
    # an older kubelet may have a flaw that lets such a pod out
    node = {**NODE, "status": {"nodeInfo": {"kubeletVersion": "v1.34.2"}}}
    rights = (*may(rule("create", "pods"), at="ops"), node)
    assert reach(ROOT, *rights, held) == "closed"
    assert reach(ROOT, *rights, held, apiserver) == "known"


def test_hooks_in_a_list_of_their_kind_are_read(tmp_path: Path) -> None:
    item = {key: value for key, value in webhook(sees("*", "*")).items() if key != "kind"}
    text = json.dumps({"kind": "ValidatingWebhookConfigurationList", "items": [item]})
    (tmp_path / "hooks.json").write_text(text)
    assert len(read_dump(tmp_path).admission.hooks) == 1


@pytest.mark.parametrize(("hooks", "state"), [((), "open"), (("CREATE", "pods"), "unknown")])
def test_anonymous_callers_behind_a_hook_are_an_unknown_finding(
    hooks: tuple[str, ...], state: str
) -> None:
    role, made = may(rule("create", "pods"), at="ops")
    anybody = {**made, "subjects": [{"kind": "User", "name": "system:anonymous"}]}
    objects = (role, anybody, *([webhook(sees(*hooks))] if hooks else []))
    found = find_threats(model_of_dump(dump_of(*objects)))
    assert [it.state for it in found if it.rule == "anonymous-rights"] == [state]


def test_kubelet_has_tokens_made_where_no_hook_refuses_it() -> None:
    host = {"securityContext": {"privileged": True}, "name": "main"}
    pod = {**AGENT, "metadata": {"name": "root-1", "namespace": "shop", "uid": "3"}}
    pod = {
        **pod,
        "spec": {"serviceAccountName": "till", "nodeName": "worker1", "containers": [host]},
    }
    hook = webhook(sees("CREATE", "serviceaccounts/token"))
    for hooks, unknown in ((), False), ((hook,), True):
        steps = [it for it in object_steps(dump_of(pod, *hooks)) if "of-kubelet" in it.name]
        assert {bool(step.unknown) for step in steps} == {unknown}


# -- files copied from machines --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hooks", "flags", "word"),
    [
        ((), "", "known"),
        ((webhook(sees("CREATE", "pods")),), "", "possible"),
        ((webhook(sees("DELETE", "pods")),), "", "known"),
        ((policy(sees("CREATE", "pods")), binding("Deny")), "", "possible"),
        ((policy(sees("CREATE", "pods")), binding("Audit")), "", "known"),
        (
            (webhook(sees("CREATE", "pods")),),
            "--disable-admission-plugins=ValidatingAdmissionWebhook",
            "known",
        ),
    ],
)
def test_hook_among_copied_files_makes_a_path_possible(
    tmp_path: Path, hooks: tuple[Object, ...], flags: str, word: str
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    versioned = [{"apiVersion": f"{ADMISSION}/v1", **it} for it in hooks]
    objects = [{"apiVersion": f"{RBAC}/v1", **it} for it in may(rule("create", "pods"))]
    (folder / "objects.yaml").write_text(yaml.safe_dump_all([*objects, *versioned]))
    file = folder / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    line = "    - kube-apiserver\n"
    if flags:
        file.write_text(file.read_text().replace(line, f"{line}    - {flags}\n"))
    found = load_model(folder)
    paths = attack_paths(found, "pod", "admin")
    assert ("known" if paths.paths else "possible" if paths.possible else "closed") == word
    states = {it.state for it in find_threats(found) if it.rule == "account-rights"}
    assert states == {"open" if word == "known" else "unknown"}
