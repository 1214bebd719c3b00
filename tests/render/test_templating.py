"""Templates escape every value, refuse missing variables, and are read when a page is made."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest
from jinja2 import UndefinedError

from labkit.render import templating

FOLDER = resources.files("labkit.render") / "templates"


def test_missing_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="meanings"):
        templating.html("report/reading.html", signs={})


@pytest.mark.parametrize(
    ("name", "in_html", "in_markdown"),
    [
        ("<b>\n&", "&lt;b&gt; &amp;", "&lt;b&gt; &amp;"),
        ("<b>\u202e&", "&lt;b&gt;‹U+202E›&amp;", r"&lt;b&gt;‹U\+202E›&amp;"),
        ("a|b", "a|b", r"a\|b"),
    ],
)
def test_value_is_escaped_without_a_filter(name: str, in_html: str, in_markdown: str) -> None:
    context = {"meanings": {name: name}, "signs": {name: ""}}
    assert templating.html("report/reading.html", **context).count(in_html) == 2
    assert templating.markdown("report/reading.md", **context).count(in_markdown) == 2


def test_name_keeps_its_direction_to_itself() -> None:
    page = templating.html("report/reading.html", meanings={"שלום": ""}, signs={"שלום": ""})
    assert "<strong><bdi>שלום</bdi></strong>" in page


def test_no_template_marks_a_value_of_a_model_as_safe() -> None:
    marked = {
        line.strip()
        for file in (FOLDER / "report").iterdir()
        for line in file.read_text(encoding="utf-8").splitlines()
        if "| safe" in line
    }
    # pictures, signs, styles and separators of the package
    allowed = (
        "drawing.source(",
        "side.picture(",
        "signs[",
        "picture_style",
        '"<br>"',
        "mermaid(",
        '" --- |"',
    )
    assert not [line for line in marked if not any(word in line for word in allowed)]


def test_templates_are_read_when_a_page_is_made() -> None:
    counts = ("asset", "_environment")
    code = "from labkit.render import report, templating as t\n" + "\n".join(
        f"print(t.{name}.cache_info().currsize)" for name in counts
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "0"]
