"""Which events a technique leaves: from its requests, and from the first rule of the policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit import read_environment, techniques
from labkit.cluster.edits import Edit, Flag, Whole
from labkit.cluster.facts import Environment
from labkit.cluster.syntax.source import Source
from labkit.detection.prediction import Foresight, foresee
from labkit.loading import load_model
from labkit.model import read_model
from labkit.model.audit_trail import recorded
from labkit.model.claims import Claim
from labkit.model.decision import Action, Caller
from labkit.model.footholds import NETWORK, POD, ROOT_ON_ETCD, ROOT_ON_WORKER, Foothold

UNIT, FILE = "kube-apiserver.service", "/etc/kubernetes/audit-policy.yaml"
EVERYTHING = "{level: Metadata}"


def with_policy(mode: str, rules: str, omitted: str = "[RequestReceived]") -> Environment:
    """Return a mode whose apiserver has a log, and a policy with some rules."""
    text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: {omitted}\nrules: [{rules}]\n"
    edits: list[Edit] = [
        Flag("master", UNIT, "audit-policy-file", FILE),
        Flag("master", UNIT, "audit-log-path", "/var/log/kubernetes/audit.log"),
        Whole("master", FILE, text),
    ]
    return read_environment(mode, edits)


def predicted(env: Environment, name: str, foothold: Foothold | None = None) -> Foresight:
    technique = techniques[name]
    return foresee(read_model(env), technique, foothold or technique.footholds[0])


@pytest.mark.parametrize(
    ("name", "foothold", "word", "events"),
    [
        # what never asks the apiserver leaves nothing in its log
        ("etcd-read", None, "none", []),
        ("docker-tcp", None, "none", []),
        ("eavesdrop", None, "none", []),
        ("kubelet-exec", None, "none", []),
        # a stolen certificate has the name of its component in the log
        ("scheduler-credential", None, "seen", ["get secrets in shop by system:kube-scheduler"]),
        ("node-reads-secrets", None, "seen", ["get secrets in payments by system:node:worker1"]),
        # lists of pods are in no rule
        ("node-reads-pods", None, "none", []),
        ("proxy-reads-pods", None, "none", []),
        # whom nobody knows is in the log without a name
        ("apiserver-anonymous", NETWORK, "seen", ["get secrets in shop by nobody known"]),
        ("long-lived-token", None, "seen", ["get secrets in shop by nobody known"]),
        ("token-replay", None, "seen", ["get secrets in shop by nobody known"]),
        # files that cannot be read, and a token that is not there, send nothing
        ("admin-kubeconfig", None, "none", []),
        ("ca-key-theft", None, "none", []),
        ("pod-token", POD, "none", []),
        # of a chain, only the links that are reached
        (
            "csr-self-approve",
            ROOT_ON_WORKER,
            "seen",
            [
                "create certificatesigningrequests by system:node:worker1",
                "update certificatesigningrequests/approval by system:node:worker1",
            ],
        ),
        (
            "csr-masters",
            ROOT_ON_WORKER,
            "seen",
            ["create certificatesigningrequests by system:node:worker1"],
        ),
        # the forging itself is not seen, the use of what was forged is
        (
            "etcd-forge-credential",
            ROOT_ON_ETCD,
            "seen",
            [
                "create selfsubjectreviews by labkit-forged",
                "create selfsubjectreviews by nobody known",
            ],
        ),
        ("etcd-forge-credential", ROOT_ON_WORKER, "none", []),
        # the log has the sender, and not whom they act for
        (
            "impersonate",
            ROOT_ON_WORKER,
            "seen",
            ["create selfsubjectreviews by system:node:worker1"],
        ),
    ],
)
def test_events_of_a_technique_in_hardened(
    name: str, foothold: Foothold | None, word: str, events: list[str]
) -> None:
    found = predicted(read_environment("hardened"), name, foothold)
    assert found.word == word
    assert sorted(map(str, found.events)) == events


def test_nothing_is_seen_without_an_audit_policy() -> None:
    model = read_model("insecure")
    words = {
        foresee(model, technique, foothold).word
        for technique in techniques.values()
        if not technique.why_not(model.environment)
        for foothold in technique.footholds
    }
    assert words == {"none"}


def test_attacks_of_insecure_are_seen_with_a_policy() -> None:
    env = with_policy("insecure", EVERYTHING)
    found = predicted(env, "insecure-port", NETWORK)
    # the proxy passes them on under the administrator's name
    assert [str(it) for it in sorted(found.events)] == [
        "create selfsubjectaccessreviews by kubernetes-admin",
        "get secrets in shop by kubernetes-admin",
    ]
    assert [str(it) for it in predicted(env, "apiserver-anonymous").events] == [
        "get secrets in shop by system:anonymous"
    ]
    chain = predicted(env, "csr-self-approve", NETWORK)
    assert [it.word for it in chain.expected] == ["seen", "seen", "seen"]
    assert predicted(env, "etcd-read").word == "none"


@pytest.mark.parametrize(
    ("rules", "omitted", "word"),
    [
        ("{level: None}, {level: Metadata}", "[]", "none"),
        ("{level: None, verbs: [list]}, {level: Metadata}", "[]", "seen"),
        ("{level: None, users: [system:kube-scheduler]}, {level: Metadata}", "[]", "none"),
        ("{level: None, userGroups: [system:authenticated]}, {level: Metadata}", "[]", "none"),
        ("{level: Metadata, namespaces: [payments]}", "[]", "none"),
        ('{level: Metadata, resources: [{group: "", resources: [secrets]}]}', "[]", "seen"),
        (EVERYTHING, "[RequestReceived, ResponseComplete]", "none"),
        (EVERYTHING, "[ResponseStarted]", "seen"),
    ],
)
def test_first_matching_rule_decides(rules: str, omitted: str, word: str) -> None:
    assert predicted(with_policy("hardened", rules, omitted), "scheduler-credential").word == word


@pytest.mark.parametrize(
    ("omitted", "word"),
    [
        ("[]", "seen"),
        ("[RequestReceived, ResponseComplete]", "seen"),
        ("[ResponseStarted]", "none"),
    ],
)
def test_refusal_of_a_stranger_has_one_stage_only(omitted: str, word: str) -> None:
    assert (
        predicted(with_policy("hardened", EVERYTHING, omitted), "apiserver-anonymous").word == word
    )


def test_policy_that_was_not_copied_is_unknown(tmp_path: Path) -> None:
    manifests = tmp_path / "master" / "etc" / "kubernetes" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\n"
        "spec:\n  containers:\n  - name: kube-apiserver\n    command:\n    - kube-apiserver\n"
        f"    - --audit-policy-file={FILE}\n    - --audit-log-path=/var/log/audit.log\n"
    )
    model = load_model(tmp_path)
    assert not model.environment.complete
    technique = techniques["scheduler-credential"]
    assert foresee(model, technique, technique.footholds[0]).word == "unknown"
    assert foresee(model, techniques["etcd-read"], NETWORK).word == "none"
    policy = manifests.parent / "audit-policy.yaml"
    policy.write_text(f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{EVERYTHING}]\n")
    assert foresee(load_model(tmp_path), technique, technique.footholds[0]).word == "seen"


def test_flags_that_were_not_copied_leave_the_policy_unknown(tmp_path: Path) -> None:
    units = tmp_path / "cp1" / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    (units / "kube-apiserver.service").write_text(
        "[Service]\nEnvironmentFile=/etc/apiserver.env\nExecStart=/usr/bin/kube-apiserver $ARGS\n"
    )
    model = load_model(tmp_path)
    technique = techniques["scheduler-credential"]
    assert foresee(model, technique, technique.footholds[0]).word == "unknown"
    claim = model.components[0].claim("audit")
    assert claim is not None
    assert claim.value == "unknown"


def test_caller_who_is_not_known_is_unknown_where_a_rule_asks_for_users() -> None:
    claim = Claim("unknown", "a webhook says who they are", Source("hook.conf", 1, ""))
    caller = Caller("", frozenset(), claim)
    action = Action("get", "secrets", namespace="shop")

    def said(rules: str) -> str:
        env = with_policy("hardened", rules)
        return recorded(env, env.component("kube-apiserver@master"), caller, action).value

    assert said(EVERYTHING) == "recorded"
    assert said("{level: None}") == "none"
    assert said("{level: None, users: [bob]}, {level: Metadata}") == "unknown"
    assert said("{level: None, userGroups: [system:nodes]}, {level: Metadata}") == "unknown"


def test_technique_about_the_apiserver_declares_its_requests() -> None:
    model = read_model(with_policy("insecure", EVERYTHING))
    silent = [
        technique.name
        for technique in techniques.values()
        if technique.about.endswith("kube-apiserver@master:6443")
        and not technique.why_not(model.environment)
        if not any(technique.requests(model, foothold) for foothold in technique.footholds)
    ]
    assert silent == []


def test_requests_of_a_technique_hold_the_action_that_it_is_predicted_by() -> None:
    model = read_model("insecure")
    for name in ("node-reads-secrets", "proxy-creates-pods", "proxy-writes-nodes"):
        technique = techniques[name]
        [request] = technique.requests(model, technique.footholds[0])
        assert technique.predict(model, technique.footholds[0]).succeeds
        assert str(request.action).split()[1] in ("secrets", "pods", "nodes")


def test_page_has_the_number_of_techniques_that_leave_an_event() -> None:
    model = read_model("hardened")
    known = [it for it in techniques.values() if not it.why_not(model.environment)]
    seen = [it for it in known if any(foresee(model, it, at).word == "seen" for at in it.footholds)]
    unseen = [it.name for it in known if it not in seen]
    page = (Path(__file__).parents[2] / "docs" / "detection.md").read_text()
    said = f"{len(seen)} of {len(known)} techniques leave an event, and {len(unseen)} leave nothing"
    assert said in page
    patterns = re.findall(r"`([a-z-]+?)(-\.\.\.)?`", page.partition("| technique | how")[2])
    names = {name for name, more in patterns if not more}
    starts = tuple(name for name, more in patterns if more)
    assert [name for name in unseen if name not in names and not name.startswith(starts)] == []
