"""The truth matrix as one offline HTML page with filters."""

from __future__ import annotations

from collections import Counter
from typing import Any

from labkit.matrix.cells import Matrix
from labkit.render import templating
from labkit.render.matrix import FILLS, LETTERS

__all__ = ["page"]

#: The letter of a missing cell.
ABSENT = "."


def page(matrix: Matrix) -> str:
    """Return the matrix as one HTML file that loads no other file.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str
        Rows are techniques from a foothold, columns are clusters. Equal matrices give the same
        bytes.

    Examples
    --------
    >>> from labkit.matrix import Cell
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> text = page(Matrix([cell]))
    >>> text.splitlines()[0], "https://" in text
    ('<!doctype html>', False)
    """
    return templating.html(
        "matrix/page.html",
        summary=matrix.summary(),
        modes=matrix.modes,
        footholds=sorted({str(cell.foothold) for cell in matrix}),
        techniques=sorted({cell.technique for cell in matrix}),
        controls=sorted({cell.control for cell in matrix if cell.control}),
        fills=FILLS,
        cells=encoded(matrix),
    )


def encoded(matrix: Matrix) -> dict[str, Any]:
    """Return the cells in the form that the page's script reads.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    dict
        ``columns``: mode, control and direction of each cluster. ``reasons``: the reasons, the
        most frequent first. ``rows``: technique, foothold, then for each column the letter of
        the prediction, the letter of the observation, and the index of the reason.

    Examples
    --------
    >>> from labkit.matrix import Cell
    >>> cell = Cell("insecure", None, None, "inside a pod", "etcd-read", "succeeded",
    ...             "succeeded", "HTTP 200", True)
    >>> encoded(Matrix([cell]))["rows"]
    [['etcd-read', 'inside a pod', 'S', 'S', [0]]]
    """
    columns = matrix.variants()
    counts = Counter(cell.reason for cell in matrix)
    reasons = sorted(counts, key=lambda reason: (-counts[reason], reason))
    number = {reason: index for index, reason in enumerate(reasons)}
    cells = {(cell.place, cell.variant): cell for cell in matrix}
    rows = []
    for place in sorted({cell.place for cell in matrix}):
        found = [cells.get((place, column)) for column in columns]
        predicted = "".join(LETTERS[it.predicted] if it else ABSENT for it in found)
        observed = "".join(LETTERS[it.observed] if it else ABSENT for it in found)
        why = [number[it.reason] if it else 0 for it in found]
        rows.append([place[0], str(place[1]), predicted, observed, why])
    return {"columns": columns, "reasons": reasons, "rows": rows}
