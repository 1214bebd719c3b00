"""Names of a model as text of a page: nothing in them is markup, and nothing hides."""

from __future__ import annotations

import unicodedata
from html import escape

__all__ = ["LONGEST", "markdown_text", "plain", "xml"]

#: Longer names are cut: a page is for reading.
LONGEST = 240
#: What joins or separates letters in honest text of many scripts.
HONEST = frozenset("\u200c\u200d")
#: What Markdown, or the table around, would take for its own.
MARKS = "\\`*_{}[]()#+!|~$"


def plain(text: object, most: int = LONGEST) -> str:
    r"""Return a text in one line, with what could not be seen written out.

    Characters that control a terminal or the direction of a text are shown by their number.

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
    # surrogates cannot be written to a file, other controls change what is read
    if sign not in HONEST and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return f"‹U+{ord(sign):04X}›"
    return sign


def xml(text: object, most: int = LONGEST) -> str:
    """Return a text for XML: for an element or an attribute.

    Examples
    --------
    >>> xml('<script>"a" & b')
    '&lt;script&gt;&quot;a&quot; &amp; b'
    """
    return escape(plain(text, most), quote=True)


def markdown_text(text: object, most: int = LONGEST) -> str:
    r"""Return a text for a cell of a Markdown table.

    Examples
    --------
    >>> print(markdown_text("[a](b)|<c>"))
    \[a\]\(b\)\|&lt;c&gt;
    """
    shown = "".join(f"\\{sign}" if sign in MARKS else sign for sign in plain(text, most))
    # an address would become a link all by itself
    return escape(shown, quote=False).replace("://", ":&#47;&#47;")
