"""Write tables as text with aligned columns, and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Cells", "columns", "html"]

GAP = "  "
LEFT = "text-align:left"


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text with aligned columns.

    Parameters
    ----------
    head : sequence of str
        The titles of the columns.
    rows : iterable of sequence of str
        The rows; each has as many cells as `head`.

    Returns
    -------
    str
        One line for each row, without a newline at the end.

    Raises
    ------
    ValueError
        A row has more cells than `head`.

    Examples
    --------
    >>> print(columns(("a", "long head"), [("1", "2")]))
    a  long head
    -  ---------
    1  2
    """
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


#: The text of a cell, or the text and its style.
Cells = Sequence[str | tuple[str, str]]


def html(head: Sequence[str], rows: Iterable[Cells], caption: str = "") -> str:
    """Return a table as HTML; the text of every cell is escaped.

    Parameters
    ----------
    head : sequence of str
        The titles of the columns.
    rows : iterable of sequence
        The rows; each cell is a text, or a pair of a text and its CSS.
    caption : str, optional
        The title of the table.

    Returns
    -------
    str

    Examples
    --------
    >>> print(html(("a",), [("<1>",)])[-67:])
    <tr><td style='text-align:left'>&lt;1&gt;</td></tr></tbody></table>
    """
    titles = "".join(f"<th style='{LEFT}'>{escape(title)}</th>" for title in head)
    above = f"<caption style='{LEFT}'>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{above}<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: str | tuple[str, str]) -> str:
    text, style = (cell, "") if isinstance(cell, str) else cell
    return f"<td style='{LEFT}{';' if style else ''}{style}'>{escape(text)}</td>"
