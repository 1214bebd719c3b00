"""The documentation site, and what the documents promise to a pipeline."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from labkit import controls, techniques
from labkit.cli import app
from labkit.matrix import Matrix

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


# -- the site -------------------------------------------------------------------------------


#: Runs a program in which no connection can be made.
OFFLINE = """
import runpy, socket, sys

def refuse(*_):
    raise OSError("the build of the site is offline")

socket.socket.connect = socket.socket.connect_ex = refuse
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    where = ["--work", str(folder / "work"), "--output", str(folder / "site")]
    return subprocess.run(
        [sys.executable, "-c", OFFLINE, str(ROOT / "docs" / "build.py"), *where],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    run = build(folder)
    assert run.returncode == 0, run.stderr
    return folder / "site"


def test_every_technique_has_a_page(site: Path) -> None:
    pages = {path.stem for path in (site / "docs" / "techniques").glob("*.html")}
    assert pages == {"index", *techniques}


def test_every_control_has_a_page(site: Path) -> None:
    pages = {path.stem for path in (site / "docs" / "controls").glob("*.html")}
    assert pages == {"index", *controls}


def test_every_notebook_has_a_page(site: Path) -> None:
    pages = {path.stem for path in (site / "notebooks").glob("*.html")}
    assert pages == {path.stem for path in NOTEBOOKS}


def test_page_of_a_technique_says_what_stops_it(site: Path) -> None:
    text = (site / "docs" / "techniques" / "kubelet-exec.html").read_text()
    stops = text[text.index('<section id="what-stops-it">') :]
    assert "../controls/kubelet-anonymous.html" in stops
    assert "https://attack.mitre.org/techniques/T1609/" in text


def test_page_of_a_control_says_what_it_stops(site: Path) -> None:
    text = (site / "docs" / "controls" / "kubelet-anonymous.html").read_text()
    assert "../techniques/kubelet-exec.html" in text[text.index('<section id="what-it-stops">') :]


def test_page_of_a_control_has_its_rows_of_the_matrix(site: Path) -> None:
    text = (site / "docs" / "controls" / "kubelet-anonymous.html").read_text()
    rows = text[text.index('<section id="its-rows-of-the-truth-matrix">') :]
    matrix = Matrix.read(ROOT / "docs" / "matrix.json")
    for mode, direction in (("insecure", "on"), ("hardened", "off")):
        count = sum(it.variant == (mode, "kubelet-anonymous", direction) for it in matrix)
        assert count
        assert re.search(rf"<p>{mode}</p>.*?<p>{count} cells: {count} agree", rows, re.DOTALL)


def test_cover_of_the_matrix_leads_to_the_table_with_filters(site: Path) -> None:
    cover = (site / "docs" / "matrix.html").read_text()
    assert re.search(r'<a [^>]*href="matrix-table.html"[^>]*>\s*<img [^>]*width: 240px', cover)
    assert (site / "docs" / "matrix-table.html").read_text() == (
        ROOT / "docs" / "matrix.html"
    ).read_text()


def test_front_door_is_in_the_reference(site: Path) -> None:
    text = (site / "docs" / "reference" / "labkit.html").read_text()
    assert 'id="labkit.load_model"' in text
    assert 'id="labkit.Lab"' in text
    source = re.search(r'id="labkit.load_model">.*?"viewcode-link"', text, re.DOTALL)
    assert source
    assert '"../../_modules/labkit/loading.html#load_model"' in source[0]


def test_reader_of_the_site_fetches_nothing(site: Path) -> None:
    fetched = re.compile(
        r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']?(https?://[^"'>]+)"""
    )
    imported = re.compile(r"""(?:@import|url\()\s*["']?(https?://[^"')]+)""")
    found = []
    for path in site.rglob("*.html"):
        found += [f"{path.name}: {url}" for url in fetched.findall(path.read_text())]
    for path in (site / "_static").rglob("*.css"):
        found += [f"{path.name}: {url}" for url in imported.findall(path.read_text())]
    assert not found


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    ids: dict[Path, set[str]] = {}

    def anchors(path: Path) -> set[str]:
        if path not in ids:
            ids[path] = set(re.findall(r'\sid="([^"]+)"', path.read_text()))
        return ids[path]

    missing = []
    for path in site.rglob("*.html"):
        for target in re.findall(r'<a\b[^>]*?href="([^"]+)"', path.read_text()):
            url = urlsplit(html.unescape(target))
            if url.scheme:
                continue
            place = (path.parent / unquote(url.path)).resolve() if url.path else path
            generated = place.name in {"genindex.html", "search.html", "py-modindex.html"}
            fragment = unquote(url.fragment)
            wanted = fragment if place.suffix == ".html" and not generated else ""
            if not place.exists() or (wanted and wanted not in anchors(place)):
                missing.append(f"{path.name}: {target}")
    assert not missing


# -- links of the notebooks -----------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_relative_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    targets = [urlsplit(target) for target in LINK.findall(text)]
    paths = [target.path for target in targets if not target.scheme and target.path]
    assert [p for p in paths if not (path.parent / unquote(p)).exists()] == []


# -- files for a user's pipeline ------------------------------------------------------------

PIPELINES = {
    "github-actions.yml": ["--builtin-schema", "vendor.github-workflows"],
    "gitlab-ci.yml": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def valid(path: Path, options: list[str]) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run([command, *options, path], capture_output=True, text=True)


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_is_valid(name: str) -> None:
    run = valid(ROOT / "docs" / "ci" / name, PIPELINES[name])
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [("github-actions.yml", "jobs", {"gate": {}}), ("gitlab-ci.yml", "stages", {"a": "list"})],
)
def test_pipeline_with_a_mistake_is_not_valid(
    tmp_path: Path, name: str, key: str, wrong: object
) -> None:
    document = yaml.safe_load((ROOT / "docs" / "ci" / name).read_text())
    path = tmp_path / name
    path.write_text(yaml.safe_dump({**document, key: wrong}))
    assert valid(path, PIPELINES[name]).returncode != 0


def gate_of(name: str) -> list[str]:
    """Return the arguments of the one ``labkit analyze`` in a pipeline's file."""
    text = (ROOT / "docs" / "ci" / name).read_text()
    (found,) = re.findall(r"labkit (analyze (?:.*?)--junit labkit\.xml)", text, re.DOTALL)
    words = re.findall(r"'[^']*'|[^\s\\]+", found)
    return [word.strip("'") for word in words]


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(("cluster", "status"), [("insecure", 3), ("hardened", 0)])
def test_gate_of_a_pipeline_shuts_for_insecure_only(
    tmp_path: Path, name: str, cluster: str, status: int
) -> None:
    arguments = [cluster if word == "cluster" else word for word in gate_of(name)]
    labkit = Path(sys.executable).with_name("labkit")
    run = subprocess.run([labkit, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == status, run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"labkit.sarif", "labkit.xml"}


@pytest.mark.parametrize("name", PIPELINES)
def test_every_command_of_a_pipeline_exists(name: str) -> None:
    from typer.main import get_command

    from labkit.cli import app

    text = (ROOT / "docs" / "ci" / name).read_text()
    lines = re.findall(r"labkit ((?:analyze|image \w+))", text)
    assert {"analyze", "image build", "image load", "image save"} == set(lines)
    for line in lines:
        command = get_command(app)
        for word in line.split():
            command = command.commands[word]  # type: ignore[attr-defined]


def test_gate_is_the_same_in_every_document() -> None:
    text = (ROOT / "docs" / "ci.md").read_text()
    (found,) = re.findall(r"```sh\nlabkit (analyze cluster .*)\n```", text)
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", found)]
    assert all(gate_of(name) == words for name in PIPELINES)


# -- when something goes wrong --------------------------------------------------------------


def commands_in_troubleshooting() -> list[str]:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    return sorted(set(re.findall(r"`(labkit [^`]+)`", text)))


@pytest.mark.parametrize("command", commands_in_troubleshooting())
def test_each_command_of_troubleshooting_exists(command: str) -> None:
    """It must be a command with these options; whether a lab is up does not matter."""
    from typer.main import get_command

    words = command.split()[1:]
    found: Any = get_command(app)
    context: Any = found.make_context("labkit", [], resilient_parsing=True)
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        assert words[0] in found.commands, command
        found = found.commands[words.pop(0)]
        context = found.make_context(command, list(words), parent=context, resilient_parsing=True)
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known, command


def test_each_symptom_of_troubleshooting_has_one_command() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| what you see")
    ]
    assert len(rows) > 20
    for row in rows:
        assert re.search(r"\| `(labkit|docker) [^`]+` \|$", row), row


def test_whatever_status_warns_of_is_a_symptom() -> None:
    from labkit.lab import LabStatus

    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    for reached, words in (
        (("172.17.0.1",), ("REACHES THE DOCKER HOST", "was made from other files")),
        (("unknown",), ("not known whether", "reaches the Docker host")),
    ):
        said = " ".join(
            LabStatus("a", "b", "ready", {}, reached=reached, other_files=True).warnings
        )
        for word in words:
            assert word in said
            assert f"`{word}" in text, word
    for state in ("incomplete", "stopped", "broken", "interrupted"):
        assert re.search(rf"`status` says .*{state}", text), state
