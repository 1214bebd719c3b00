"""The widget without a browser: its messages, its static twin, and what it needs."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any
from xml.etree import ElementTree

import pytest

import labkit
from labkit.diagram.widget import LivingDiagram
from labkit.errors import ConfigError
from labkit.model import read_model


@pytest.fixture
def diagram(monkeypatch: pytest.MonkeyPatch) -> LivingDiagram:
    return labkit.living_diagram(read_model("insecure"))


def ask(diagram: LivingDiagram, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> list[Any]:
    sent: list[Any] = []
    monkeypatch.setattr(diagram, "send", sent.append)
    diagram._asked(diagram, {"number": 7, **asked}, [])
    for _ in range(200):
        if any("answer" in it or "error" in it for it in sent):
            break
        time.sleep(0.01)
    assert all(it["number"] == 7 for it in sent)
    return sent


def test_question_is_answered_with_its_number(
    diagram: LivingDiagram, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sent] = ask(diagram, monkeypatch, ask="paths", start="pod", goal="admin")
    assert sent["answer"]["answer"] == "reached"


def test_error_is_answered_with_what_to_do(
    diagram: LivingDiagram, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sent] = ask(diagram, monkeypatch, ask="flip in lab", control="docker-tcp", on=True)
    assert "no lab is attached" in sent["error"]
    assert "next:" in sent["error"]


def test_malformed_question_is_answered_with_an_error(
    diagram: LivingDiagram, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sent] = ask(diagram, monkeypatch, ask="flip")
    assert "wanted" in sent["error"]


def test_static_twin_is_a_picture(diagram: LivingDiagram) -> None:
    data, _ = diagram._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == "<living diagram of insecure: 22 components, 46 channels>"
    assert ElementTree.fromstring(data["image/svg+xml"]).tag.endswith("svg")


def test_assets_name_no_other_host(diagram: LivingDiagram) -> None:
    # the namespace of SVG is a name, and the other address stands in a comment
    script = diagram._esm.replace("http://www.w3.org/2000/svg", "")
    script = script.replace("https://anywidget.dev", "")
    for text in (script, diagram._css):
        assert "://" not in text
        assert "@import" not in text
    assert "innerHTML" not in script


MISSING = """
import sys
sys.modules["anywidget"] = None
import labkit
from labkit.errors import LabkitError
try:
    labkit.living_diagram(labkit.load_model("insecure"))
except LabkitError as error:
    print(error)
"""


def test_without_anywidget_the_error_has_the_one_command() -> None:
    run = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, check=True
    )
    assert run.stdout.endswith(f"next: {sys.executable} -m pip install anywidget\n")


def test_diagram_without_a_lab_loads_no_docker() -> None:
    code = (
        "import sys, labkit; labkit.living_diagram(labkit.load_model('insecure'));"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"docker", "scapy", "matplotlib"} & set(run.stdout.split())


class OtherLab:
    name, mode = "default", "insecure"
    environment = labkit.read_environment("hardened")


def test_lab_of_another_configuration_is_refused() -> None:
    lab: Any = OtherLab()
    with pytest.raises(ConfigError, match="runs another configuration"):
        labkit.living_diagram(read_model("insecure"), lab=lab)
