"""Templates of pages: every value that they show is escaped, and no character of it is hidden.

The templates of HTML and of Markdown have the same filters; they differ in how a text is
escaped. The first page reads and compiles the template files, later pages reuse them.

A template may wrap a macro in ``once``: the macro then runs once for each set of arguments. A
report of 400 channels has thousands of table cells, and many of them are equal.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
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
    **context : object
        The variables of the template.

    Returns
    -------
    str
        HTML in which every value is escaped.

    Raises
    ------
    jinja2.UndefinedError
        The template uses a variable that is not given.
    jinja2.TemplateNotFound
        There is no such file.

    Examples
    --------
    >>> page = html("report/reading.html", meanings={"<b>": "a & b"}, signs={"<b>": "!"})
    >>> "<li>! <strong>&lt;b&gt;</strong>: a &amp; b</li>" in page
    True
    """
    return _environment(html_text).get_template(template).render(context)


def markdown(template: str, **context: Any) -> str:
    r"""Return a page of Markdown.

    Parameters
    ----------
    template : str
        A file under ``labkit/render/templates``.
    **context : object
        The variables of the template.

    Returns
    -------
    str
        Markdown in which every value is escaped.

    Raises
    ------
    jinja2.UndefinedError
        The template uses a variable that is not given.
    jinja2.TemplateNotFound
        There is no such file.

    Examples
    --------
    >>> print(markdown("report/reading.md", meanings={"a|b": "c"}).splitlines()[0])
    - **a\|b**: c
    """
    return _environment(markdown_markup).get_template(template).render(context)


def html_text(value: str, most: int = LONGEST) -> Markup:
    """Return a text escaped for HTML; text that is not ASCII keeps its direction to itself.

    Parameters
    ----------
    value : str
    most : int
        Longest text in characters; a longer one is cut.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> html_text("a<b"), html_text("אב")
    (Markup('a&lt;b'), Markup('<bdi>אב</bdi>'))
    """
    shown = plain(value, most)
    return escape(shown) if shown.isascii() else Markup("<bdi>{}</bdi>").format(shown)


def markdown_markup(value: str, most: int = LONGEST) -> Markup:
    """Return a text escaped for a cell of a Markdown table.

    Parameters
    ----------
    value : str
    most : int
        Longest text in characters; a longer one is cut.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> markdown_markup("a<b")
    Markup('a&lt;b')
    """
    return Markup(markdown_text(value, most))  # noqa: S704 - it is escaped


@cache
def asset(name: str) -> Markup:
    """Return a style sheet or a script of the package, unescaped.

    Parameters
    ----------
    name : str
        A file under ``labkit/render/templates``.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> asset("report/report.css")[:5]
    Markup(':root')
    """
    file = resources.files("labkit.render") / "templates" / name
    return Markup(file.read_text(encoding="utf-8"))  # noqa: S704 - a file of the package


def script_digest(name: str) -> Markup:
    """Return the hash source of a script, for a Content-Security-Policy header.

    See https://www.w3.org/TR/CSP3/#grammardef-hash-source.

    Parameters
    ----------
    name : str
        A file under ``labkit/render/templates``.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> str(script_digest("report/report.js"))[:8]
    "'sha256-"
    """
    digest = hashlib.sha256(asset(name).encode()).digest()
    return Markup("'sha256-{}'").format(base64.b64encode(digest).decode())


@cache
def _environment(text: Callable[..., Markup]) -> Environment:
    # many channels have the same claims
    kept = lru_cache(maxsize=1 << 14)(text)

    def shown(value: object) -> object:
        kind = type(value)
        return value if kind is Markup or kind is int else kept(str(value))

    def filtered(value: object, most: int = LONGEST) -> Markup:
        return kept(str(value), most)

    def joined(values: Iterable[object], between: str) -> Markup:
        pieces = [kept(str(value)) for value in values]
        return Markup(str.join(escape(between), pieces))  # noqa: S704 - each is escaped

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
    found.filters |= {"text": filtered, "texts": joined, "attribute": _attribute}
    found.filters["source"] = _source
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    found.globals |= {"asset": asset, "script_digest": script_digest, "once": cache}
    return found


def _attribute(value: object, most: int = LONGEST) -> Markup:
    return escape(plain(str(value), most))


def _source(value: object) -> Markup:
    return _broken(str(value))


@lru_cache(maxsize=1 << 14)
def _broken(value: str) -> Markup:
    """Return a source with a possible line break after each slash."""
    return Markup("/<wbr>").join(plain(value).split("/"))
