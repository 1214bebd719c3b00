from __future__ import annotations

import itertools
from typing import Any

import pytest

from labkit.model import Draft
from labkit.render import figure, save
from labkit.render.groups import MOST, MOST_ZONES, Box, Edge, folded, grouped
from labkit.render.layout import HEIGHT
from labkit.render.plan import label_size, plan


def system(count, zones=4, seed=7):
    """Return a model in which each component calls two others, half of them in plaintext."""
    draft = Draft("made up")
    names = [
        draft.component(f"service-{i}@host{i}", kind=f"kind{i % 9}", zone=f"zone {i * 5 % zones}")
        for i in range(count)
    ]
    for number in range(2 * count):
        other = (number * seed + 1 + number // count) % count
        if other != number % count:
            secure = {"encryption": "tls1.3", "server_authentication": "verified"}
            bare = {"encryption": "none", "server_authentication": "none"}
            said: dict[str, Any] = secure if number % 2 else bare
            draft.channel(
                names[number % count],
                names[other],
                port=8000 + number % 5,
                client_authentication="required" if number % 2 else "none",
                authorization="enforced",
                **said,
            )
    return draft.model()


@pytest.fixture(scope="module")
def forty():
    boxes, edges = grouped(system(40))
    drawing = plan(boxes, edges)
    assert (len(boxes), len(edges)) == (40, 78)
    assert (len(drawing.points), len(drawing.strokes), len(drawing.frames)) == (40, 78, 4)
    return boxes, edges, drawing


def overlap(one, two):
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def areas(drawing):
    boxes = [
        (x - drawing.widths[b] / 2, y - HEIGHT / 2, x + drawing.widths[b] / 2, y + HEIGHT / 2)
        for b, (x, y) in drawing.points.items()
    ]
    labels = []
    for stroke in drawing.strokes:
        wide, high = label_size(stroke.edge.label)
        x, y = stroke.label
        labels.append((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
    return boxes, labels


def test_forty_components_are_drawn_without_overlaps(forty):
    *_, drawing = forty
    boxed, labels = areas(drawing)
    assert not any(overlap(*pair) for pair in itertools.combinations(boxed + labels, 2))
    for left, bottom, right, top in boxed + labels:
        assert 0 <= left < right <= drawing.size[0]
        assert 0 <= bottom < top <= drawing.size[1]


def test_no_line_passes_through_a_box(forty):
    *_, drawing = forty
    boxed = dict(zip(drawing.points, areas(drawing)[0], strict=True))
    for stroke in drawing.strokes:
        assert len(stroke.curve) > 1
        for x, y in stroke.curve:
            for box, (left, bottom, right, top) in boxed.items():
                if box not in (stroke.edge.client, stroke.edge.server):
                    assert not (left < x < right and bottom < y < top)


def test_zones_are_frames_below_each_other_around_their_boxes(forty):
    *_, drawing = forty
    frames = sorted(drawing.frames.values(), key=lambda frame: -frame[3])
    for upper, lower in itertools.pairwise(frames):
        assert lower[3] < upper[1]
    for box, (x, y) in drawing.points.items():
        left, bottom, right, top = drawing.frames[box.zone]
        assert left < x < right
        assert bottom < y < top


def test_lines_begin_at_the_client_and_end_at_the_server(forty):
    *_, drawing = forty
    for stroke in drawing.strokes:
        for box, (x, y) in (
            (stroke.edge.client, stroke.curve[0]),
            (stroke.edge.server, stroke.curve[-1]),
        ):
            middle = drawing.points[box]
            assert abs(x - middle[0]) <= drawing.widths[box] / 2
            assert abs(y - middle[1]) == pytest.approx(HEIGHT / 2)


def test_plan_is_the_same_every_time(forty):
    boxes, edges, drawing = forty
    assert plan(boxes, edges) == drawing


def test_component_that_calls_itself_has_a_loop_beside_its_box():
    box = Box("zone", "store")
    drawing = plan([box], [Edge(box, box, "2380", "mutual", ())])
    boxed, labels = areas(drawing)
    assert not overlap(*boxed, *labels)
    [stroke] = drawing.strokes
    right = boxed[0][2]
    assert stroke.curve[0][0] == stroke.curve[-1][0] == right
    assert max(x for x, _ in stroke.curve) > right


def test_components_that_call_each_other_have_separate_lines():
    one, two = Box("zone", "one"), Box("zone", "two")
    edges = [Edge(one, two, "1", "mutual", ()), Edge(two, one, "2", "weak", ())]
    first, second = plan([one, two], edges).strokes
    assert first.curve[0] != second.curve[-1]


def test_empty_model_has_no_lines():
    assert plan([], []).strokes == ()


def test_many_components_of_a_kind_are_one_box():
    boxes, edges = grouped(system(MOST + 20))
    assert len(boxes) <= MOST
    assert sum(boxes.values()) == MOST + 20
    assert sum(len(edge.channels) for edge in edges) == len(system(MOST + 20).channels)


def test_largest_model_is_grouped_by_zone():
    model = system(400, zones=41)
    boxes, edges = grouped(model)
    assert len(boxes) == MOST_ZONES
    assert len(edges) <= MOST_ZONES**2
    assert sum(boxes.values()) == 400
    assert sum(len(edge.channels) for edge in edges) == len(model.channels)
    assert {edge.protection for edge in edges} == {"plaintext", "mutual"}
    assert edges[0].label.endswith("×")
    assert plan(boxes, edges).strokes


def test_long_names_are_folded_and_cut():
    assert folded("kubelet", 1.28) == ["kubelet"]
    assert all(len(line) <= 17 for line in folded("x" * 400, 1.28))
    assert folded("x" * 400, 1.28)[1].endswith("…")


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_saved_picture_is_the_same_every_time(tmp_path, kind):
    model = system(6)
    files = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for file in files:
        save(figure(model), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert b"20" + b"26-" not in first
