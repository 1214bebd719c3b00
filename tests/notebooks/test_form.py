"""The form of stored notebooks; nbval compares their outputs with a new run."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000
#: How the kinds of output begin that need a running kernel.
WIDGET = "application/vnd.jupyter.widget-"
#: How a notebook begins: with the labs of two modes, or of a profile's two, or with models alone.
BEGINNING = re.compile(
    r"import labkit\n\ninsecure, hardened = "
    r'(?:labkit\.attach\("(?P<profile>(?:[a-z]+-)?)insecure", "(?P=profile)hardened"\)'
    r'|labkit\.load_model\("insecure"\), labkit\.load_model\("hardened"\))'
)
#: The values of the lab's secrets are 24 hexadecimal digits; people check the images.
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a certificate": r"-----BEGIN CERTIFICATE-----",
    "a token": r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*",
    "a key in base64": r"LS0tLS1CRUdJTi",
    "the value of a secret": r"\b[0-9a-f]{24}\b",
    "an address": r"\b(?:10|172|192)(?:\.\d{1,3}){3}\b",
    "a ciphertext": r"k8s:enc:\w+:v1:\w+:[^ ]",
}


def texts(cell: dict[str, Any]) -> list[str]:
    """Return the texts of a cell: its source, and its outputs without pictures."""
    found = ["".join(cell["source"])]
    for output in cell.get("outputs", ()):
        found.append("".join(output.get("text", "")))
        for kind, data in output.get("data", {}).items():
            if not kind.startswith("image/"):
                found.append("".join(data) if isinstance(data, list | str) else json.dumps(data))
    return found


def faults(path: Path) -> list[str]:
    """Return the faults in the form of a notebook."""
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    found = []
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        found.append("its kernel is not python3")
    if path.stat().st_size >= LARGEST:
        found.append(f"larger than {LARGEST} bytes")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("not executed, or not from first to last")
    if not BEGINNING.match("".join(code[0]["source"])):
        found.append("does not begin with import labkit and the two clusters")
    for cell in code:
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                found.append(f"an error: {output['ename']}")
            if output.get("name") == "stderr":
                found.append("something on standard error")
            if any(kind.startswith(WIDGET) for kind in output.get("data", {})):
                found.append("a widget, which no reader of the file can see")
    for cell in cells:
        for text in texts(cell):
            found += [what for what, pattern in SECRETS.items() if re.search(pattern, text)]
    first, last = "".join(cells[0]["source"]), "".join(code[-1]["source"])
    if not re.match(r"# .+\n", first) or "**Goal:**" not in first or "minutes" not in first:
        found.append("no title, goal and minutes at the top")
    if (
        "**Real**" not in "".join("".join(c["source"]) for c in cells)
        or "**Left out**" not in first
    ):
        found.append("does not say what is real and what is left out")
    if "assert " not in last:
        found.append("the last code cell asserts nothing")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_has_the_required_form(path: Path) -> None:
    assert faults(path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_attaches_to_modes_that_exist(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    first = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))
    modes = re.findall(r'"([\w-]+)"', first)
    assert len(modes) == 2
    assert all((ROOT / "environments" / mode / "environment.yaml").is_file() for mode in modes)


@pytest.mark.parametrize(
    ("call", "good"),
    [
        ('labkit.attach("insecure", "hardened")', True),
        ('labkit.attach("oidc-insecure", "oidc-hardened")', True),
        ('labkit.attach("oidc-insecure", "hook-hardened")', False),
        ('labkit.attach("oidc-hardened", "oidc-insecure")', False),
        ('labkit.attach("oidc-insecure", "hardened")', False),
        ('labkit.load_model("insecure"), labkit.load_model("hardened")', True),
        ('labkit.load_model("insecure")', False),
    ],
)
def test_beginning_names_the_two_modes_of_one_profile(call: str, good: bool) -> None:
    text = f"import labkit\n\ninsecure, hardened = {call}"
    assert bool(BEGINNING.match(text)) is good


def test_notebooks_are_numbered_without_gaps() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{n:02}-" for n in range(len(NOTEBOOKS))]
    assert len(NOTEBOOKS) >= 3


def links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^)#:]+\.ipynb)\)", path.read_text())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_lead_to_notebooks(path: Path) -> None:
    assert all((path.parent / name).exists() for name in links(path))


def test_first_notebook_leads_to_the_second() -> None:
    assert links(NOTEBOOKS[0]) == [NOTEBOOKS[1].name]


def test_documents_name_only_notebooks_that_exist() -> None:
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert any("00-start.ipynb" in document.read_text() for document in documents)
    for document in documents:
        named = set(re.findall(r"\b(\d\d-[\w-]+\.ipynb)", document.read_text()))
        assert named <= {path.name for path in NOTEBOOKS}, document
        if named:  # a document that names one notebook must name all
            assert named == {path.name for path in NOTEBOOKS}, document


# Joined here, so that no file of the repository holds a text that looks like a token
TOKEN = ".".join(["eyJ" + "hbGciOiJSUzI1NiJ9", "eyJ" + "zdWIiOiJhIn0", "c2lnbmF0dXJl"])
SPOILT: dict[str, dict[str, Any]] = {
    "a private key": {"text": "-----BEGIN EC PRIVATE KEY-----\nMHcC\n"},
    "a certificate": {"text": "-----BEGIN CERTIFICATE-----\nMIIB\n"},
    "a key in base64": {"text": "client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRF"},
    "a ciphertext": {"text": "k8s:enc:aescbc:v1:key1:\\x9f\\x02"},
    "a token": {"text": f"token: {TOKEN}"},
    "the value of a secret": {"data": {"text/html": ["<td>0123456789abcdef01234567</td>"]}},
    "an address": {"text": "etcd1 is at 10.161.4.11"},
    "something on standard error": {"name": "stderr", "text": "a warning"},
    "a widget, which no reader of the file can see": {
        "data": {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    },
}


@pytest.mark.parametrize("what", SPOILT)
def test_bad_output_is_found(what: str, tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOKS[0].read_text())
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["outputs"].append({"output_type": "display_data", **SPOILT[what]})
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(notebook))
    assert faults(path) == [what]


def test_every_pattern_of_a_secret_is_tried() -> None:
    assert set(SECRETS) <= set(SPOILT)


def spoil_kernel(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["kernelspec"]["name"] = "bash"


def spoil_size(notebook: dict[str, Any]) -> None:
    notebook["cells"][0]["source"].append("x" * LARGEST)


def spoil_goal(notebook: dict[str, Any]) -> None:
    text = "".join(notebook["cells"][0]["source"])
    notebook["cells"][0]["source"] = [text.replace("**Goal:**", "Goal:")]


def spoil_scope(notebook: dict[str, Any]) -> None:
    text = "".join(notebook["cells"][0]["source"])
    notebook["cells"][0]["source"] = [text.replace("**Left out**", "")]


def spoil_beginning(notebook: dict[str, Any]) -> None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[0]["source"] = ["from labkit import Lab\n", "\n", 'insecure = Lab("insecure")']


def spoil_check(notebook: dict[str, Any]) -> None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[-1]["source"] = ["print('done')"]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (spoil_kernel, "its kernel is not python3"),
        (spoil_size, f"larger than {LARGEST} bytes"),
        (spoil_goal, "no title, goal and minutes at the top"),
        (spoil_scope, "does not say what is real and what is left out"),
        (spoil_beginning, "does not begin with import labkit and the two clusters"),
        (spoil_check, "the last code cell asserts nothing"),
    ],
)
def test_bad_form_is_found(
    spoil: Callable[[dict[str, Any]], None], fault: str, tmp_path: Path
) -> None:
    notebook = json.loads(NOTEBOOKS[0].read_text())
    spoil(notebook)
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(notebook))
    assert faults(path) == [fault]


@pytest.mark.parametrize("count", [None, 7])
def test_notebook_that_was_not_executed_in_order_is_found(
    count: int | None, tmp_path: Path
) -> None:
    # nbval accepts any output of a cell without a count
    notebook = json.loads(NOTEBOOKS[0].read_text())
    next(c for c in notebook["cells"] if c["cell_type"] == "code")["execution_count"] = count
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(notebook))
    assert faults(path) == ["not executed, or not from first to last"]


def test_stored_error_is_found(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOKS[0].read_text())
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "error", "ename": "NoSuchLab", "evalue": ""}]
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(notebook))
    assert faults(path) == ["an error: NoSuchLab"]


# -- the sanitizer --------------------------------------------------------------------------


def sanitize(text: str) -> str:
    """Apply the patterns of nbval's sanitize file in their order."""
    written = (FOLDER / "sanitize.cfg").read_text()
    rules = re.findall(r"^regex: (.*)$\n+^replace: (.*)$", written, re.MULTILINE)
    assert len(rules) == len(re.findall(r"^regex:", written, re.MULTILINE)) > 0
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def test_sanitizer_is_a_configuration_file() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.read(FOLDER / "sanitize.cfg")
    assert parser.sections()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("10.161.4.11 took 12.5 s", "LAB_IP took DURATION"),
        ("container 0123456789ab", "container SHORT_ID"),
        ("at 2026-11-23T23:09:19.743Z", "at TIMESTAMP"),
    ],
)
def test_sanitizer_replaces_what_varies(text: str, clean: str) -> None:
    assert sanitize(text) == clean


@pytest.mark.parametrize(
    "claim", ["kubelet@worker1 -> kube-apiserver@master:6443", "tls1.3", "403"]
)
def test_sanitizer_leaves_claims_alone(claim: str) -> None:
    assert sanitize(claim) == claim
