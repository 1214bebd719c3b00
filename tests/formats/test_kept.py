"""A model of another tool that is written again keeps what it said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis import analyze, find_threats
from labkit.analysis.attack_graph.queries import usual_starts
from labkit.analysis.gate import asked, doubts
from labkit.formats import FORMATS, read, read_text, write
from labkit.model import Model
from labkit.render.usual_paths import usual_paths

READABLE = {
    "otm": "shop.otm.json",
    "tm-bom": "shop.tmbom.json",
    "threat-dragon": "shop.threatdragon.json",
    "threagile": "shop.threagile.yaml",
}
#: What labkit adds to a document of another tool.
ADDED = frozenset(
    [
        *("labkit", "extensions", "attributes", "threats", "mitigations", "threat_personas"),
        *("controls", "risks", "individual_risk_categories", "custom_risk_categories"),
        *("risk_tracking", "hasOpenThreats", "threatTop"),
    ]
)


def plain(text: str) -> Any:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Return the places of what a document does not say as it did before."""
    if isinstance(before, dict):
        return [
            place
            for key, value in before.items()
            if key not in ADDED
            for place in lost(value, after.get(key, "absent"), f"{path}/{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [it for one, other in pairs for it in lost(one, other, f"{path}/")]
    return [] if before == after else [f"{path}: {before!r} is {after!r}"]


@pytest.mark.parametrize("name", READABLE)
def test_document_written_again_says_what_it_said(name, foreign):
    text = (foreign / READABLE[name]).read_text()
    model = read(foreign / READABLE[name])
    again = write(model, name, find_threats(model))
    assert lost(plain(text), plain(again)) == []
    # and a second time, by way of the free slot
    found = read_text(again, "again")
    assert found == model
    assert write(found, name, find_threats(model)) == again


@pytest.mark.parametrize("through", READABLE)
@pytest.mark.parametrize("name", READABLE)
def test_document_is_kept_on_the_way_through_another_tool(name, through, foreign):
    text = (foreign / READABLE[name]).read_text()
    model = read_text(write(read(foreign / READABLE[name]), through), "between")
    assert lost(plain(text), plain(write(model, name))) == []


@pytest.mark.parametrize("name", READABLE)
def test_findings_are_added_to_those_that_are_there(name, foreign):
    model = read(foreign / READABLE[name])
    bare, full = write(model, name), write(model, name, find_threats(model))
    assert len(full) > len(bare)
    said = find_threats(model).state("open", "unknown").findings[0]
    assert said.title in full


@pytest.mark.parametrize("name", READABLE)
def test_changed_model_is_written_from_the_model(name, foreign):
    model = replace(read(foreign / READABLE[name]), name="renamed")
    assert "renamed" in write(model, name)
    assert read_text(write(model, name), "again").name == "renamed"


def dragon(foreign: Path, **data: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((foreign / "shop.threatdragon.json").read_text())
    document["detail"]["diagrams"][0]["cells"][6]["data"] |= data
    return document


def flow_of(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = document["detail"]["diagrams"][0]["cells"][6]["data"]
    return found


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("protocol", ["LDAPS", "ssh", "jdbc", "Modbus", "https", ""])
def test_protocol_and_encryption_of_a_flow_are_kept(protocol, encrypted, foreign):
    text = json.dumps(dragon(foreign, protocol=protocol, isEncrypted=encrypted))
    kept = flow_of(json.loads(write(read_text(text, "a.json"), "threat-dragon")))
    assert (kept["protocol"], kept["isEncrypted"]) == (protocol, encrypted)


@pytest.mark.parametrize(
    ("protocol", "encrypted", "word"),
    [
        ("ldaps", True, "ldaps"),
        ("ssh", True, "ssh"),
        ("jdbc", True, "jdbc-encrypted"),
        ("jdbc", False, "jdbc"),
        ("Modbus", True, "binary-encrypted"),
        ("Modbus", False, "binary"),
        ("https", True, "https"),
    ],
)
def test_protocol_has_threagiles_name_for_it(protocol, encrypted, word, foreign):
    text = json.dumps(dragon(foreign, protocol=protocol, isEncrypted=encrypted))
    document = plain(write(read_text(text, "a.json"), "threagile"))
    assets = document["technical_assets"].values()
    links = {k: it for each in assets for k, it in each["communication_links"].items()}
    assert links[flow_of(json.loads(text))["name"]]["protocol"] == word


# -- scope ------------------------------------------------------------------------------------


def scoped(name: str, foreign: Path) -> Model:
    if name == "threagile":
        document = plain((foreign / "shop.threagile.yaml").read_text())
        document["technical_assets"]["Orders"] |= {
            "out_of_scope": True,
            "justification_out_of_scope": "bought",
        }
        document["technical_assets"]["Shop"]["communication_links"]["Keeps"] |= {
            "authentication": "none"
        }
        return read_text(yaml.safe_dump(document), "a.yaml")
    data = {"outOfScope": True, "reasonOutOfScope": "bought", "isEncrypted": False}
    return read_text(json.dumps(dragon(foreign, **data, protocol="http")), "a.json")


@pytest.mark.parametrize("name", ["threat-dragon", "threagile"])
def test_what_is_out_of_scope_has_no_open_finding_and_is_told(name, foreign):
    model = scoped(name, foreign)
    [(subject, reason)] = model.out_of_scope
    assert reason == "bought"
    about = [it for it in find_threats(model) if it.subject == subject]
    assert {it.state for it in about} <= {"accepted", "mitigated"}
    assert any(it.explanation == "out of scope: bought" for it in about)
    assert any(f"{subject} is out of scope (bought)" in note for note in model.unknowns)
    inside = replace(model, out_of_scope=())
    assert {it.state for it in find_threats(inside) if it.subject == subject} & {"open", "unknown"}
    again = read_text(write(model, name), "again")
    assert again.out_of_scope == model.out_of_scope


def test_scope_that_somebody_changed_wins(foreign):
    document = json.loads(write(scoped("threat-dragon", foreign), "threat-dragon"))
    flow_of(document)["outOfScope"] = False
    model = read_text(json.dumps(document), "a.json")
    assert model.out_of_scope == ()
    assert any("out of scope is ()" in note for note in model.unknowns)


# -- directions -------------------------------------------------------------------------------

OTM = """\
otmVersion: 0.2.0
project: {name: shop, id: shop}
trustZones: [{id: z, name: Net, risk: {trustRating: 1}}]
components:
- {id: web, name: Web, type: web-service, parent: {trustZone: z}}
- {id: db, name: Customer Database, type: datastore, parent: {trustZone: z}}
dataflows: [{id: f, name: sync, source: web, destination: db, bidirectional: BOTH}]
"""


@pytest.mark.parametrize("both", [True, False])
def test_direction_of_a_flow_is_kept_and_two_are_told(both):
    model = read_text(OTM.replace("BOTH", str(both).lower()), "a.yaml")
    assert json.loads(write(model, "otm"))["dataflows"][0]["bidirectional"] is both
    assert any("sync goes in both directions" in note for note in model.unknowns) == both


# -- no cluster, no ports ---------------------------------------------------------------------


def test_listener_without_a_port_has_the_name_of_its_server(foreign_file):
    model = read(foreign_file)
    found = find_threats(model)
    texts = [repr(found), analyze(model, found).to_json()]
    texts += [write(model, name, found) for name in FORMATS]
    assert not [text for text in texts if ":None" in text]
    servers = {it.server for it in model.channels}
    listeners = {it.id.partition("@")[2] for it in found if it.rule == "caller-unauthenticated"}
    assert {it.partition(":")[0] for it in listeners} <= servers


def test_model_without_a_cluster_has_no_goals_of_one(foreign_file):
    model = read(foreign_file)
    assert not model.of_cluster
    assert usual_paths(model) == []
    assert json.loads(analyze(model).to_json())["paths"] == []
    said = doubts(model, find_threats(model), None, None, asked(model, ["pod -> admin"]))
    # a server that is named etcd may make the path possible as well
    assert "has no part of a cluster" in said[-1]
    assert usual_starts(model)
