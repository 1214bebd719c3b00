"""The gate: acceptance, risk, baseline, forbidden paths."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.analysis import (
    RiskRule,
    accept,
    analyze,
    find_threats,
    read_acceptances,
    read_risk,
    with_control,
)
from labkit.analysis.gate import as_finding, asked, baseline_of, doubts, forbidden, tripped
from labkit.errors import ConfigError
from labkit.model import read_model

INSECURE, HARDENED = read_model("insecure"), read_model("hardened")
DAY = dt.date(2026, 11, 25)
ENTRY = """\
accepted:
  - finding: "*@dockerd@worker1:2375"
    owner: alice
    reason: the builder needs it until it is moved
    until: 2026-12-31
"""


def entries(folder: Path, text: str):
    path = folder / "accept.yaml"
    path.write_text(text)
    return read_acceptances(path)


def test_acceptance_with_an_owner_is_applied(tmp_path: Path) -> None:
    found = accept(find_threats(INSECURE), entries(tmp_path, ENTRY), DAY)
    accepted = found.state("accepted")
    assert {item.id for item in accepted} == {"caller-unauthenticated@dockerd@worker1:2375"}
    assert "accepted by alice until 2026-12-31" in accepted.findings[0].explanation


def test_expired_acceptance_is_ignored(tmp_path: Path) -> None:
    found = accept(find_threats(INSECURE), entries(tmp_path, ENTRY), dt.date(2027, 1, 1))
    assert not found.state("accepted").findings


def test_acceptance_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"accept\.yaml:2: .* matches no open finding"):
        accept(find_threats(HARDENED), entries(tmp_path, ENTRY), DAY)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: alice", "owner: ' '", "has an owner and a reason"),
        ("    owner: alice\n", "", "owner"),
        ("2026-12-31", "soon", "no date: 'soon'"),
        ("reason:", "reasons:", "unknown key 'reasons': the keys are finding, owner"),
        ("accepted:", "accept:", "only a list 'accepted'"),
    ],
)
def test_incomplete_acceptance_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        entries(tmp_path, ENTRY.replace(old, new))


def test_risk_rule_can_be_edited(tmp_path: Path) -> None:
    path = tmp_path / "risk.yaml"
    path.write_text("thresholds: {critical: 17, high: 9}\nimpact: {plaintext: 1}\n")
    rule = read_risk(path)
    assert rule == RiskRule((4, 9, 17), {}, {"plaintext": 1})
    found = find_threats(INSECURE, rule)
    assert "critical" not in {item.severity for item in found}
    assert {item.severity for item in found if item.rule == "plaintext"} == {"low"}


@pytest.mark.parametrize(
    "text",
    [
        "thresholds: {critical: 2}",
        "thresholds: {grave: 3}",
        "impact: {plaintxt: 1}",
        "likelihood: {plaintext: 9}",
        "impact: {plaintext: yes}",
        "color: red",
        "[]",
    ],
)
def test_bad_risk_rule_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "risk.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"risk\.yaml"):
        read_risk(path)


def test_gate_counts_new_findings_by_severity(tmp_path: Path) -> None:
    assert tripped(find_threats(HARDENED), "low", None) == []
    found = find_threats(INSECURE)
    assert len(tripped(found, "low", None)) == len(found.open) > 50
    assert {item.severity for item in tripped(found, "critical", None)} == {"critical"}
    kept = tmp_path / "before.json"
    kept.write_text(analyze(with_control(INSECURE, "docker-tcp")).to_json())
    new = tripped(found, None, baseline_of(kept))
    assert {item.control for item in new} == {"docker-tcp"}
    assert tripped(found, None, None) == ()
    with pytest.raises(ConfigError, match="no level 'grave'"):
        tripped(found, "grave", None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": [1]}'])
def test_broken_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "before.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is not an analysis of labkit"):
        baseline_of(path)


def test_forbidden_path_names_the_line_that_opened_it() -> None:
    assert forbidden(HARDENED, ["pod -> secrets", "network -> admin"]) == []
    [paths] = forbidden(INSECURE, ["pod->node"])
    finding = as_finding(INSECURE, paths)
    assert finding.claim.source.path.endswith("docker.service")
    assert finding.claim.source.line


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("pod secrets", "'pod secrets' is not a rule FROM -> TO"),
        ("-> secrets", "'-> secrets' is not a rule FROM -> TO"),
        ("pod -> ", "'pod -> ' is not a rule FROM -> TO"),
        ("pod -> moon", "no foothold or goal 'moon'"),
        ("moon -> secrets", "no foothold or goal 'moon'"),
    ],
)
def test_malformed_rule_is_refused(rule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        forbidden(INSECURE, [rule])


def test_unknown_finding_is_a_doubt_of_the_gate_from_its_severity_on() -> None:
    claim = INSECURE.channels[0].encryption
    unread = replace(claim, value="unknown")
    channels = tuple(replace(it, encryption=unread) for it in HARDENED.channels)
    model = replace(HARDENED, channels=channels, env=None)
    found = find_threats(model)
    [first, *_] = found.state("unknown")
    assert tripped(found, "low", None) == []
    assert first.id in "".join(doubts(model, found, "low", None, []))
    assert doubts(model, found, None, None, []) == []
    kept = frozenset(item.id for item in found)
    assert doubts(model, found, "low", kept, []) == []
    paths = asked(HARDENED, ["pod -> secrets", "root:master -> admin"])
    assert [bool(each) for each in paths] == [False, True]


def test_json_lists_every_finding() -> None:
    said = json.loads(analyze(INSECURE).to_json())
    assert {item["id"] for item in said["findings"]} == {it.id for it in find_threats(INSECURE)}
    assert "caller-unauthenticated@dockerd@worker1:2375" in {it["id"] for it in said["findings"]}
    assert {"from", "to", "steps"} == set(said["paths"][0])
    assert analyze(INSECURE).to_json() == analyze(read_model("insecure")).to_json()


KEYS = ("accepted", "finding", "owner", "reason", "until", "impact", "thresholds")


def told(read: Callable[[Path], object], path: Path) -> str:
    """Read a file; return what was said about it, or its name where it can be read."""
    try:
        read(path)
    except ConfigError as error:
        return str(error)
    return path.name


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["accepted", "finding", "owner", "reason", "until", "impact", "thresholds"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_gives_a_traceback(tmp_path: Path, value: object) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(value))
    for read in (read_acceptances, read_risk):
        assert "any.yaml" in told(read, path)
