"""Slides of the notebooks: what is on them, and that they can be shown and turned."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import ConfigError
from labkit.workshop import exercises
from labkit.workshop.slides import Slide, as_page, slides_of, workshop_slides

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

PNG = base64.b64encode(b"\x89PNG").decode()


def markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": text.splitlines(keepends=True)}


def code(**data: object) -> dict[str, Any]:
    outputs = [{"data": {kind.replace("_", "/"): it for kind, it in data.items()}}]
    return {"cell_type": "code", "source": ["x"], "outputs": outputs}


def slides(*cells: dict[str, Any]) -> list[Slide]:
    return slides_of(json.dumps({"cells": cells}).encode(), "n", [exercises["etcd-2"]])


def test_picture_has_the_heading_and_the_paragraph_before_it() -> None:
    made = slides(
        markdown("# One\n\n**Goal:** look."),
        markdown("## Two\n\nFirst.\n\nSecond."),
        code(image_png=PNG + "\n", text_plain="<Figure>"),
        code(text_html="<table>"),
        markdown("Third.\n\nFourth."),
        code(**{"image_svg+xml": ["<svg>", "</svg>"]}),
    )
    svg = base64.b64encode(b"<svg></svg>").decode()
    assert made == [
        Slide("n", "One", "**Goal:** look."),
        Slide("n", "Two", "First.", f"data:image/png;base64,{PNG}"),
        Slide("n", "Two", "Third.", f"data:image/svg+xml;base64,{svg}"),
    ]


def test_exercises_questions_and_ones_own_cluster_are_slides() -> None:
    made = slides(
        markdown("## Exercises\n\nText."),
        markdown("## On your own cluster\n\nLook."),
        markdown("## Check"),
        markdown("**Questions.** Who?"),
    )
    assert [(it.title, it.text) for it in made] == [
        (f"etcd-2: {exercises['etcd-2'].title}", exercises["etcd-2"].task),
        ("On your own cluster", "Look."),
        ("Questions", "Who?"),
    ]


def test_every_exercise_has_a_slide_and_every_notebook_its_questions() -> None:
    made = workshop_slides()
    titles = {it.title for it in made}
    assert {f"{it.name}: {it.title}" for it in exercises.values()} <= titles
    notebooks = {it.notebook for it in made}
    assert {it.notebook for it in made if it.picture} >= {"00-start", "01-eavesdropping"}
    assert {it.notebook for it in made if it.title == "On your own cluster"} == notebooks


def test_nothing_of_a_notebook_becomes_markup() -> None:
    page = as_page([Slide("<i>", "<b>", "<script>alert(1)</script> [x](javascript:alert(1))")])
    assert "<b>" not in page
    assert "<i>" not in page
    assert "<script>alert" not in page
    assert "javascript:" not in page.replace("[x](javascript:alert(1))", "")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"cells": [{}]}', b'{"cells": 1}'])
def test_what_is_not_a_notebook_is_an_error(data: bytes) -> None:
    with pytest.raises(ConfigError, match="n is not a notebook"):
        slides_of(data, "n")


def test_command_writes_the_page_or_says_why_not(tmp_path: Path) -> None:
    file = tmp_path / "slides.html"
    done = CliRunner().invoke(app, ["workshop", "slides", str(file)])
    assert (done.exit_code, file.read_text()) == (0, as_page(workshop_slides()))
    done = CliRunner().invoke(app, ["workshop", "slides", str(tmp_path / "no" / "slides.html")])
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


@pytest.mark.browser
def test_keys_turn_the_slides_and_each_fits_a_projector(page: Page) -> None:
    made, address = workshop_slides(), "http://127.0.0.1/slides"
    page.route(address, lambda route: route.fulfill(body=as_page(made), content_type="text/html"))
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(address)

    def shown() -> list[str]:
        return [it.inner_text() for it in page.locator("section:visible h2").all()]

    assert shown() == [made[0].title]
    for key, title in (("ArrowRight", made[1].title), ("ArrowLeft", made[0].title)):
        page.keyboard.press(key)
        assert shown() == [title]
    page.keyboard.press("ArrowLeft")
    assert shown() == [made[0].title], "there is nothing before the first"
    tall = []
    for slide in made:
        if page.evaluate("document.documentElement.scrollHeight > innerHeight"):
            tall.append(slide.title)
        page.keyboard.press("PageDown")
    assert tall == []
    assert shown() == [made[-1].title]
