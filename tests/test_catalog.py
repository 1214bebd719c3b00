"""Every ATT&CK and CWE number that labkit can print is in its catalogue."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from labkit import catalog, techniques
from labkit.analysis import find_threats
from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.queries import attack_paths
from labkit.analysis.findings.object_threats import object_threats
from labkit.analysis.findings.risk import RiskRule
from labkit.analysis.findings.rules import COMPONENT_RULES, CREDENTIAL_RULES, RULES
from labkit.analysis.gate import as_finding
from labkit.cluster.objects.reader import Builder
from labkit.formats import FORMATS, write
from labkit.model import read_model
from labkit.render.report import markdown, report

ROOT = Path(__file__).resolve().parent.parent
MODES = ("insecure", "hardened")
#: Revoked or deprecated in MITRE's data of 18.1, or revoked in 19: some of each kind.
RETIRED = ("T1562", "T1562.001", "T1562.008", "T1562.010", "T1086", "T1175")
CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}
PRIVILEGED = {
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "nodeName": "w1",
        "containers": [{"name": "web", "securityContext": {"privileged": True}}],
    },
}
NUMBER = re.compile(r"\bT1\d{3}(?:\.\d{3})?\b")
WEAKNESS = re.compile(r"\bCWE-\d+\b", re.IGNORECASE)


def unlisted(text: str) -> set[str]:
    """Return the numbers in a text that the catalogues lack."""
    found = set(NUMBER.findall(text)) | {name.upper() for name in WEAKNESS.findall(text)}
    return found - set(catalog.attack().names) - set(catalog.cwe().names)


@pytest.fixture(scope="module", params=MODES)
def both(request):
    model = read_model(request.param)
    return model, find_threats(model)


def test_names_are_those_of_mitre():
    # https://attack.mitre.org/techniques/T1685/002/, https://cwe.mitre.org/data/definitions/61.html
    assert catalog.attack().names["T1685.002"] == (
        "Disable or Modify Tools: Disable or Modify Cloud Log"
    )
    assert catalog.cwe().names["CWE-61"] == "UNIX Symbolic Link (Symlink) Following"


@pytest.mark.parametrize("table", [catalog.attack, catalog.cwe])
def test_table_has_a_version_and_a_date(table):
    assert re.fullmatch(r"\d+\.\d+", table().version)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", table().date)


@pytest.mark.parametrize("number", RETIRED)
def test_retired_number_is_not_listed(number):
    assert number not in catalog.attack().names
    assert unlisted(f"see {number}") == {number}


@pytest.mark.parametrize("technique", techniques.values(), ids=lambda technique: technique.name)
def test_numbers_of_a_technique_are_listed(technique):
    assert set(technique.attack) <= set(catalog.attack().names)
    assert set(technique.cwe) <= set(catalog.cwe().names)
    for source in technique.sources:
        url = urlsplit(source)
        if url.hostname == "attack.mitre.org":
            number = ".".join(url.path.strip("/").split("/")[1:])
            assert url.path == f"/techniques/{number.replace('.', '/')}/"
            assert number in technique.attack, "a link to a technique that it does not name"


@pytest.mark.parametrize(
    "rule", [*RULES, *COMPONENT_RULES, *CREDENTIAL_RULES], ids=lambda r: r.name
)
def test_numbers_of_a_rule_are_listed(rule):
    assert rule.attack
    assert rule.cwe
    assert set(rule.attack) <= set(catalog.attack().names)
    assert set(rule.cwe) <= set(catalog.cwe().names)


def test_numbers_of_the_steps_from_objects_are_listed():
    listed = {kind.attack for kind in STEP_KINDS.values()} - {""}
    assert listed
    assert listed <= set(catalog.attack().names)


def test_numbers_of_findings_are_listed(both):
    model, threats = both
    found = list(threats)
    builder = Builder("test")
    builder.add(PRIVILEGED, "Pod", "dump.json")
    builder.add({"kind": "Node", "metadata": {"name": "w1", "labels": CONTROL_PLANE}}, "Node", "")
    of_a_dump = list(object_threats(builder.finish(), RiskRule()))
    assert of_a_dump
    found += of_a_dump
    found.append(as_finding(model, attack_paths(model, "root:worker1", "node", count=1)))
    assert {number for item in found for number in item.attack} <= set(catalog.attack().names)
    assert {number for item in found for number in item.cwe} <= set(catalog.cwe().names)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_numbers_in_a_format_are_listed(name, both):
    assert not unlisted(write(both[0], name, both[1]))


@pytest.mark.parametrize("write_report", [report, markdown])
def test_numbers_in_a_report_are_listed_and_named(write_report, both):
    page = write_report([both[0]], [both[1]], [[]])
    assert not unlisted(page)
    assert "CWE-250 Execution with Unnecessary Privileges" in page


def test_numbers_in_all_files_are_listed():
    folders = ("labkit", "notebooks", "docs", "environments")
    files = [ROOT / "README.md", *(p for f in folders for p in (ROOT / f).rglob("*.*"))]
    texts = {p: p.read_text() for p in files if p.suffix in {".py", ".md", ".ipynb", ".yaml"}}
    found = {
        path.relative_to(ROOT): numbers for path, t in texts.items() if (numbers := unlisted(t))
    }
    assert not found


def test_every_listed_number_is_used():
    text = "\n".join(path.read_text() for path in (ROOT / "labkit").rglob("*.py"))
    used = set(NUMBER.findall(text)) | set(WEAKNESS.findall(text))
    used |= {number.partition(".")[0] for number in used}
    assert not {*catalog.attack().names, *catalog.cwe().names} - used


def test_navigator_layer_has_the_version_of_the_table(both):
    versions = json.loads(write(both[0], "navigator", both[1]))["versions"]
    assert versions["attack"] == catalog.attack().version.split(".")[0]
