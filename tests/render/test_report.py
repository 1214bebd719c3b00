"""Reports: their contents, the same bytes every time, and every text escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from labkit.analysis import attack_paths, find_threats
from labkit.analysis.attack_graph.queries import AttackPaths
from labkit.analysis.attack_graph.steps import Step
from labkit.analysis.findings.finding import STATES, Finding, Findings
from labkit.cli import app
from labkit.cluster.syntax.source import Source
from labkit.model import (
    Channel,
    Claim,
    Component,
    Foothold,
    Model,
    StoredCredential,
    read_model,
)
from labkit.render.contents import contents
from labkit.render.escaping import plain
from labkit.render.path_marks import PathMarks
from labkit.render.report import markdown, report
from labkit.render.svg import Mark, svg
from labkit.render.usual_paths import usual_paths

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></style></svg><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\u202egnp.exe\u2066",
    "שלום‏",
    "a|b`c`\n```\n# heading\n![x](https://example.org/x)",
    '%%{init: {"securityLevel": "loose"}}%%',
    "javascript:alert(1) --> ]]> <!--",
    "\x00\x1b[31m\ud800",
    "x" * 3000,
    "$\\frac{1}{0}$ {braces} {0}",
)
VOID = {"meta", "br", "input", "wbr", "path", "rect", "circle", "use"}


class Outline(HTMLParser):
    """Elements, attributes and ids of a page, and whether its tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def hostile_side(name):
    """Return a model in which every name is the given one, with a finding of each state."""
    claim = Claim(name, name, Source(name, 1, name))
    one, two = f"{name}@a", f"{name}@b"
    channel = Channel(
        id=f"{one} -> {two}", client=one, server=two, protocol=name, port=None, path=f"/{name}",
        open=True, encryption=claim, server_authentication=claim, client_authentication=claim,
        authorization=claim, credential=name, data=(name,), client_zone=name, server_zone="b",
    )  # fmt: skip
    parts = (Component(one, name, name, name), Component(two, name, name, "b"))
    held = (
        StoredCredential(name, name, name, name, (name,), (name,), (name,), Source(name, 1, name)),
    )
    model = Model(name, parts, (channel,), held, name, (name,))
    findings = [
        Finding(
            id=f"rule@{name}{state}", rule="rule", title=name, subject=name, stride=(name,),
            cwe=(name,), attack=(name,), references=(name,), property="encryption", claim=claim,
            state=state, control=name, technique=name, likelihood=2, impact=2, severity="medium",
            explanation=name,
        )
        for state in STATES
    ]  # fmt: skip
    place, goal = Foothold("user", name), Foothold("holds", name)
    path = (Step(name, place, (goal,), (str(claim), name)),)
    return model, Findings(findings, name), [AttackPaths(place, goal, (path, ()))]


@pytest.fixture(scope="module")
def both():
    models = [read_model(mode) for mode in ("insecure", "hardened")]
    return models, [find_threats(m) for m in models], [usual_paths(m) for m in models]


@pytest.fixture(scope="module")
def page(both):
    return report(*both)


# -- every text is escaped ------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_name_makes_no_element_and_no_attribute(name):
    def shape(called):
        model, findings, paths = hostile_side(called)
        # these attributes depend on the name by design
        skip = {"class", "data-level", "d", "x", "y", "width", "height", "viewbox", "cx", "cy"}
        return [
            (tag, tuple(sorted(set(attributes) - skip)))
            for tag, attributes in Outline(report([model], [findings], [paths])).tags
            if tag not in ("bdi", "wbr", "tspan", "small")
        ]

    assert shape(name) == shape("harmless")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_name_in_an_svg_is_well_formed_xml(name):
    source = svg(hostile_side(name)[0]).source()
    root = ElementTree.fromstring(source)
    wanted = {"svg", "title", "desc", "style", "defs", "marker", "path", "g", "rect", "text"}
    assert {node.tag.rpartition("}")[2] for node in root.iter()} <= wanted | {"tspan"}
    assert not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", source))
    source.encode("utf-8")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_name_does_not_leave_its_line_of_markdown(name):
    def shape(called):
        model, findings, paths = hostile_side(called)
        return markdown([model], [findings], [paths])

    text, usual = shape(name), shape("harmless")
    assert text.count("\n") == usual.count("\n")
    for line, other in zip(text.splitlines(), usual.splitlines(), strict=True):
        bars, others = (len(re.findall(r"(?<!\\)\|", each)) for each in (line, other))
        assert bars == others
        assert line.startswith("```") == other.startswith("```")
    assert "<script" not in text
    assert "<img" not in text
    assert "%%{" not in text
    # Mermaid makes no links from quoted text
    assert "://" not in re.sub(r"```mermaid.*?\n```\n", "", text, flags=re.DOTALL)
    text.encode("utf-8")


def test_invisible_characters_are_shown_as_code_points():
    assert plain("a\u202eb\x00") == "a‹U+202E›b‹U+0000›"
    assert plain("x" * 999, 10) == "xxxxxxxxx…"


def test_comparison_with_hostile_names_is_balanced_html():
    sides = [hostile_side(name) for name in HOSTILE[:2]]
    Outline(report(*(list(each) for each in zip(*sides, strict=True))))


