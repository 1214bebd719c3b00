"""Slides for the projector, from the notebooks' own headings, pictures, exercises and questions."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from labkit.errors import ConfigError
from labkit.render import templating
from labkit.resources import notebooks_dir
from labkit.workshop.definition import Exercise

__all__ = ["Slide", "as_page", "slides_of", "workshop_slides"]

#: The pictures of an output that a browser shows, best first.
PICTURES = ("image/svg+xml", "image/png")
#: The sections of a notebook that are shown as they are; of the others, only the pictures.
SECTIONS = ("On your own cluster",)
QUESTIONS = "**Questions.**"


@dataclass(frozen=True, slots=True)
class Slide:
    """One slide.

    Parameters
    ----------
    notebook : str
        The name of its notebook, without the suffix.
    title : str
    text : str
        Markdown.
    picture : str
        A picture as a ``data:`` address; "" for none.
    """

    notebook: str
    title: str
    text: str = ""
    picture: str = ""

    @property
    def body(self) -> Markup:
        r"""The text as HTML, with links as plain words: a slide is read, and a file may move.

        Examples
        --------
        >>> Slide("n", "t", "See [the *page*](../docs/lab.md). <b>").body
        Markup('<p>See the <em>page</em>. &lt;b&gt;</p>\n')
        """
        return Markup(_renderer().render(self.text))  # noqa: S704 - HTML in it is escaped


def slides_of(notebook: bytes, name: str, exercises: Iterable[Exercise] = ()) -> list[Slide]:
    r"""Return the slides of one notebook.

    Parameters
    ----------
    notebook : bytes
        The file, with its outputs.
    name : str
        Its name without the suffix.
    exercises : iterable of Exercise
        Its exercises.

    Returns
    -------
    list of Slide
        The title with its goal, each picture under the heading before it, the exercises, what to do
        on one's own cluster, and the questions.

    Raises
    ------
    ConfigError
        It is not a notebook.

    Examples
    --------
    >>> cells = [{"cell_type": "markdown", "source": ["# Title\n", "\n", "**Goal:** see."]}]
    >>> slides_of(json.dumps({"cells": cells}).encode(), "00-start")
    [Slide(notebook='00-start', title='Title', text='**Goal:** see.', picture='')]
    """
    try:
        cells: list[dict[str, Any]] = json.loads(notebook)["cells"]
        return list(_slides(cells, name, exercises))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{name} is not a notebook", hint="labkit notebooks DIR") from error


def _slides(
    cells: list[dict[str, Any]], name: str, exercises: Iterable[Exercise]
) -> Iterator[Slide]:
    title = text = ""
    for cell in cells:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] != "markdown":
            for picture in _pictures(cell.get("outputs", ())):
                yield Slide(name, title, text.partition("\n\n")[0], picture)
            continue
        if source.startswith(QUESTIONS):
            yield Slide(name, "Questions", source.removeprefix(QUESTIONS).strip())
            continue
        head, _, rest = source.partition("\n")
        if not head.startswith("#"):
            text = source
            continue
        level, _, title = head.partition(" ")
        text = rest.strip()
        if level == "#" or title in SECTIONS:
            yield Slide(name, title, text)
        elif title == "Exercises":
            for it in exercises:
                yield Slide(name, f"{it.name}: {it.title}", it.task)


def _pictures(outputs: Iterable[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        data = output.get("data", {})
        for kind in PICTURES:
            if kind in data:
                found = "".join(data[kind]).encode()
                # in a notebook, SVG is plain text, and every other picture is base64
                raw = found if "svg" in kind else base64.b64decode(found)
                yield f"data:{kind};base64,{base64.b64encode(raw).decode()}"
                break


def workshop_slides() -> list[Slide]:
    """Return the slides of all notebooks, in their order.

    Returns
    -------
    list of Slide

    Examples
    --------
    >>> workshop_slides()[0].title
    'The map: two clusters, one model, every claim checked'
    """
    from labkit.workshop import exercises

    every: list[Exercise] = list(exercises.values())
    return [
        slide
        for path in sorted(notebooks_dir().glob("*.ipynb"))
        for slide in slides_of(
            path.read_bytes(), path.stem, [it for it in every if it.notebook == path.stem]
        )
    ]


def as_page(slides: Iterable[Slide]) -> str:
    """Return slides as one page of HTML, which loads nothing and can be printed.

    Parameters
    ----------
    slides : iterable of Slide

    Returns
    -------
    str

    Examples
    --------
    >>> "<h2>One</h2>" in as_page([Slide("n", "One")])
    True
    """
    return templating.html("slides/page.html", slides=list(slides))


def _renderer() -> MarkdownIt:
    found = MarkdownIt("commonmark", {"html": False})
    for rule in ("link_open", "link_close"):
        found.add_render_rule(rule, lambda *_: "")
    return found
