"""Webhooks and admission policies: which requests they may refuse, and which they provably do not.

The right values are those of Kubernetes' source (apiserver/pkg/admission/plugin/webhook/predicates,
apiserver/pkg/admission/plugin/policy, pkg/kubeapiserver/admission/exclusion) and documentation:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import techniques
from labkit.cluster import Environment, read_environment
from labkit.cluster.admission_hooks import admission_hooks
from labkit.cluster.edits import PLAN, Edit, Flag, Whole
from labkit.cluster.facts import File
from labkit.cluster.syntax.source import Source
from labkit.cluster.syntax.values import selects
from labkit.model import read_model
from labkit.model.admission_hooks import NamespaceLabels, may_refuse, operation_of
from labkit.model.decision import (
    EVERYTHING,
    Action,
    Decision,
    authorize,
    decide,
    decide_at_kubelet,
    member_of,
)
from labkit.model.footholds import NETWORK

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
ROOT = member_of("system:masters", user="root")
POD = Action("create", "pods", namespace="default")
AT = Source("policy.yaml", 1, "")
RBAC, APPS = "rbac.authorization.k8s.io", "apps"
PARAMETERS = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}


def rule(
    operations: str = "CREATE",
    resources: str = "pods",
    group: str = "",
    versions: str = "*",
    **more: Any,
) -> Object:
    return {
        "operations": operations.split(),
        "apiGroups": [group],
        "apiVersions": versions.split(),
        "resources": resources.split(),
        **more,
    }


def policy(*rules: Object, kind: str = "ValidatingAdmissionPolicy", **more: Any) -> Object:
    """Return a policy; `more` are further keys of its matchConstraints, `spec` of itself."""
    spec = more.pop("spec", {})
    constraints = {"resourceRules": list(rules), **more}
    spec = {"matchConstraints": constraints, **spec}
    head = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "strict"}}
    return {**head, "spec": spec}


def binding(
    *actions: str, kind: str = "ValidatingAdmissionPolicy", of: str = "strict", **more: Any
) -> Object:
    spec = {"policyName": of, **({"matchResources": more} if more else {})}
    spec |= {"validationActions": list(actions)} if actions else {}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": "everywhere"},
        "spec": spec,
    }


def webhook(*rules: Object, kind: str = "ValidatingWebhookConfiguration", **more: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": "gatekeeper"},
        "webhooks": [{"name": "check.example.com", "rules": list(rules), **more}],
    }


def bound(*rules: Object, **more: Any) -> tuple[Object, Object]:
    return policy(*rules, **more), binding("Deny")


def of(objects: tuple[Object, ...], *edits: Edit) -> Environment:
    text = "\n---\n".join(map(json.dumps, objects))
    return read_environment("insecure", [Whole(PLAN, "manifests/admission.yaml", text), *edits])


def decision(
    action: Action, *objects: Object, edits: tuple[Edit, ...] = (), **labels: Any
) -> Decision:
    env = of(objects, *edits)
    return decide(env, env.component("kube-apiserver@master"), ROOT, action, **labels)


def test_bound_policy_leaves_a_request_that_is_allowed_unknown() -> None:
    found = decision(POD, *bound(rule()))
    assert found.value == "unknown"
    assert "ValidatingAdmissionPolicy strict, bound by everywhere" in found.claim.detail
    source = str(found.claim.source)
    assert source.endswith("manifests/admission.yaml:1 ValidatingAdmissionPolicy strict")


def test_policy_does_not_make_a_denied_request_unknown() -> None:
    env = of(bound(rule()), Flag("master", "kube-apiserver.service", "authorization-mode", "RBAC"))
    ann = member_of("dev", user="ann")
    assert decide(env, env.component("kube-apiserver@master"), ann, POD).value == "denied"


def test_authorizers_are_not_asked_about_policies() -> None:
    # a SubjectAccessReview, and a kubelet that asks one, get the authorizers' answer
    env = of((webhook(rule("*", "*/*")),))
    apiserver = env.component("kube-apiserver@master")
    assert authorize(env, apiserver, ROOT, POD).value == "allowed"
    kubelet, proxy = env.component("kubelet@worker1"), Action("create", "nodes/proxy")
    assert decide_at_kubelet(env, kubelet, ROOT, proxy).value == "allowed"
    assert decide(env, apiserver, ROOT, proxy).value == "unknown"
    assert decide(env, apiserver, ROOT, EVERYTHING).value == "allowed"


@pytest.mark.parametrize(
    "objects",
    [
        (policy(rule()),),
        (policy(rule()), binding("Deny", of="another")),
        (policy(rule()), binding("Warn", "Audit")),
        (policy(rule()), binding("Warn"), binding("Audit")),
        (binding("Deny"),),
        # an error in parameters is ignored
        (
            policy(rule(), spec={"paramKind": {"kind": "A"}, "failurePolicy": "Ignore"}),
            binding("Warn"),
        ),
        (policy(rule(), kind="MutatingAdmissionPolicy"),),
        (webhook(),),
    ],
)
def test_what_provably_refuses_nothing_is_left_out(objects: tuple[Object, ...]) -> None:
    assert decision(POD, *objects).value == "allowed"


@pytest.mark.parametrize(
    "objects",
    [
        (policy(rule()), binding("Warn", "Deny")),
        (policy(rule()), binding("Warn"), binding("Deny")),
        # before validationActions there was only "Deny"
        (policy(rule()), binding()),
        # who ignores failures denies as well
        (policy(rule(), spec={"failurePolicy": "Ignore"}), binding("Deny")),
        # a parameter that is not found, or an annotation with an error, refuses the request
        # whatever the binding's actions are (policy/validating/dispatcher.go)
        (policy(rule(), spec=PARAMETERS), binding("Warn")),
        (policy(rule(), spec={"auditAnnotations": [{"key": "a"}]}), binding("Audit")),
        (policy(rule(), kind="MutatingAdmissionPolicy"), binding(kind="MutatingAdmissionPolicy")),
        (webhook(rule()),),
        (webhook(rule(), failurePolicy="Ignore"),),
        (webhook(rule(), kind="MutatingWebhookConfiguration"),),
        # what cannot be read may refuse everything
        (webhook(rule(), namespaceSelector={"matchExpressions": [{"key": "a", "operator": "?"}]}),),
        ({**policy(), "spec": []}, binding("Deny")),
    ],
)
def test_what_may_refuse_a_pod_leaves_it_unknown(objects: tuple[Object, ...]) -> None:
    assert decision(POD, *objects).value == "unknown"


@pytest.mark.parametrize(
    ("made", "action", "value"),
    [
        # operations
        (rule("CREATE"), Action("create", "pods", namespace="default"), "unknown"),
        (rule("UPDATE"), Action("create", "pods", namespace="default"), "allowed"),
        (rule("UPDATE"), Action("patch", "pods", namespace="default"), "unknown"),
        (rule("DELETE"), Action("deletecollection", "pods", namespace="default"), "unknown"),
        (rule("*"), Action("delete", "pods", namespace="default"), "unknown"),
        (rule("*"), Action("get", "pods", namespace="default"), "allowed"),
        (rule("*"), Action("list", "pods"), "allowed"),
        (rule("*"), Action("watch", "pods"), "allowed"),
        # a request to be connected, by any method
        (rule("CONNECT", "pods/exec"), Action("create", "pods/exec", namespace="shop"), "unknown"),
        (rule("CONNECT", "pods/exec"), Action("get", "pods/exec", namespace="shop"), "unknown"),
        (rule("CREATE", "pods/exec"), Action("create", "pods/exec", namespace="shop"), "allowed"),
        (rule("CONNECT", "*/*"), Action("get", "pods/portforward", namespace="shop"), "unknown"),
        (rule("CONNECT", "*/*"), Action("get", "pods/log", namespace="shop"), "allowed"),
        (rule("CONNECT", "*/proxy"), Action("delete", "nodes/proxy"), "unknown"),
        # resources and subresources
        (rule("*", "*"), Action("create", "pods/binding", namespace="shop"), "allowed"),
        (rule("*", "*/*"), Action("create", "pods/binding", namespace="shop"), "unknown"),
        (rule("*", "pods/*"), Action("create", "pods/binding", namespace="shop"), "unknown"),
        (rule("*", "pods/*"), Action("create", "pods", namespace="shop"), "unknown"),
        (rule("*", "*/token"), Action("create", "serviceaccounts/token", namespace="a"), "unknown"),
        (rule("*", "*/token"), Action("create", "pods", namespace="shop"), "allowed"),
        (rule("*", "pods"), Action("update", "pods/status", namespace="shop"), "allowed"),
        # groups and versions
        (rule("*", "*", "apps"), Action("create", "pods", namespace="shop"), "allowed"),
        (rule("*", "*", "*"), Action("create", "deployments", "apps", "shop"), "unknown"),
        (rule("*", "*", "", "v2"), Action("create", "pods", namespace="shop"), "allowed"),
        (
            rule("*", "*", "apps", "v1beta1"),
            Action("create", "deployments", "apps", "a"),
            "unknown",
        ),
        # events are served by two groups
        (rule("*", "events"), Action("create", "events", "events.k8s.io", "a"), "unknown"),
        # scope
        (rule("*", "*", scope="Cluster"), Action("create", "pods", namespace="shop"), "allowed"),
        (rule("*", "*", scope="Namespaced"), Action("create", "pods", namespace="shop"), "unknown"),
        (rule("*", "*", scope="Namespaced"), Action("patch", "nodes", name="a"), "allowed"),
        (rule("*", "*/*", scope="Cluster"), Action("patch", "nodes/status", name="a"), "unknown"),
        # a namespace is no object in a namespace, though its request names one
        (
            rule("*", "*", scope="Namespaced"),
            Action("patch", "namespaces", "", "a", "a"),
            "allowed",
        ),
        (rule("*", "*", scope="Cluster"), Action("patch", "namespaces", "", "a"), "unknown"),
        # names, which are the caller's choice where the request has none
        (rule("*", "nodes", resourceNames=["a"]), Action("patch", "nodes", name="a"), "unknown"),
        (rule("*", "nodes", resourceNames=["a"]), Action("patch", "nodes", name="b"), "allowed"),
        (rule(resourceNames=["a"]), Action("create", "pods", namespace="shop"), "unknown"),
        # requests for no resource, and what only authorizers are asked
        (rule("*", "*/*", "*"), Action("post", "", path="/metrics"), "allowed"),
        (rule("*", "*/*", "*"), Action("impersonate", "users"), "allowed"),
        (
            rule("*", "*/*", "*"),
            Action("bind", "clusterroles", "rbac.authorization.k8s.io"),
            "allowed",
        ),
    ],
)
def test_rules_match_a_request_as_the_apiserver_does(
    made: Object, action: Action, value: str
) -> None:
    assert decision(action, *bound(made)).value == value


@pytest.mark.parametrize("resource", ["validatingadmissionpolicies", "mutatingadmissionpolicies"])
def test_policies_and_webhooks_see_no_request_for_their_own_kinds(resource: str) -> None:
    # IsExemptAdmissionConfigurationResource in webhook/predicates/rules/rules.go
    every = rule("*", "*/*", "*")
    for what in (resource, f"{resource}/status", "validatingwebhookconfigurations"):
        for objects in (bound(every), (webhook(every),)):
            assert decision(Action("delete", what, GROUP), *objects).value == "allowed"
    other = Action("delete", resource, "example.com")
    assert decision(other, *bound(every)).value == "unknown"


def test_reviews_are_seen_by_webhooks_and_not_by_policies() -> None:
    every, review = rule("*", "*/*", "*"), Action("create", "tokenreviews", "authentication.k8s.io")
    assert decision(review, *bound(every)).value == "allowed"
    assert decision(review, webhook(every)).value == "unknown"


@pytest.mark.parametrize(
    ("excluded", "value"),
    [
        (rule(), "allowed"),
        (rule(versions="v1"), "allowed"),
        (rule("UPDATE"), "unknown"),
        # only pods of this name are excluded, and the request has none
        (rule(resourceNames=["a"]), "unknown"),
    ],
)
def test_excluded_request_is_seen_by_no_policy(excluded: Object, value: str) -> None:
    assert decision(POD, *bound(rule(), excludeResourceRules=[excluded])).value == value


@pytest.mark.parametrize(
    ("more", "value"),
    [
        ({"resourceRules": [rule("UPDATE")]}, "allowed"),
        ({"excludeResourceRules": [rule()]}, "allowed"),
        ({"namespaceSelector": {"matchLabels": {"env": "prod"}}}, "allowed"),
        ({"namespaceSelector": {}}, "unknown"),
    ],
)
def test_binding_narrows_its_policy(more: Object, value: str) -> None:
    assert decision(POD, policy(rule()), binding("Deny", **more)).value == value


def in_labels(operator: str, key: str = "kubernetes.io/metadata.name", *values: str) -> Object:
    some = {"values": list(values)} if values else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **some}]}


NAME = "kubernetes.io/metadata.name"


@pytest.mark.parametrize(
    ("selector", "value", "copied"),
    [
        # the apiserver labels each namespace with its name
        ({"matchLabels": {NAME: "default"}}, "unknown", "unknown"),
        ({"matchLabels": {NAME: "shop"}}, "allowed", "allowed"),
        (in_labels("NotIn", NAME, "default", "kube-system"), "allowed", "allowed"),
        (in_labels("NotIn", NAME, "kube-system"), "unknown", "unknown"),
        (in_labels("Exists", NAME), "unknown", "unknown"),
        # a namespace that no manifest describes has no other labels, unless it was not copied
        ({"matchLabels": {"policy": "on"}}, "allowed", "unknown"),
        (in_labels("DoesNotExist", "policy"), "unknown", "unknown"),
        ({"matchLabels": {"policy": "on", NAME: "shop"}}, "allowed", "allowed"),
    ],
)
def test_namespaces_labels_say_whether_a_hook_is_called(
    selector: Object, value: str, copied: str
) -> None:
    hook = webhook(rule(), namespaceSelector=selector)
    assert decision(POD, hook).value == value
    env = replace(of((hook,)), complete=False)
    assert decide(env, env.component("kube-apiserver@master"), ROOT, POD).value == copied


def test_labels_of_a_copied_namespace_count() -> None:
    hook = webhook(rule(), namespaceSelector={"matchLabels": {"policy": "on"}})
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    env = replace(of((hook, home)), complete=False)
    assert decide(env, env.component("kube-apiserver@master"), ROOT, POD).value == "allowed"


@pytest.mark.parametrize("action", [Action("patch", "nodes"), Action("update", "namespaces")])
def test_namespace_selector_does_not_spare_what_is_in_no_namespace(action: Action) -> None:
    # nor a namespace, whose new labels are in the request
    hook = webhook(rule("*", "*"), namespaceSelector={"matchLabels": {"policy": "on"}})
    assert decision(action, hook).value == "unknown"


@pytest.mark.parametrize(
    ("action", "labels", "value"),
    [
        (POD, None, "unknown"),
        (POD, {}, "allowed"),
        (POD, {"policy": "on"}, "unknown"),
        # the labels of the object that is changed count too
        (Action("update", "pods", namespace="default"), {}, "unknown"),
        # the options of such a request have no labels (webhook/predicates/object/matcher.go)
        (Action("create", "pods/exec", namespace="default"), None, "allowed"),
    ],
)
def test_object_selector_selects_by_the_objects_labels(
    action: Action, labels: dict[str, str] | None, value: str
) -> None:
    hook = webhook(rule("*", "pods/*"), objectSelector={"matchLabels": {"policy": "on"}})
    assert decision(action, hook, labels=labels).value == value


@pytest.mark.parametrize(
    ("plugin", "objects"),
    [
        ("ValidatingAdmissionPolicy", bound(rule())),
        ("ValidatingAdmissionWebhook", (webhook(rule()),)),
        ("MutatingAdmissionWebhook", (webhook(rule(), kind="MutatingWebhookConfiguration"),)),
    ],
)
def test_plugin_that_is_off_calls_no_hook(plugin: str, objects: tuple[Object, ...]) -> None:
    off = Flag("master", "kube-apiserver.service", "disable-admission-plugins", plugin)
    assert decision(POD, *objects, edits=(off,)).value == "allowed"
    other = Flag("master", "kube-apiserver.service", "disable-admission-plugins", "Priority")
    assert decision(POD, *objects, edits=(other,)).value == "unknown"


def test_binding_of_a_copied_policy_may_be_missing() -> None:
    env = replace(of((policy(rule()),)), complete=False)
    found = decide(env, env.component("kube-apiserver@master"), ROOT, POD)
    assert found.value == "unknown"
    assert "if something binds it" in found.claim.detail
    # where bindings were copied, that of this policy would be among them
    other = replace(of((policy(rule()), binding("Deny", of="another"))), complete=False)
    assert decide(other, other.component("kube-apiserver@master"), ROOT, POD).value == "allowed"


def test_hooks_in_lists_count() -> None:
    item = webhook(rule())
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": [item]}).encode()
    env = replace(of(()), manifests=(File(Path("all.yaml"), "", "all.yaml", text),))
    assert [hook.name for hook in env.admission_hooks] == [
        "ValidatingWebhookConfiguration gatekeeper: check.example.com"
    ]


@pytest.mark.parametrize("name", ["host-path-pod", "csr-self-approve", "proxy-creates-pods"])
def test_techniques_that_write_are_unknown_behind_a_webhook(name: str) -> None:
    technique = techniques[name]
    foothold = technique.footholds[0]
    assert technique.predict(read_model("insecure"), foothold).succeeds is True
    model = read_model(of((webhook(rule("*", "*/*", "*")),)))
    found = technique.predict(model, foothold)
    assert found.succeeds is None
    assert "gatekeeper" in str(found)


def test_certificate_that_a_webhook_may_refuse_to_store_is_unknown() -> None:
    status = rule("UPDATE", "certificatesigningrequests/status", "certificates.k8s.io")
    found = techniques["csr-self-approve"].predict(read_model(of((webhook(status),))), NETWORK)
    assert found.succeeds is None


def test_techniques_that_read_do_not_meet_admission() -> None:
    model = read_model(of((webhook(rule("*", "*/*", "*")),)))
    assert techniques["apiserver-anonymous"].predict(model, NETWORK).succeeds is True


def test_hook_for_labelled_objects_does_not_see_a_technique_s_pod() -> None:
    chosen = webhook(rule("*", "*/*", "*"), objectSelector={"matchLabels": {"policy": "on"}})
    found = techniques["host-path-pod"].predict(read_model(of((chosen,))), NETWORK)
    assert found.succeeds is True


# -- random rules and requests ---------------------------------------------------------------------

WORDS = st.sampled_from(
    ["pods", "pods/exec", "nodes", "*", "*/*", "pods/*", "*/exec", "namespaces"]
)
RULES = st.builds(
    lambda operations, resources, groups, names, scope: {
        "operations": operations,
        "resources": resources,
        "apiGroups": groups,
        "apiVersions": ["*"],
        "resourceNames": names,
        "scope": scope,
    },
    st.lists(st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT", "*"]), max_size=2),
    st.lists(WORDS, max_size=2),
    st.lists(st.sampled_from(["", "apps", "*"]), max_size=2),
    st.lists(st.sampled_from(["a", "b"]), max_size=1),
    st.sampled_from(["*", "Cluster", "Namespaced"]),
)
ACTIONS = st.builds(
    Action,
    st.sampled_from(["get", "list", "create", "update", "patch", "delete", "bind", "*"]),
    st.sampled_from(["pods", "pods/exec", "pods/log", "nodes", "nodes/proxy", "namespaces"]),
    st.just(""),
    st.sampled_from(["", "shop"]),
    st.sampled_from(["", "a", "c"]),
)
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(st.sampled_from(["a", NAME]), st.sampled_from("xy")),
        "matchExpressions": st.lists(
            st.builds(
                lambda key, operator, values: {"key": key, "operator": operator, "values": values},
                st.sampled_from(["a", NAME]),
                st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
                st.lists(st.sampled_from(["x", "shop"])),
            ),
            max_size=2,
        ),
    },
)


def sees(rules: list[Object], action: Action, **more: Any) -> bool:
    hooks = admission_hooks([(webhook(*rules, **more), AT)])
    home = NamespaceLabels.of(action.namespace, {} if action.namespace else None)
    return any(may_refuse(hook, action, home) for hook in hooks)


@given(st.lists(RULES, max_size=3), ACTIONS)
def test_more_rules_never_spare_a_request(rules: list[Object], action: Action) -> None:
    assert sees(rules, action) == any(sees([one], action) for one in rules)
    if sees(rules, action):
        assert operation_of(action)
        assert sees([*rules, rule("*", "*/*", "*")], action)


@given(RULES, ACTIONS)
def test_what_a_request_leaves_open_never_spares_it(made: Object, action: Action) -> None:
    # a request for the object "a" is one of those for any object
    if sees([made], replace(action, name="a")) or sees([made], replace(action, namespace="shop")):
        assert sees([made], replace(action, name="", namespace=""))


@given(SELECTORS, st.dictionaries(st.just("a"), st.sampled_from("xyz"), max_size=1))
def test_labels_that_are_not_known_may_be_any(selector: Object, labels: dict[str, str]) -> None:
    known = NamespaceLabels.of("shop", labels)
    assert known.may_be_selected(selector) == selects(selector, {**labels, NAME: "shop"})
    if known.may_be_selected(selector):
        assert NamespaceLabels.of("shop", None).may_be_selected(selector)
        assert NamespaceLabels.of("", None).may_be_selected(selector)
