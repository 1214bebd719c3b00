"""Written files are valid under the upstream schemas, and the other tools load them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest

from labkit.analysis.findings.finding import Findings
from labkit.errors import ConfigError
from labkit.formats import FORMATS, write
from labkit.model import read_model

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    "otm": "otm-0.2.0",
    "tm-bom": "tm-bom-1.0.2",
    "threat-dragon": "threat-dragon-v2",
    "threagile": "threagile",
    "sarif": "sarif-2.1.0",
}


@pytest.fixture(scope="module", params=["insecure", "hardened"])
def model(request):
    return read_model(request.param)


@pytest.fixture
def findings(model, make_findings):
    return make_findings(model)


# -- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_output_is_valid_under_the_upstream_schema(name, model, findings, validate):
    validate(SCHEMAS[name], write(model, name, findings if model.name == "insecure" else None))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_output_is_the_same_each_time(name, model, findings):
    text = write(model, name, findings)
    assert write(model, name, reversed(list(findings))) == text
    assert not re.search(r"20\d\d-\d\d-\d\d", text), "a date"


def test_unknown_format_is_refused(model):
    with pytest.raises(ConfigError, match="did you mean sarif"):
        write(model, "saref")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_format_table_matches_the_modules(name):
    item = FORMATS[name]
    assert item.name == name
    assert hasattr(item.module, "visible") == item.reads


def test_formats_page_lists_every_format():
    rows = re.findall(
        r"^\| `([\w-]+)` \|[^|]*\| *(\w*) *\| *(\w*) *\|",
        (ROOT / "docs" / "formats.md").read_text(),
        re.MULTILINE,
    )
    assert {name: (bool(findings), bool(reads)) for name, findings, reads in rows} == {
        name: (item.findings, item.reads) for name, item in FORMATS.items()
    }


def test_formats_are_imported_only_when_used():
    code = "import labkit.formats, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "labkit.formats" in loaded
    assert importlib.util.find_spec("labkit.formats.otm")
    assert not {"docker", "matplotlib", "labkit.formats.otm", "labkit.lab"} & loaded


# -- SARIF ----------------------------------------------------------------------------------


@pytest.fixture
def run(model, findings):
    return json.loads(write(model, "sarif", findings))["runs"][0]


def test_sarif_reports_open_unknown_and_accepted_findings(run, findings):
    reported = {it["partialFingerprints"]["labkit/v1"] for it in run["results"]}
    wanted = findings.state("open", "unknown", "accepted")
    assert reported == {item.id for item in wanted}


def test_sarif_locations_point_at_the_configuration_line(run):
    seen = 0
    for result in run["results"]:
        place = result["locations"][0].get("physicalLocation")
        if place is None:
            continue
        artifact, region = place["artifactLocation"], place["region"]
        assert artifact["uriBaseId"] == "SRCROOT"
        assert artifact["uri"].startswith("environments/")
        line = (ROOT / artifact["uri"]).read_text().splitlines()[region["startLine"] - 1]
        if "snippet" in region:
            words = region["snippet"]["text"].split(": ")[-1].split("=")[-1]
            assert words
            assert words in line
            seen += 1
    assert seen


def test_sarif_results_have_subject_rule_and_level(run, findings):
    by_id = {item.id: item for item in findings}
    assert run["results"]
    for result in run["results"]:
        item = by_id[result["partialFingerprints"]["labkit/v1"]]
        [location] = result["locations"]
        assert location["logicalLocations"][0]["fullyQualifiedName"] == item.subject
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"] == item.rule
        worst = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
        assert result["level"] == worst[item.severity]
        assert ("suppressions" in result) == (item.state == "accepted")
        assert "external/cwe/cwe-319" in rule["properties"]["tags"]
        assert 0 < float(rule["properties"]["security-severity"]) <= 10


def test_sarif_of_a_model_by_hand_has_logical_locations_only(make_findings, model):
    items = [item for item in make_findings(model) if item.claim.source.path == "by hand"]
    document = json.loads(write(model, "sarif", Findings(items)))
    assert document["runs"][0]["results"]
    for result in document["runs"][0]["results"]:
        assert "physicalLocation" not in result["locations"][0]


# -- JUnit, GraphML, the Navigator, Mermaid ---------------------------------------------------


def test_junit_fails_for_open_findings(model, findings):
    suites = ElementTree.fromstring(write(model, "junit", findings))
    [suite] = suites
    cases = {case.get("name"): case for case in suite}
    assert set(cases) == {item.id for item in findings}
    for item in findings:
        children = {child.tag for child in cases[item.id]}
        wanted = {"open": "failure", "unknown": "skipped", "accepted": "skipped"}
        assert children == {wanted.get(item.state, "system-out")}
        assert cases[item.id].get("classname") == item.rule
    assert suite.get("failures") == str(len(findings.open))
    assert suite.get("tests") == str(len(findings))


def test_graphml_is_read_by_networkx(model, findings):
    # networkx has no type hints for a multigraph here
    graph: Any = nx.parse_graphml(write(model, "graphml", findings), force_multigraph=True)
    assert set(graph) == {it.id for it in model.components}
    edges = {key: data for *_, key, data in graph.edges(keys=True, data=True)}
    assert set(edges) == {it.id for it in model.channels}
    for it in model.channels:
        data = edges[it.id]
        assert (data["encryption"], data["open"]) == (it.encryption.value, it.open)
        assert data.get("port") == it.port
        opened = [item for item in findings.open if item.subject == it.id]
        assert data["open findings"] == len(opened)


def test_navigator_scores_open_findings(model, findings):
    layer = json.loads(write(model, "navigator", findings))
    # layers/spec/v4.5/layerformat.md: "attack" is a string, "navigator" at least "4.9.0"; the
    # Navigator's own example has "18", for 18.1
    assert layer["versions"] == {"attack": "19", "navigator": "5.1.0", "layer": "4.5"}
    scores = {it["techniqueID"]: it["score"] for it in layer["techniques"]}
    wanted: dict[str, int] = {}
    for item in findings.open:
        for name in item.attack:
            wanted[name] = max(wanted.get(name, 0), item.likelihood * item.impact)
    assert wanted.pop("no technique")
    assert wanted
    assert scores == wanted
    assert all(it["comment"] for it in layer["techniques"])


def test_mermaid_equals_the_drawing_of_the_notebooks(model):
    from labkit.render.mermaid import mermaid

    assert write(model, "mermaid") == mermaid(model).source


# -- the diagrams and their threats -----------------------------------------------------------


def test_threat_dragon_puts_each_component_into_its_zone(model):
    document = json.loads(write(model, "threat-dragon"))
    cells = document["detail"]["diagrams"][0]["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    shapes = {cell["data"]["name"]: cell["data"]["type"] for cell in cells}
    assert shapes["etcd@etcd1"] == "tm.Store"
    assert shapes["kubelet@worker1"] == "tm.Process"
    assert shapes["local-users@worker1"] == "tm.Actor"
    parts = [cell for cell in cells if cell["shape"] in ("process", "store", "actor")]
    corners = [(cell["position"]["x"], cell["position"]["y"]) for cell in parts]
    assert len(set(corners)) == len(corners), "one on top of another"


def test_threat_dragon_counts_threats(model, findings):
    document = json.loads(write(model, "threat-dragon", findings))
    cells = document["detail"]["diagrams"][0]["cells"]
    threats = [threat for cell in cells for threat in cell["data"].get("threats", ())]
    assert len({threat["number"] for threat in threats}) == len(threats)
    assert max(threat["number"] for threat in threats) <= document["detail"]["threatTop"]
    assert {threat["type"] for threat in threats} == {"Information disclosure"}


def test_otm_references_exist(model, findings):
    document = json.loads(write(model, "otm", findings))
    ids = {key: {it["id"] for it in document[key]} for key in ("components", "threats", "assets")}
    mitigations = {it["id"] for it in document["mitigations"]}
    zones = {it["id"] for it in document["trustZones"]}
    assert document["dataflows"]
    assert mitigations
    for flow in document["dataflows"]:
        assert {flow["source"], flow["destination"]} <= ids["components"]
        assert set(flow["assets"]) <= ids["assets"]
    for it in [*document["components"], *document["dataflows"]]:
        assert it.get("parent", {}).get("trustZone") in {None, *zones}
        for threat in it["threats"]:
            assert threat["threat"] in ids["threats"]
            assert {each["mitigation"] for each in threat["mitigations"]} <= mitigations
    assert len(document["threats"]) == len(findings)


def test_tm_bom_references_exist(model, findings):
    document = json.loads(write(model, "tm-bom", findings))
    names = {
        kind: {it["symbolic_name"] for it in document[key]}
        for kind, key in (
            ("component", "components"),
            ("data-store", "data_stores"),
            ("actor", "actors"),
        )
    }
    assert document["data_flows"]
    assert document["controls"]
    assert document["risks"]
    for flow in document["data_flows"]:
        for end in (flow["source"], flow["destination"]):
            assert end["object"] in names[end["type"]]
    threats = {it["symbolic_name"] for it in document["threats"]}
    assert len(threats) == len(findings)
    for it in [*document["controls"], *document["risks"]]:
        assert set(it["threats"]) <= threats
    everything = set().union(*names.values())
    assert all(set(it["components_affected"]) <= everything for it in document["threats"])


def test_hardened_crosses_its_boundaries_with_certificates():
    document = json.loads(write(read_model("hardened"), "tm-bom"))
    methods = {tuple(it["authentication_methods"]) for it in document["trust_boundaries"]}
    assert methods == {("public_key",)}
    document = json.loads(write(read_model("insecure"), "tm-bom"))
    methods = {tuple(it["authentication_methods"]) for it in document["trust_boundaries"]}
    assert methods == {("none",)}


# -- the tools themselves -------------------------------------------------------------------


@pytest.mark.skipif(not importlib.util.find_spec("pytm"), reason="pytm is not installed")
def test_pytm_runs_the_script(model, tmp_path):
    script, out = tmp_path / "model.py", tmp_path / "model.json"
    script.write_text(write(model, "pytm"))
    subprocess.run([sys.executable, script, "--json", out], check=True, capture_output=True)
    flows = json.loads(out.read_text())["flows"]
    assert len(flows) == sum(it.open for it in model.channels)


def test_pytm_script_is_python(model):
    compile(write(model, "pytm"), "model.py", "exec")


@pytest.mark.skipif(not shutil.which("otm"), reason="open-threat-model is not installed")
def test_open_threat_model_imports_the_file(model, findings, tmp_path):
    path, out = tmp_path / "model.otm.json", tmp_path / "model.yaml"
    path.write_text(write(model, "otm", findings))
    subprocess.run(["otm", "import", "otm", path, "--output", out], check=True, capture_output=True)
    assert out.exists()


@pytest.mark.skipif(not shutil.which("threagile"), reason="Threagile is not installed")
def test_threagile_reports_the_risks(model, findings, tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text(write(model, "threagile", findings))
    pictures = ("report-pdf", "report-adoc", "data-flow-diagram", "data-asset-diagram")
    tables = ("risks-excel", "tags-excel")
    options = [f"--generate-{name}=false" for name in (*pictures, *tables)]
    command = ["threagile", "analyze-model", "--model", path, "--output", tmp_path, *options]
    subprocess.run(command, check=True, capture_output=True)
    risks = json.loads((tmp_path / "risks.json").read_text())
    ours = {it["title"] for it in risks if it["category"].startswith("labkit-")}
    assert ours == {item.id for item in findings}
    accepted = {it["title"] for it in risks if it.get("risk_status") == "accepted"}
    assert accepted == {item.id for item in findings.state("accepted")}
