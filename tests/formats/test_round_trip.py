"""A written model is read as an equal model, with the changes that another tool made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.formats import FORMATS, read, read_text, write
from labkit.formats.documents import parse
from labkit.formats.plain import from_plain, to_plain
from labkit.model import (
    PROPERTIES,
    VALUES,
    Channel,
    Claim,
    Component,
    Foothold,
    Model,
    Source,
    StoredCredential,
    read_model,
)
from labkit.model.footholds import ADMIN, SECRETS

READABLE = sorted(name for name, item in FORMATS.items() if item.reads)

texts = st.text(max_size=12)
sources = st.builds(Source, texts, st.none() | st.integers(1, 999), texts, st.booleans())
claims = st.builds(Claim, texts, texts, sources)
lists = st.lists(texts, max_size=3).map(tuple)


def parts(ids: list[str]) -> st.SearchStrategy[tuple[Component, ...]]:
    pairs = st.lists(st.tuples(texts, claims), max_size=2, unique_by=lambda pair: pair[0])
    kinds = texts | st.sampled_from(["etcd", "kubelet", "kubectl", "pod"])
    return st.tuples(
        *(
            st.builds(Component, st.just(it), kinds, texts, texts, pairs.map(tuple), texts)
            for it in ids
        )
    )


def properties() -> dict[str, st.SearchStrategy[Claim]]:
    return {
        name: st.builds(Claim, st.sampled_from(VALUES[name]), texts, sources) for name in PROPERTIES
    }


@st.composite
def models(draw: st.DrawFn) -> Model:
    ids = draw(st.lists(texts, max_size=4, unique=True))
    ends = st.sampled_from([*ids, "unknown@far"])
    channels = [
        draw(
            st.builds(
                Channel,
                **properties(),
                id=st.just(name),
                client=ends,
                server=ends,
                protocol=texts | st.sampled_from(["http", "https", "unix"]),
                port=st.none() | st.integers(0, 65535),
                path=st.none() | texts,
                open=st.booleans(),
                credential=st.none() | texts,
                data=lists,
                client_zone=texts,
                server_zone=texts,
                bind=texts,
                members=lists,
            )
        )
        for name in draw(st.lists(texts, max_size=4, unique=True))
    ]
    names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
    goals = st.sampled_from([ADMIN, SECRETS]).map(lambda goal: (goal,)) | st.just(())
    places = st.builds(Foothold, st.sampled_from(["user", "pod"]), names)
    readers = st.lists(places, max_size=2).map(tuple)
    held = st.builds(StoredCredential, texts, texts, texts, texts, goals, readers, lists, sources)
    return Model(
        name=draw(texts),
        components=draw(parts(ids)),
        channels=tuple(channels),
        credentials=tuple(draw(st.lists(held, max_size=2))),
        description=draw(texts),
        unknowns=draw(lists),
    )


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
@pytest.mark.parametrize("name", READABLE)
def test_mode_is_equal_after_a_round_trip(name, mode, make_findings, tmp_path):
    model = read_model(mode)
    path = tmp_path / f"model{FORMATS[name].extension}"
    path.write_text(write(model, name, make_findings(model)), encoding="utf-8")
    found = read(path)
    assert found == model
    assert found.unknowns == model.unknowns
    assert write(found, name) == write(model, name)


@pytest.mark.parametrize("name", READABLE)
@settings(max_examples=12)
@given(model=models())
def test_any_model_is_equal_after_a_round_trip(name, model):
    found = read_text(write(model, name), f"model{FORMATS[name].extension}")
    assert found == model
    assert found.unknowns == model.unknowns


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=6)
@given(model=models())
def test_any_model_can_be_written(name, model):
    assert write(model, name) == write(model, name)


@settings(max_examples=15)
@given(model=models())
def test_plain_form_is_equal_after_a_round_trip(model):
    text = json.dumps(to_plain(model))
    assert from_plain(parse(text, "model.json")) == model


# -- changes in another tool ----------------------------------------------------------------


def small() -> Model:
    source = Source("etcd.service", 7, "--client-cert-auth=true")
    claims: dict[str, Any] = {
        name: Claim(VALUES[name][0], "by hand", source) for name in PROPERTIES
    }
    channel = Channel(
        **claims | {"encryption": Claim("tls1.3", "mutual TLS", source)},
        id="api -> etcd:2379",
        client="api",
        server="etcd",
        protocol="https",
        port=2379,
        path=None,
        open=True,
        credential="client",
        data=("secrets",),
        client_zone="master node",
        server_zone="master node",
    )
    closed: dict[str, Any] = {name: Claim("closed", "", source) for name in PROPERTIES}
    return Model(
        name="small",
        components=(
            Component("api", "kube-apiserver", "master", "master node"),
            Component("etcd", "etcd", "etcd1", "master node"),
            Component("kubelet", "kubelet", "worker1", "worker node"),
        ),
        channels=(
            channel,
            replace(channel, **closed, id="kubelet -> etcd:1", client="kubelet", open=False),
        ),
        credentials=(StoredCredential("client", "master", "certificate"),),
    )


def changed(name: str, edit: str) -> Model:
    """Change a field that the tool shows, as its user would, and keep the free slot."""
    text = write(small(), name)
    data = yaml.safe_load(text)
    EDITS[name, edit](data)
    dump = yaml.safe_dump if name == "threagile" else json.dumps
    return read_text(dump(data), f"model{FORMATS[name].extension}")


def cell(data, name):
    cells = data["detail"]["diagrams"][0]["cells"]
    return next(it for it in cells if it["data"]["name"] == name)


def link(data):
    return data["technical_assets"]["api"]["communication_links"]["api -> etcd:2379"]


def drop_cell(data, *names):
    diagram = data["detail"]["diagrams"][0]
    diagram["cells"] = [it for it in diagram["cells"] if it["data"]["name"] not in names]


def rename_asset(data):
    assets = data["technical_assets"]
    data["technical_assets"] = {
        {"kubelet": "node agent"}.get(key, key): it for key, it in assets.items()
    }


FLOW = "api -> etcd:2379"
EDITS = {
    ("otm", "plaintext"): lambda d: d["dataflows"][0]["attributes"].update(encryption="none"),
    ("tm-bom", "plaintext"): lambda d: d["data_flows"][0].update(encrypted=False),
    ("threat-dragon", "plaintext"): lambda d: cell(d, FLOW)["data"].update(
        isEncrypted=False, protocol="HTTP"
    ),
    ("threagile", "plaintext"): lambda d: link(d).update(protocol="http"),
    ("otm", "rename"): lambda d: d["components"][2].update(name="node agent"),
    ("tm-bom", "rename"): lambda d: d["components"][1].update(title="node agent"),
    ("threat-dragon", "rename"): lambda d: cell(d, "kubelet")["data"].update(name="node agent"),
    ("threagile", "rename"): rename_asset,
    ("otm", "remove"): lambda d: (d["components"].pop(1), d["dataflows"].clear()),
    ("tm-bom", "remove"): lambda d: (d["data_stores"].clear(), d["data_flows"].clear()),
    ("threat-dragon", "remove"): lambda d: drop_cell(d, "etcd", FLOW),
    ("threagile", "remove"): lambda d: (
        d["technical_assets"].pop("etcd"),
        d["technical_assets"]["api"]["communication_links"].clear(),
    ),
    ("otm", "title"): lambda d: d["project"].update(name="other"),
    ("tm-bom", "title"): lambda d: d["scope"].update(title="other"),
    ("threat-dragon", "title"): lambda d: d["summary"].update(title="other"),
    ("threagile", "title"): lambda d: d.update(title="other"),
    ("otm", "store"): lambda d: d["components"][1].update(type="service"),
    ("threagile", "store"): lambda d: d["technical_assets"]["etcd"].update(type="process"),
    ("threat-dragon", "store"): lambda d: cell(d, "etcd")["data"].update(type="tm.Process"),
    ("otm", "add"): lambda d: d["dataflows"].append(
        {"id": "new", "name": "new", "source": "kubelet", "destination": "etcd"}
    ),
    ("tm-bom", "add"): lambda d: d["data_flows"].append(
        d["data_flows"][0] | {"symbolic_name": "new", "title": "new"}
    ),
    ("threagile", "add"): lambda d: d["technical_assets"]["kubelet"]["communication_links"].update(
        new={"target": "etcd", "protocol": "https"}
    ),
    ("threat-dragon", "add"): lambda d: d["detail"]["diagrams"][0]["cells"].append(
        cell(d, FLOW) | {"id": "new", "data": cell(d, FLOW)["data"] | {"name": "new"}}
    ),
}


@pytest.mark.parametrize("name", READABLE)
def test_channel_changed_to_plaintext_is_plaintext(name):
    found = changed(name, "plaintext")
    assert found.channels[0].encryption.value == "none"
    assert found.channels[0].encryption.source.path.startswith("model.")
    assert found.channels[0].credential == "client"
    assert any(
        "encryption" in note and "labkit uses the new value" in note for note in found.unknowns
    )
    assert found.channels[1] == small().channels[1], "what the tool does not show is kept"


@pytest.mark.parametrize("name", READABLE)
def test_renamed_component_is_renamed_in_its_channels(name):
    found = changed(name, "rename")
    assert [it.id for it in found.components] == ["api", "etcd", "node agent"]
    assert found.components[2].node == "worker1"
    assert found.channels[1].client == "node agent"
    assert any("node agent" in note for note in found.unknowns)


@pytest.mark.parametrize("name", READABLE)
def test_removed_component_is_gone_with_its_channels(name):
    found = changed(name, "remove")
    assert [it.id for it in found.components] == ["api", "kubelet"]
    assert found.channels == ()
    assert any("removed after" in note for note in found.unknowns)


@pytest.mark.parametrize("name", READABLE)
def test_added_channel_is_read(name):
    found = changed(name, "add")
    assert [it.id for it in found.channels[:2]] == [it.id for it in small().channels]
    assert found.channels[2].id.startswith("new")
    assert found.channels[2].authorization.value == "unknown"
    assert any("added" in note for note in found.unknowns)


def test_channel_added_to_a_closed_listener_is_open():
    data = json.loads(write(small(), "otm"))
    data["dataflows"].append(
        {"id": "n", "name": "kubelet -> etcd:1", "source": "kubelet", "destination": "etcd"}
    )
    found = read_text(json.dumps(data), "model.json")
    assert [(it.id, it.open) for it in found.channels] == [
        ("api -> etcd:2379", True),
        ("kubelet -> etcd:1", True),
    ]


@pytest.mark.parametrize("name", READABLE)
def test_changed_title_is_the_name_of_the_model(name):
    assert changed(name, "title") != small()
    assert changed(name, "title").name == "other"


@pytest.mark.parametrize("name", ["otm", "threagile", "threat-dragon"])
def test_store_changed_to_a_process_is_a_process(name):
    found = changed(name, "store")
    assert found.components[1].kind == "process"
    assert found.components[1].node == "etcd1"
