"""Files that labkit did not write: known and unknown properties, with their lines."""

from __future__ import annotations

import json

import pytest

from labkit.errors import ConfigError
from labkit.formats import read, read_text, write
from labkit.model import PROPERTIES, Component


def values(channel):
    return [getattr(channel, name).value for name in PROPERTIES]


def stored(component: Component) -> str:
    claim = component.claim("encryption at rest")
    assert claim is not None
    return claim.value


def test_every_foreign_file_is_read(foreign_file):
    model = read(foreign_file)
    assert model.components
    assert model.channels
    for channel in model.channels:
        for name in PROPERTIES:
            claim = getattr(channel, name)
            assert claim.source.path == foreign_file.as_posix()
            assert claim.source.line
            said = f"{channel.id}: {name.replace('_', ' ')} is {claim}"
            assert (said in model.unknowns) == (claim.value == "unknown")


def test_every_foreign_file_goes_through_every_readable_format(foreign_file):
    model = read(foreign_file)
    for name in ("otm", "tm-bom", "threat-dragon", "threagile"):
        assert read_text(write(model, name), f"model.{name}") == model


def test_otm_file_is_read_as_expected(foreign):
    model = read(foreign / "shop.otm.json")
    assert [(it.id, it.kind, it.zone) for it in model.components] == [
        ("Browser", "browser", "Internet"),
        ("Shop", "web-service", "Data centre"),
        ("Module", "process", "Data centre"),
        ("Orders", "datastore", "Data centre"),
    ]
    buys, unnamed = model.channels
    assert (buys.id, buys.client, buys.server) == ("Buys", "Browser", "Shop")
    assert (buys.protocol, buys.port, buys.data) == ("https", 443, ("Cards",))
    assert values(buys) == ["unknown", "unknown", "none", "unknown"]
    assert buys.encryption.detail == "encrypted; the file does not give the TLS version"
    assert buys.client_authentication.source.line == 19
    assert unnamed.id == "Module -> Orders"
    assert any(":21 " in note and "'c9'" in note and "'Lost'" in note for note in model.unknowns)


def test_tm_bom_file_is_read_as_expected(foreign):
    model = read(foreign / "shop.tmbom.json")
    assert [(it.id, it.kind, it.zone) for it in model.components] == [
        ("Shop", "process", "DMZ"),
        ("Orders", "datastore", "Data centre"),
        ("Customer", "actor", "DMZ"),
    ]
    assert stored(model.component("Orders")) == "none"
    buys, keeps = model.channels
    assert values(buys) == ["unknown"] * 4
    assert values(keeps) == ["none", "unknown", "unknown", "unknown"]
    # the flow calls the shop an actor, and only one thing has that name
    assert keeps.client == "Shop"


def test_threat_dragon_file_is_read_as_expected(foreign):
    model = read(foreign / "shop.threatdragon.json")
    assert [(it.id, it.kind, it.zone) for it in model.components] == [
        ("Browser", "actor", ""),
        ("Shop", "process", "Data centre"),
        ("Orders", "datastore", "Vault"),
    ]
    assert stored(model.component("Orders")) == "encrypted"
    assert [it.id for it in model.channels] == ["Buys", "Keeps"]
    assert values(model.channels[0]) == ["unknown"] * 4
    assert values(model.channels[1]) == ["none", "none", "unknown", "unknown"]
    assert any("curve" in note for note in model.unknowns)
    assert any("'Loose'" in note and "loose" in note for note in model.unknowns)


def test_threagile_file_is_read_as_expected(foreign):
    model = read(foreign / "shop.threagile.yaml")
    assert [(it.id, it.kind, it.zone) for it in model.components] == [
        ("Shop", "process", ""),
        ("Orders", "datastore", "Data centre"),
    ]
    [keeps] = model.channels
    assert values(keeps) == ["unknown", "unknown", "required", "enforced"]
    assert keeps.client_authentication.detail == "credentials"
    assert keeps.client_authentication.source.line == 38
    assert keeps.data == ("Cards",)


