"""The page of the truth matrix holds every cell, loads no file and escapes every text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.matrix import Cell, Matrix
from labkit.render.matrix_page import page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def stored() -> Matrix:
    return Matrix.read(DOCS / "matrix.json")


def data_of(text: str) -> Any:
    [found] = re.findall(r'<script type="application/json" id="cells">(.*?)</script>', text)
    return json.loads(found)


def cells_of(data: Any) -> set[tuple[object, ...]]:
    words = {"S": "succeeded", "R": "refused", "?": "unprobed"}
    return {
        (*column, technique, foothold, words[expected], words[seen], data["reasons"][why])
        for technique, foothold, predicted, observed, reasons in data["rows"]
        for column, expected, seen, why in zip(
            data["columns"], predicted, observed, reasons, strict=True
        )
        if seen != "."
    }


def test_page_holds_every_stored_cell(stored: Matrix) -> None:
    assert cells_of(data_of(page(stored))) == {
        (*c.variant, c.technique, c.foothold, c.predicted, c.observed, c.reason) for c in stored
    }


def test_page_is_small_and_loads_nothing(stored: Matrix) -> None:
    text = page(stored)
    assert len(text.encode()) < 600_000
    assert not re.search(r"https?://|\bsrc=|@import|url\(|<link", text)
    assert "default-src 'none'" in text


def test_order_of_the_cells_does_not_change_the_page(stored: Matrix) -> None:
    assert page(Matrix(reversed(stored.cells))) == page(stored)


def test_missing_and_unprobed_cells_keep_their_letters() -> None:
    cells = [
        Cell(
            "insecure", None, None, "inside a pod", "a", "refused", "unprobed", "no answer", False
        ),
        Cell("insecure", "c", "on", "inside a pod", "b", "refused", "refused", "HTTP 401", True),
    ]
    data = data_of(page(Matrix(cells)))
    assert [row[3] for row in data["rows"]] == ["?.", ".R"]


def test_hostile_reason_makes_no_element() -> None:
    hostile = "</script><script>alert(1)</script><!-- \u2028'\""
    cell = Cell(hostile, hostile, "on", hostile, hostile, "refused", "refused", hostile, True)
    text = page(Matrix([cell]))
    assert text.count("<script") == 2
    assert data_of(text)["reasons"] == [hostile]


def test_stored_page_equals_the_page_of_the_stored_matrix(stored: Matrix) -> None:
    assert (DOCS / "matrix.html").read_text(encoding="utf-8") == page(stored), "make matrix"