# -- one file that loads no other -----------------------------------------------------------


def test_page_loads_nothing(page):
    for tag, attributes in Outline(page).tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "@import" not in page
    urls = set(re.findall(r"url\(([^)]*)\)", page))
    assert all(url.startswith("#") for url in urls)
    assert set(re.findall(r"https?://www\.[^\s\"<]+", page)) == {"http://www.w3.org/2000/svg"}


def test_policy_allows_only_the_script_of_the_page(page):
    import base64
    import hashlib

    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_report_has_the_same_bytes_every_time(both, page):
    assert report(*both) == page
    assert markdown(*both) == markdown(*both)


def test_ids_are_unique_and_links_lead_somewhere(page):
    tags = Outline(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a.get("href") or "" for _, a in tags]
    targets = {link[1:] for link in links if link.startswith("#")}
    assert len(targets) > 10
    named = {word for _, a in tags for word in (a.get("aria-labelledby") or "").split()}
    assert targets | named | set(re.findall(r"url\(#([\w-]+)\)", page)) <= set(ids)


def test_every_picture_has_a_title_and_a_description(page):
    pictures = re.findall(r'<svg[^>]*class="dfd".*?</svg>', page, re.DOTALL)
    assert len(pictures) > 20
    for picture in pictures:
        assert re.search(r'role="img" aria-labelledby="\S+-title \S+-desc"', picture)
        assert re.search(r"<title id=.*?>[^<]+</title><desc id=.*?>[^<]+</desc>", picture)


# -- the contents ---------------------------------------------------------------------------


def test_report_shows_every_open_finding_with_its_line(both, page):
    text = " ".join("".join(Outline(page).text).split())
    assert len(both[1][0].open) > 50
    for findings in both[1]:
        for item in findings.open:
            assert str(item.claim.source) in text
            assert item.explanation in text
            if item.control:
                assert item.control in text


def test_equal_findings_are_one_row(both):
    said = contents(*both)
    ids = [key for row in said.rows for key in row.ids]
    assert len(ids) == len(set(ids))
    assert set(ids) == {item.id for findings in both[1] for item in findings}
    assert len(said.rows) < len(ids)


def test_difference_counts_the_findings_that_the_hardened_cluster_closes(both):
    groups = dict(contents(*both).difference)
    assert sum(len(row.ids) for rows in groups.values() for row in rows) == len(both[1][0].open)
    assert "Still open" not in groups
    assert "Newly open" not in groups


def test_path_marks_its_channels_and_components(both):
    model = both[0][0]
    walk = PathMarks(model)
    first = attack_paths(model, "network", "admin", 1).paths[0]
    assert walk.marks(first) == (
        Mark(
            1,
            frozenset(["anyone@network -> kubectl-proxy@master:8080"]),
            frozenset(["kubectl-proxy@master"]),
        ),
    )
    [stolen] = [p for p in attack_paths(model, "user:master", "admin", 2).paths if len(p) == 2]
    take, use = walk.marks(stolen)
    assert take.components == {"kubectl/admin@master", "kubectl-proxy@master"}
    assert not take.channels
    assert use.channels
    drawn = svg(model).marked(walk.marks(first), "one", "dfd0", "title", "said")
    assert drawn.count("<circle") == 2


def test_open_listener_is_marked_without_its_legitimate_client(both):
    model = both[0][0]
    path = (
        next(
            step
            for paths in attack_paths(model, "network", "secrets", 9).paths
            for step in paths
            if step.technique == "kubelet-exec"
        ),
    )
    [mark] = PathMarks(model).marks(path)
    assert not mark.channels
    assert {name.partition("@")[0] for name in mark.components} == {"kubelet"}


def test_markdown_report_has_the_same_chapters(both):
    text = markdown(*both)
    assert text.count("```mermaid") == 2
    titles = ["What an attacker can reach", "Data flows", "Findings", "Attack paths", "Channels"]
    for title in titles:
        assert f"\n## {title}\n" in text
    assert "CWE-306 Missing Authentication for Critical Function" in text
    assert "insecure-port" in text


def test_report_of_one_model_has_no_comparison(both):
    page = report(*([each[0]] for each in both))
    assert "How the findings change" not in page
    assert "Threat model: insecure<" in page


def test_empty_model_has_a_report():
    empty = Model("empty", (), ())
    for write in (report, markdown):
        assert "empty" in write([empty], [Findings(())], [[]])


# -- the command ----------------------------------------------------------------------------


def test_command_writes_html_and_markdown(tmp_path):
    for suffix, start in ((".html", "<!doctype html>"), (".md", "# Threat model")):
        file = tmp_path / f"report{suffix}"
        run = CliRunner().invoke(app, ["report", "insecure", "hardened", "--output", str(file)])
        assert run.exit_code == 0, run.output
        assert file.read_text().startswith(start)


def test_command_refuses_another_format(tmp_path):
    run = CliRunner().invoke(app, ["report", "insecure", "--output", str(tmp_path / "a.pdf")])
    assert run.exit_code == 1
    assert "must end in .html or .md" in run.output
