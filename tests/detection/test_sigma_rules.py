"""Sigma rules: what fires on which event, what can never fire, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labkit import controls, read_environment, techniques
from labkit.detection.event_fields import is_field, values_at
from labkit.detection.prediction import foresee
from labkit.detection.sigma_rules import DetectionRule, Table, own_rules, read_rules
from labkit.errors import ConfigError
from labkit.model import read_model

EVENT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Request",
    "stage": "ResponseComplete",
    "verb": "create",
    "requestURI": "/api/v1/namespaces/default/pods?dryRun=All",
    "user": {"username": "alice", "groups": ["dev", "system:authenticated"]},
    "sourceIPs": ["10.0.0.7", "10.0.0.8"],
    "userAgent": "kubectl/v1.37.2",
    "objectRef": {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 201},
    "requestObject": {
        "spec": {
            "hostPID": True,
            "containers": [
                {"image": "a", "securityContext": {"privileged": False}},
                {"image": "b", "securityContext": {"privileged": True}},
            ],
        }
    },
    "annotations": {"authorization.k8s.io/decision": "allow"},
}


def rule_text(detection: str, logsource: str = "{product: kubernetes, service: audit}") -> str:
    return (
        "title: A rule\nid: 3d0b4f3e-7b5f-4a3e-9a0c-3f5f9d0a1b2c\nstatus: test\n"
        f"logsource: {logsource}\ndetection: {detection}\nlevel: low\n"
    )


def read_one(folder: Path, detection: str) -> DetectionRule:
    (folder / "one.yml").write_text(rule_text(detection))
    found = read_rules(folder)
    assert found.left_out == ()
    [rule] = found.rules
    return rule


def fires(rule: DetectionRule, *events: dict[str, Any]) -> bool:
    with Table(events, [rule]) as table:
        return table.fires(rule)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{verb: create}", True),
        # Sigma compares without regard to case
        ("{verb: CREATE}", True),
        ("{verb: [get, create]}", True),
        ("{verb: get}", False),
        ("{objectRef.resource: pods, objectRef.namespace: default}", True),
        ("{objectRef.subresource: exec}", False),
        ("{objectRef.subresource: null}", True),
        ("{'objectRef.subresource|exists': false}", True),
        ("{responseStatus.code: 201}", True),
        ("{responseStatus.code: '201'}", True),
        ("{'responseStatus.code|gte': 200}", True),
        ("{'responseStatus.code|gte': 400}", False),
        # one of several values is enough, and it must be the whole of it
        ("{user.groups: dev}", True),
        ("{user.groups: de}", False),
        ("{'user.groups|contains': 'authent'}", True),
        ("{'user.groups|contains|all': [dev, authent]}", True),
        ("{sourceIPs: 10.0.0.8}", True),
        ("{requestObject.spec.hostPID: true}", True),
        ("{requestObject.spec.containers.securityContext.privileged: true}", True),
        ("{requestObject.spec.containers.image: c}", False),
        ("{annotations.authorization.k8s.io/decision: allow}", True),
        ("{'userAgent|startswith': 'kubectl/'}", True),
        ("{'userAgent|re': '^kubectl/v1\\.3[0-9]'}", True),
        ("{'userAgent|re': '^curl'}", False),
        # % and _ of SQL are no wildcards of Sigma
        ("{verb: 'cre%'}", False),
        ("{verb: 'creat_'}", False),
        ("{verb: 'creat?'}", True),
        ("['*dryRun=All*']", True),
        ("['nowhere in the event']", False),
    ],
)
def test_selection_fires_as_sigma_says(tmp_path: Path, selection: str, expected: bool) -> None:
    rule = read_one(tmp_path, f"{{selection: {selection}, condition: selection}}")
    assert fires(rule, EVENT) is expected
    assert not fires(rule), "no events, no rule"


def test_rule_fires_if_one_of_many_events_is_found(tmp_path: Path) -> None:
    rule = read_one(tmp_path, "{a: {verb: get}, b: {user.groups: dev}, condition: a and not b}")
    other = {"verb": "get", "user": {"groups": ["ops"]}}
    assert not fires(rule, EVENT)
    assert not fires(rule, {"verb": "get", "user": {"groups": ["dev"]}})
    assert fires(rule, EVENT, other)
    # a field that is absent is not the one that is left out
    assert fires(rule, {"verb": "get"})


@pytest.mark.parametrize(
    ("detection", "never"),
    [
        ("{a: {hostPath: '*'}, condition: a}", "events have no field hostPath"),
        ("{a: {verb: create, capabilities: '*'}, condition: a}", "no field capabilities"),
        ("{a: {apiGroup: rbac}, b: {kind: Role}, condition: a or b}", "no field apiGroup"),
        ("{a: {responseStatus.code: ALLOW}, condition: a}", "code is never 'ALLOW'"),
        ("{a: {stage: Finished}, condition: a}", "stage is never 'Finished'"),
        ("{a: {user: alice}, condition: a}", "no field user"),
        ("{a: {hostPath: '*'}, b: {verb: get}, condition: not (not a or b)}", "hostPath"),
        # these can
        ("{a: {hostPath: '*'}, b: {verb: get}, condition: a or b}", ""),
        ("{a: {hostPath: '*'}, b: {verb: get}, condition: b and not a}", ""),
        ("{a: {hostPath: null}, condition: a}", ""),
        ("{a: {'hostPath|exists': false}, condition: a}", ""),
        ("{a: {requestObject.spec.hostPath: x}, condition: a}", ""),
        ("{a: {responseStatus.code: [ALLOW, 403]}, condition: a}", ""),
    ],
)
def test_rule_that_no_event_can_fulfil_is_named(tmp_path: Path, detection: str, never: str) -> None:
    rule = read_one(tmp_path, detection)
    assert never in rule.never
    assert bool(rule.never) is bool(never)


def test_event_with_half_a_character_or_a_huge_number_is_held(tmp_path: Path) -> None:
    rule = read_one(tmp_path, "{a: {'userAgent|startswith': 'cu', verb: 1}, condition: a}")
    assert fires(rule, {"userAgent": "cu\ud800", "verb": 1})
    assert not fires(rule, {"userAgent": "cu", "verb": 10**40})


def test_field_of_another_case_is_no_field_of_an_event(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(rule_text("{a: {Verb: create}, condition: a}"))
    (tmp_path / "b.yml").write_text(rule_text("{a: {verb: create}, condition: a}"))
    upper, lower = read_rules(tmp_path).rules
    with Table([EVENT], [upper, lower]) as table:
        assert (table.fires(upper), table.fires(lower)) == (False, True)
    assert upper.never == "events have no field Verb"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule_text("{a: {x: y}, condition: a}", "{product: windows}"), "for another log: windows"),
        (
            rule_text("{a: {x: y}, condition: a}", "{product: kubernetes, service: x}"),
            "another log",
        ),
        (rule_text("{a: {verb: get}, condition: b}"), "b"),
        (rule_text("{a: {'userAgent|re': '(?=x)a'}, condition: a}"), "Regular expression"),
        ("title: [", "no valid YAML"),
        ("a: &x [*x]", "one.yml"),
        ("just text", "no single Sigma rule"),
        ("title: x\ncorrelation: {type: event_count}\n", "no single Sigma rule"),
    ],
)
def test_rule_that_cannot_be_run_is_left_out_with_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "one.yml").write_text(text)
    found = read_rules(tmp_path)
    assert found.rules == ()
    [line] = found.left_out
    assert line.startswith("one.yml: ")
    assert said in line


def test_folder_without_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rule in"):
        read_rules(tmp_path)
    with pytest.raises(ConfigError, match="no folder at"):
        read_rules(tmp_path / "absent")


def test_rule_that_takes_too_long_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = read_one(tmp_path, "{a: {'user.groups|contains': 'x*y*z'}, condition: a}")
    many = [{"user": {"groups": ["xy" * 20] * 50}}] * 200
    assert not fires(rule, *many)
    monkeypatch.setattr("labkit.detection.sigma_rules.PATIENCE_S", 0.0)
    with pytest.raises(ConfigError, match="the rule one cannot be run: interrupted"):
        fires(rule, *many)


# -- every rule, and every event ---------------------------------------------------------------

NAMES = ("verb", "objectRef.resource", "user.groups", "responseStatus.code", "hostPath", "apiGroup")
VALUES = ("get", "create", "secrets", "403", "ALLOW", None)
ITEMS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), min_size=1, max_size=2)
CONDITIONS = st.sampled_from(
    ["a", "b", "not a", "a and b", "a or b", "a and not b", "not (a or b)", "not a and not b"]
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "verb": st.sampled_from(["get", "create"]),
        "objectRef": st.fixed_dictionaries({"resource": st.sampled_from(["secrets", "pods"])}),
        "user": st.fixed_dictionaries({"groups": st.lists(st.sampled_from(["get", "secrets"]))}),
        "responseStatus": st.fixed_dictionaries({"code": st.sampled_from([200, 403])}),
    },
)


@given(a=ITEMS, b=ITEMS, condition=CONDITIONS, events=st.lists(EVENTS, max_size=4))
def test_rule_that_can_never_fire_fires_on_no_event(
    tmp_path_factory: pytest.TempPathFactory,
    a: dict[str, Any],
    b: dict[str, Any],
    condition: str,
    events: list[dict[str, Any]],
) -> None:
    folder = tmp_path_factory.mktemp("rules")
    rule = read_one(folder, json.dumps({"a": a, "b": b, "condition": condition}))
    if rule.never:
        with Table(events, [rule]) as table:
            connection = table._connection
            rows = [connection.execute(query).fetchone() for query in rule.queries]
        assert rows == [None] * len(rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FIELDS = (
    *("verb", "verb|contains", "user.groups|all", "x|re", "sourceIPs|cidr", "x|exists", "x|expand"),
    *("x|fieldref", "x|minute", "responseStatus.code|gt", "requestObject.a|base64offset|contains"),
)
WORTH = ("get", "*", "10.0.0.0/8", "%x%", "(", "verb", 1, True, None, 0.5, ["a", 1])
RULE_CONDITIONS = ("a", "not a", "1 of a*", "all of them", "a | count() > 3", 7, ["a"])


@given(
    selection=st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(WORTH) | JSON, max_size=3)
    | JSON,
    condition=st.sampled_from(
        ["a", "not a", "1 of a*", "all of them", "a | count() > 3", 7, ["a"]]
    ),
    more=st.dictionaries(
        st.sampled_from(["title", "id", "tags", "level", "date", "techniques", "logsource"]), JSON
    ),
    event=JSON,
)
def test_any_rule_is_run_or_left_out(
    tmp_path_factory: pytest.TempPathFactory,
    selection: Any,
    condition: Any,
    more: dict[str, Any],
    event: Any,
) -> None:
    folder = tmp_path_factory.mktemp("rules")
    rule: dict[str, Any] = {"title": "t", "logsource": {"product": "kubernetes"}, **more}
    rule["detection"] = {"a": selection, "condition": condition}
    (folder / "one.yml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    found = read_rules(folder)
    assert len(found.rules) + len(found.left_out) == 1
    with Table([EVENT, {"user": event, "verb": event}], found.rules) as table:
        for it in found.rules:
            table.fires(it)


@given(text=st.text(max_size=200))
def test_any_text_is_a_rule_or_left_out(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "one.yml").write_text(text, encoding="utf-8")
    found = read_rules(folder)
    assert len(found.rules) + len(found.left_out) <= 1


@given(event=JSON, name=st.text(alphabet="ab.", max_size=6))
def test_values_of_any_event_are_plain(event: Any, name: str) -> None:
    assert all(not isinstance(it, dict | list) and it is not None for it in values_at(event, name))


# -- labkit's own rules ------------------------------------------------------------------------


def test_own_rules_are_all_of_use() -> None:
    found = own_rules()
    assert found.left_out == ()
    assert found.never == ()
    assert all(is_field(field) for rule in found.rules for field in rule.fields)
    folder = Path(own_rules.__code__.co_filename).with_name("rules")
    idents = [yaml.safe_load(path.read_text())["id"] for path in folder.glob("*.yml")]
    assert len(set(idents)) == len(idents) == len(found.rules)


def test_each_technique_that_leaves_an_event_has_a_rule() -> None:
    named = {name for rule in own_rules().rules for name in rule.techniques}
    modes = ("hardened", "oidc-hardened", "hook-hardened", "logs-hardened")
    # where nobody can register, the provider refuses before the apiserver is asked
    provided = read_environment("oidc-hardened")
    is_open = read_environment(
        "oidc-hardened", controls["oidc-registration"].flip(provided, on=False)
    )
    seen = {
        technique.name
        for model in map(read_model, (*map(read_environment, modes), is_open))
        for technique in techniques.values()
        if not technique.why_not(model.environment)
        if any(foresee(model, technique, it).word == "seen" for it in technique.footholds)
    }
    assert named == seen
