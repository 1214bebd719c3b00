"""Any file gives a model, or an error that names the file, and never a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.formats import FORMATS, read, read_text, write
from labkit.model import Model, read_model

READABLE = sorted(name for name, item in FORMATS.items() if item.reads)
FOREIGN = sorted((Path(__file__).parent / "foreign").iterdir())
HARDENED = read_model("hardened")
SMALL = Model(
    "small", HARDENED.components[:2], HARDENED.channels[:1], HARDENED.credentials[:1], "few"
)
DOCUMENTS = {path.name: yaml.safe_load(path.read_text()) for path in FOREIGN} | {
    name: yaml.safe_load(write(SMALL, name)) for name in READABLE
}
SLOTS = {
    "otm": ("project", "attributes", "labkit"),
    "tm-bom": ("extensions", "labkit.internal/model"),
    "threat-dragon": ("labkit",),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["unknown", "none", "tls1.3", "closed", "etcd", "../..", "<a>", "1" * 5000])
)
words = st.sampled_from(["id", "name", "title", "type", "cell", "x", "labkit", "value"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def tried(text: str, path: str) -> None:
    try:
        model = read_text(text, path)
    except ConfigError as error:
        model, said = None, str(error)
    # a model that was read can be written and read again
    assert path in said if model is None else read_text(write(model, "otm"), "a.json") == model


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document, as its container and its key."""
    found = []
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *spots(value[key])]
    return found


def mutated(data: st.DataObject, document: Any, within: tuple[str, ...] = ()) -> Any:
    document = copy.deepcopy(document)
    inner = document
    for key in within:
        inner = inner[key]
    for _ in range(data.draw(st.integers(1, 3))):
        places = spots(inner)
        if not places:
            break
        holder, key = data.draw(st.sampled_from(places))
        what = data.draw(st.sampled_from(["replace", "remove", "double", "swap"]))
        if what == "replace":
            holder[key] = data.draw(anything)
        elif what == "remove":
            del holder[key]
        elif what == "double" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            other, place = data.draw(st.sampled_from(places))
            holder[key] = copy.deepcopy(other[place])
    return document


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
@settings(max_examples=8)
@given(data=st.data())
def test_changed_document_is_read_or_refused(name, data):
    document = mutated(data, DOCUMENTS[name])
    if "threagile" in name:
        tried(yaml.safe_dump(document), "changed.yaml")
    else:
        tried(json.dumps(document), "changed.json")


@pytest.mark.parametrize("name", sorted(SLOTS))
@settings(max_examples=8)
@given(data=st.data())
def test_changed_free_slot_is_read_or_refused(name, data):
    document = mutated(data, DOCUMENTS[name], SLOTS[name])
    tried(json.dumps(document), "changed.json")


@settings(max_examples=8)
@given(data=st.data())
def test_changed_free_slot_of_threagile_is_read_or_refused(data):
    document = copy.deepcopy(DOCUMENTS["threagile"])
    slot = mutated(data, {"labkit": json.loads(document["labkit"])})
    document["labkit"] = json.dumps(slot.get("labkit"))
    tried(yaml.safe_dump(document), "changed.yaml")


@pytest.mark.parametrize(
    "keys",
    [
        ("otmVersion", "project", "trustZones", "components", "dataflows", "assets"),
        ("scope", "trust_zones", "components", "data_stores", "data_sets", "data_flows"),
        ("summary", "detail"),
        ("threagile_version", "title", "technical_assets", "trust_boundaries", "labkit"),
    ],
    ids=READABLE,
)
@settings(max_examples=8)
@given(data=st.data())
def test_arbitrary_document_is_read_or_refused(keys, data):
    document = {key: data.draw(anything) for key in keys}
    tried(json.dumps(document), "anything.json")
    tried(yaml.safe_dump(document), "anything.yaml")


@settings(max_examples=30)
@given(value=anything)
def test_arbitrary_value_is_read_or_refused(value):
    tried(json.dumps(value), "anything.json")


@settings(max_examples=50)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_arbitrary_bytes_are_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bytes\.json"):
        read(path)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
@settings(max_examples=5)
@given(data=st.data())
def test_spoiled_text_is_read_or_refused(name, data):
    document = DOCUMENTS[name]
    text = yaml.safe_dump(document) if "threagile" in name else json.dumps(document, indent=1)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    spoiled = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    tried(spoiled, "spoiled.yaml" if "threagile" in name else "spoiled.json")
