"""Templates of pages: every name that they show is escaped, and nothing in it hides.

Two sets of templates, of HTML and of Markdown, share their filters; they differ in how a text
is escaped. Template files are read when the first page is made, and compiled once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from labkit.render.escaping import LONGEST, markdown_text, plain

__all__ = ["asset", "html", "markdown", "script_digest"]


def html(template: str, **context: Any) -> str:
    """Return a page of HTML.

    Parameters
    ----------
    template : str
        A file under ``labkit/render/templates``.
    **context
        What the template names; a name that is missing is an error.

    Examples
    --------
    >>> page = html("report/reading.html", meanings={"<b>": "a & b"}, signs={"<b>": "!"})
    >>> "<li>! <strong>&lt;b&gt;</strong>: a &amp; b</li>" in page
    True
    """
    return _environment(html_text).get_template(template).render(context)


def markdown(template: str, **context: Any) -> str:
    """Return a page of Markdown; as :func:`html`."""
    return _environment(markdown_markup).get_template(template).render(context)


def html_text(value: str, most: int = LONGEST) -> Markup:
    """Return a text for HTML, whose direction does not spill over.

    Examples
    --------
    >>> html_text("a<b"), html_text("אב")
    (Markup('a&lt;b'), Markup('<bdi>אב</bdi>'))
    """
    shown = plain(value, most)
    return escape(shown) if shown.isascii() else Markup("<bdi>{}</bdi>").format(shown)


def markdown_markup(value: str, most: int = LONGEST) -> Markup:
    """Return a text for a cell of a Markdown table.

    Examples
    --------
    >>> markdown_markup("a<b")
    Markup('a&lt;b')
    """
    return Markup(markdown_text(value, most))  # noqa: S704 - it is escaped


@cache
def asset(name: str) -> Markup:
    """Return a style sheet or a script of ours, as it is."""
    file = resources.files("labkit.render") / "templates" / name
    return Markup(file.read_text(encoding="utf-8"))  # noqa: S704 - a file of the package


def script_digest(name: str) -> Markup:
    """Return what a content security policy calls a script of ours."""
    digest = hashlib.sha256(asset(name).encode()).digest()
    return Markup("'sha256-{}'").format(base64.b64encode(digest).decode())


@cache
def _environment(text: Callable[..., Markup]) -> Environment:
    # a model says the same of many channels
    kept = lru_cache(maxsize=1 << 14)(text)

    def shown(value: object) -> object:
        kind = type(value)
        return value if kind is Markup or kind is int else kept(str(value))

    def filtered(value: object, most: int = LONGEST) -> Markup:
        return kept(str(value), most)

    found = Environment(
        loader=PackageLoader("labkit.render"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    found.filters |= {"text": filtered, "attribute": _attribute, "source": _source}
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    found.globals |= {"asset": asset, "script_digest": script_digest}
    return found


def _attribute(value: object, most: int = LONGEST) -> Markup:
    return escape(plain(str(value), most))


def _source(value: object) -> Markup:
    return _broken(str(value))


@lru_cache(maxsize=1 << 14)
def _broken(value: str) -> Markup:
    """Return where something was read; a long path may be broken at its slashes."""
    return Markup("/<wbr>").join(plain(value).split("/"))