@pytest.mark.parametrize(
    ("protocol", "encrypted", "value", "detail"),
    [
        ("HTTPS", False, "unknown", "marked as not encrypted, and https encrypts"),
        ("HTTP", True, "unknown", "marked as encrypted, and http encrypts nothing"),
        ("", True, "unknown", "encrypted; the file does not give the TLS version"),
        ("", False, "none", "marked as not encrypted"),
        ("unix", False, "local", "unix"),
    ],
)
def test_contradictory_protocol_and_encryption_mark_is_unknown(
    foreign, protocol, encrypted, value, detail
):
    data = json.loads((foreign / "shop.threatdragon.json").read_text())
    flow = data["detail"]["diagrams"][0]["cells"][6]
    flow["data"] |= {"protocol": protocol, "isEncrypted": encrypted}
    claim = read_text(json.dumps(data), "shop.json").channels[0].encryption
    assert (claim.value, claim.detail) == (value, detail)


def test_drawing_names_components_without_a_machine(foreign):
    text = write(read(foreign / "shop.threatdragon.json"), "mermaid")
    assert '["Browser"]' in text
    assert '|"https"|' in text
    assert "None" not in text


def test_equal_names_are_made_distinct(foreign):
    data = json.loads((foreign / "shop.otm.json").read_text())
    for component in data["components"]:
        component["name"] = "box"
    model = read_text(json.dumps(data), "shop.json")
    assert [it.id for it in model.components] == ["box (c1)", "box (c2)", "box (c3)", "box (c4)"]


def test_parent_of_itself_is_in_no_zone(foreign):
    data = json.loads((foreign / "shop.otm.json").read_text())
    data["components"][2]["parent"] = {"component": "c3"}
    assert read_text(json.dumps(data), "shop.json").component("Module").zone == ""


def test_foreign_value_is_unknown(foreign):
    data = json.loads((foreign / "shop.otm.json").read_text())
    data["dataflows"][0]["attributes"]["encryption"] = "rot13"
    model = read_text(json.dumps(data), "shop.json")
    assert model.channels[0].encryption.value == "unknown"
    assert any("labkit does not know the value 'rot13'" in note for note in model.unknowns)


def test_includes_are_unknowns(foreign):
    text = (foreign / "shop.threagile.yaml").read_text() + "includes: [more.yaml]\n"
    assert any("more.yaml is not read" in note for note in read_text(text, "a.yaml").unknowns)


# -- malformed files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.json:1: expected one YAML document"),
        ("{", "m.json:1: invalid JSON"),
        ('{\n"a": 1,\n"a": 2}', "m.json:3: 'a' stands here twice, first on line 2"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a":' + "[" * 99 + "]" * 99 + "}", "too deeply nested"),
        ('{"a":' + "[" * 99999 + "]" * 99999 + "}", "m.json: invalid JSON"),
        ('{"a": 1}', "m.json:1: in none of the formats that labkit reads"),
        ('{"otmVersion": "0.2.0",\n"trustZones": 7}', "m.json:2: trustZones: expected a list"),
        (
            '{"otmVersion": "1",\n"trustZones": [{"id": "a"},\n{"id": "a"}]}',
            "m.json:3: trustZones.1.id: 'a' stands here twice",
        ),
        ('{"otmVersion": "1", "dataflows": [{}]}', "dataflows.0.id must be given as one word"),
        ("technical_assets: [a]", "m.json:1: technical_assets: expected keys and values"),
        (
            '{"summary": {}, "detail": {"diagrams": [{"diagramJson": {}}]}}',
            "a model of Threat Dragon 1",
        ),
        (
            '{"otmVersion": "1", "project": {"attributes": {\n"labkit": {"version": 2}}}}',
            "m.json:2: project.attributes.labkit.version: a model of version 2",
        ),
    ],
)
def test_malformed_file_is_refused_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        read_text(text, "m.json")
    assert message in str(caught.value)


def test_recursive_yaml_is_refused(foreign):
    text = "technical_assets: &a\n  x: *a\n"
    with pytest.raises(ConfigError, match=r"m\.yaml"):
        read_text(text, "m.yaml")


def test_write_only_format_is_refused_for_reading():
    with pytest.raises(ConfigError, match=r"labkit writes SARIF 2\.1\.0, but does not read it"):
        read_text("{}", "m.json", "sarif")


def test_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="did you mean threagile"):
        read_text("{}", "m.json", "threagil")


def test_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path)


def test_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(b"{\n\xff}")
    with pytest.raises(ConfigError, match=r"model.json:2: not UTF-8 text"):
        read(path)
