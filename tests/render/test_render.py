from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from labkit.model import read_model
from labkit.render import PROTECTIONS, figure, mermaid, protection, table
from labkit.render.groups import grouped
from labkit.render.layout import HEIGHT, WIDTH, place
from labkit.render.plan import free

MODES = ("insecure", "hardened")


@pytest.fixture(scope="module")
def models():
    return {mode: read_model(mode) for mode in MODES}


def test_channels_have_the_expected_protection(models):
    def of(mode, wanted):
        return {protection(c) for c in models[mode].channels if wanted in c.id}

    assert of("insecure", "-> kubectl-proxy@") == {"plaintext"}
    assert of("insecure", "-> kube-apiserver@master:6443") == {"weak"}
    assert of("insecure", "docker.sock") == {"weak"}
    assert of("insecure", "containerd.sock") == {"local"}
    assert of("hardened", "-> kube-apiserver@master:6443") == {"mutual"}
    assert of("hardened", "-> etcd@") == {"mutual"}
    assert of("hardened", "anyone@network") == {"closed"}
    assert of("hardened", "docker.sock") == {"local"}


def test_table_is_shown_as_text(models):
    wanted = [c for c in models["insecure"].channels if "kubelet@worker1:1025" in c.id]
    assert repr(table(wanted)) == "\n".join(
        [
            "channel                                         encryption  server authentication"
            "  client authentication  authorization",
            "----------------------------------------------  ----------  ---------------------"
            "  ---------------------  -------------",
            "anyone@network -> kubelet@worker1:10255         none        none                 "
            "  none                   allow-all",
            "kube-apiserver@master -> kubelet@worker1:10250  tls1.2      unverified           "
            "  anonymous              allow-all",
        ]
    )


def test_table_as_html_shows_sources(models):
    html = table(models["hardened"])._repr_html_()
    assert html.count("<tr>") == 1 + 44
    assert "kube-apiserver.service:17 --anonymous-auth=false" in html
    assert "->" not in html.replace("-&gt;", "")


def test_equal_workers_and_members_are_one_box(models):
    for model in models.values():
        boxes, edges = grouped(model)
        counts = {box.name: count for box, count in boxes.items()}
        assert (counts["kubelet"], counts["etcd"], counts["kube-apiserver"]) == (2, 3, 1)
        assert len(edges) <= 30
        assert sum(len(edge.channels) for edge in edges) == len(model.channels)


def test_worker_that_differs_is_not_hidden(models):
    hardened = models["hardened"]
    [channel] = hardened.open_channels("kubelet@worker2 -> kube-api*")
    anonymous = replace(channel.client_authentication, value="anonymous")
    other = replace(channel, client_authentication=anonymous)
    changed = tuple(other if it is channel else it for it in hardened.channels)
    model = replace(hardened, channels=changed)
    assert {e.protection for e in grouped(model)[1] if e.label == ":6443"} == {"mutual", "weak"}


def test_mermaid_has_zones_colours_and_a_text_twin(models):
    drawing = mermaid(models["insecure"], title="the insecure mode")
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/vnd.mermaid"}
    source = bundle["text/vnd.mermaid"]
    assert 'title: "the insecure mode"' in source
    assert re.findall(r'subgraph z\d\["(.*)"\]', source) == [
        "cluster network",
        "master node",
        "worker node",
    ]
    arrows = re.findall(r'^  n\d+ -\S+\|"\S+"\| n\d+$', source, re.MULTILINE)
    numbers = re.findall(r"linkStyle ([\d,]+) stroke:(#\w+)", source)
    assert len(arrows) > 10
    assert sorted(int(n) for group, _ in numbers for n in group.split(",")) == list(
        range(len(arrows))
    )
    assert len(numbers) > 1
    assert {colour for _, colour in numbers} <= {look.colour for look in PROTECTIONS.values()}
    assert repr(drawing) == bundle["text/plain"]
    assert "anyone -> dockerd (2)                     :2375            plaintext" in repr(drawing)


def test_closed_listeners_are_left_out_of_mermaid_unless_wanted(models):
    assert "anyone" not in mermaid(models["hardened"]).source
    assert "anyone" in mermaid(models["hardened"], closed=True).source


def test_mermaid_draws_chosen_channels_and_escapes_the_title(models):
    wanted = [c for c in models["insecure"].channels if c.port == 2380]
    drawing = mermaid(models["insecure"], channels=wanted, title='a "b" <c>')
    assert 'n0["etcd (3)"]' in drawing.source
    assert "n1" not in drawing.source
    assert "#quot;b#quot; #lt;c#gt;" in drawing.source


def test_picture_is_the_same_every_time(models):
    drawn: list[Any] = [figure(list(models.values())) for _ in range(2)]
    first, second = drawn
    assert repr(first) == "<picture of insecure, hardened>"
    data = first._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert data == second._repr_png_()
    assert repr(figure(models["insecure"])) == "<picture of insecure>"


def test_no_two_boxes_of_a_picture_overlap(models):
    for model in models.values():
        points, frames, size = place(grouped(model)[0])
        spots = sorted(points.values())
        assert len(spots) > 5
        assert len(frames) == 3
        for index, (x, y) in enumerate(spots):
            for other_x, other_y in spots[index + 1 :]:
                assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
        for left, bottom, right, top in frames.values():
            assert 0 <= left < right <= size[0]
            assert 0 <= bottom < top <= size[1]


def test_label_takes_the_first_free_place():
    taken = [(0.0, 0.0, 1.0, 1.0)]
    found = free([(0.5, 0.5), (3.0, 3.0)], ":1", taken)
    assert found is not None
    assert found[0] == (3.0, 3.0)


def test_figures_do_not_import_pyplot():
    code = (
        "import sys\nfrom labkit.cluster import read_environment\n"
        "from labkit.model import read_model\nfrom labkit.render import figure\n"
        "figure(read_model('insecure'))._repr_png_()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
