"""What is sent to the page: every channel and source, and "unknown" kept apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labkit.analysis import find_threats
from labkit.diagram.scene import scene
from labkit.diagram.session import Session, rows_of
from labkit.model import PROPERTIES, Draft, Model, read_model
from labkit.render.groups import PROTECTIONS
from labkit.verification import Report, Row


def shown(model: Model, before: Model | None = None, **kwargs: Any) -> dict[str, Any]:
    return scene(before or model, model, find_threats(model), kwargs.get("seen", {}))


@pytest.fixture(scope="module")
def insecure() -> Model:
    return read_model("insecure")


@pytest.fixture(scope="module")
def doubtful() -> Model:
    draft = Draft("doubtful")
    draft.component("kube-apiserver")
    draft.component("etcd")
    draft.channel("kube-apiserver", "etcd", encryption="unknown", client_authentication="required")
    return draft.model()


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_every_channel_has_four_claims_with_their_sources(mode: str) -> None:
    model = read_model(mode)
    channels = shown(model)["channels"]
    assert list(channels) == [it.id for it in model.channels]
    for it in model.channels:
        claims = channels[it.id]["claims"]
        assert [claim["property"] for claim in claims] == [p.replace("_", " ") for p in PROPERTIES]
        expected = [(getattr(it, name).value, str(getattr(it, name).source)) for name in PROPERTIES]
        assert [(claim["value"], claim["source"]) for claim in claims] == expected


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_every_channel_has_one_line_and_every_component_a_box(mode: str) -> None:
    model = read_model(mode)
    found = shown(model)
    assert [it["channels"] for it in found["lines"]] == [[it.id] for it in model.channels]
    ends = {end for it in model.channels for end in (it.client, it.server)}
    assert sorted(name for box in found["boxes"] for name in box["components"]) == sorted(ends)


def test_boxes_lie_in_the_frame_of_their_machine(insecure: Model) -> None:
    found = shown(insecure)
    frames = {it["name"]: it for it in found["frames"]}
    assert {"master", "etcd1", "worker2"} <= set(frames)
    for box in found["boxes"]:
        frame = frames[box["machine"]]
        assert frame["x"] <= box["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
        assert frame["y"] <= box["y"]
        assert box["y"] + box["height"] <= frame["y"] + frame["height"]


def test_forty_components_do_not_overlap() -> None:
    draft = Draft("forty")
    for machine in range(8):
        for number in range(5):
            draft.component(f"c{number}@m{machine}", kind="process", node=f"m{machine}")
    for machine in range(1, 8):
        for number in range(5):
            draft.channel(f"c{number}@m{machine}", "c0@m0", encryption="tls1.3")
    found = shown(draft.model())
    boxes = found["boxes"]
    assert len(boxes) >= 36
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = (
                one["x"] + one["width"] <= other["x"]
                or other["x"] + other["width"] <= one["x"]
                or one["y"] + one["height"] <= other["y"]
                or other["y"] + other["height"] <= one["y"]
            )
            assert apart, (one["components"], other["components"])
    width, height = found["size"]
    assert width < 1600
    assert height < 1600


def test_unknown_claim_is_neither_good_nor_bad(doubtful: Model) -> None:
    found = shown(doubtful)
    [line] = found["lines"]
    assert line["protection"] == "unknown"
    assert line["label"]["text"].endswith("?")
    claims = {it["property"]: it["kind"] for it in found["channels"][line["channels"][0]]["claims"]}
    assert claims["encryption"] == "unknown"
    assert claims["client authentication"] == "good"


def test_unknown_finding_keeps_its_state_and_its_control(doubtful: Model) -> None:
    [channel] = shown(doubtful)["channels"].values()
    states = {it["state"] for it in channel["findings"]}
    assert "unknown" in states
    assert "etcd-client-tls" in channel["controls"]


def test_every_line_has_a_look_that_is_more_than_a_colour() -> None:
    looks = {(it.dashes, it.width) for it in PROTECTIONS.values()}
    assert len(looks) == len(PROTECTIONS)


def test_findings_of_a_listener_stand_at_each_of_its_channels(insecure: Model) -> None:
    channel = shown(insecure)["channels"]["anyone@network -> dockerd@worker1:2375"]
    ids = {it["id"] for it in channel["findings"]}
    assert "caller-unauthenticated@dockerd@worker1:2375" in ids
    assert "docker-tcp" in channel["controls"]


def test_scene_holds_only_what_json_can_hold(insecure: Model) -> None:
    found = shown(insecure)
    assert json.loads(json.dumps(found)) == found


def test_equal_models_give_equal_scenes(insecure: Model) -> None:
    assert shown(insecure) == shown(read_model("insecure"))


def test_large_model_shares_boxes_and_keeps_every_channel() -> None:
    draft = Draft("large")
    draft.component("store", kind="datastore", zone="site")
    for number in range(90):
        draft.component(f"web{number}@node{number}", kind="web", node=f"node{number}", zone="site")
        draft.channel(f"web{number}@node{number}", "store", encryption="none")
    found = shown(draft.model())
    assert len(found["boxes"]) <= 60
    assert sum(len(it["channels"]) for it in found["lines"]) == len(found["channels"]) == 90


# -- evidence -------------------------------------------------------------------------------

CHANNEL = "anyone@network -> kubelet@worker1:10255"


def row(mode: str = "insecure", claimed: str = "none", verdict: str = "agree") -> Row:
    return Row(mode, CHANNEL, "encryption", claimed, "", claimed, "HTTP 200", "", verdict)


def test_evidence_stands_at_its_claim(insecure: Model) -> None:
    seen = rows_of(Report([row()]), insecure)
    claims = shown(insecure, seen=seen)["channels"][CHANNEL]["claims"]
    assert claims[0]["evidence"] == {
        "verdict": "agree",
        "observed": "none",
        "reason": "HTTP 200",
        "control": "",
    }
    assert [it["evidence"] for it in claims[1:]] == [None, None, None]


def test_evidence_for_another_value_says_nothing_of_the_claim(insecure: Model) -> None:
    seen = rows_of(Report([row(claimed="tls1.3")]), insecure)
    [first, *_] = shown(insecure, seen=seen)["channels"][CHANNEL]["claims"]
    assert first["evidence"]["verdict"] == "of another configuration"


def test_report_of_two_modes_gives_the_rows_of_the_model(insecure: Model) -> None:
    both = Report([row(), row("hardened", "closed")])
    assert [it.mode for it in rows_of(both, insecure).values()] == ["insecure"]


# -- the difference to the start ------------------------------------------------------------


def test_flipped_control_marks_the_channels_that_change(insecure: Model) -> None:
    answer = Session(insecure).flip({"etcd-client-tls": True})
    changes = {key: it["change"] for key, it in answer["channels"].items() if it["change"]}
    assert set(changes.values()) == {"changed"}
    assert changes
    assert all("-> etcd@" in key for key in changes)
    claim = answer["channels"]["kube-apiserver@master -> etcd@etcd1:2379"]["claims"][0]
    assert claim["before"] == "none"
    assert claim["value"].startswith("tls")


def test_channels_that_come_and_go_are_drawn(insecure: Model) -> None:
    answer = Session(insecure).flip({"insecure-port": True})
    changes = {it["change"] for it in answer["channels"].values()}
    assert {"new", "gone"} <= changes
    drawn = {key for line in answer["lines"] for key in line["channels"]}
    assert drawn == set(answer["channels"])
    gone = [it for it in answer["channels"].values() if it["change"] == "gone"]
    assert all(not it["findings"] and not it["open"] for it in gone)
