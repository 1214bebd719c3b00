"""Escape the names of a model for a page: no name becomes markup, and no character is hidden."""

from __future__ import annotations

import unicodedata
from html import escape

__all__ = ["LONGEST", "markdown_text", "plain", "xml"]

#: Characters of a name that a page shows; the rest is cut.
LONGEST = 240
#: Zero-width joiners: many scripts need them in ordinary words.
HONEST = frozenset("\u200c\u200d")
#: Characters with a meaning in Markdown or in its tables.
MARKS = "\\`*_{}[]()#+!|~$"


def plain(text: object, most: int = LONGEST) -> str:
    r"""Return a text in one line, with invisible characters shown as code points.

    Such characters control a terminal or change the direction of a text.

    Parameters
    ----------
    text : object
        Its ``str`` is used.
    most : int
        Longest result in characters; a longer one is cut.

    Returns
    -------
    str

    Examples
    --------
    >>> plain("etcd\u202e\n2379")
    'etcd‹U+202E› 2379'
    """
    seen = " ".join(str(text).split())
    if not (seen.isascii() and seen.isprintable()):
        seen = "".join(_seen(sign) for sign in seen)
    return seen if len(seen) <= most else f"{seen[: most - 1]}…"


def _seen(sign: str) -> str:
    # surrogates cannot be written to a file, and other controls change what a reader sees
    if sign not in HONEST and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return f"‹U+{ord(sign):04X}›"
    return sign


def xml(text: object, most: int = LONGEST) -> str:
    """Return a text escaped for an XML element or attribute.

    Parameters
    ----------
    text : object
        Its ``str`` is used.
    most : int
        Longest text in characters, before escaping; a longer one is cut.

    Returns
    -------
    str

    Examples
    --------
    >>> xml('<script>"a" & b')
    '&lt;script&gt;&quot;a&quot; &amp; b'
    """
    return escape(plain(text, most), quote=True)


def markdown_text(text: object, most: int = LONGEST) -> str:
    r"""Return a text escaped for a cell of a Markdown table.

    Parameters
    ----------
    text : object
        Its ``str`` is used.
    most : int
        Longest text in characters, before escaping; a longer one is cut.

    Returns
    -------
    str

    Examples
    --------
    >>> print(markdown_text("[a](b)|<c>"))
    \[a\]\(b\)\|&lt;c&gt;
    """
    shown = "".join(f"\\{sign}" if sign in MARKS else sign for sign in plain(text, most))
    # Markdown turns a bare address into a link
    return escape(shown, quote=False).replace("://", ":&#47;&#47;")
