"""What a notebook shows while something runs, and that nothing of it stays."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.lab.progress import PROGRESS_MARK, NotebookReporter

ROOT = Path(__file__).resolve().parent.parent.parent


class Cell:
    """Takes what a notebook would show."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []

    def show(self, lines: list[str]) -> Any:
        self.shown.append(lines)
        return self.shown.append

    def waits_for(self, *parts: str) -> None:
        """Wait until the last lines have these parts, each line its own."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            last = self.shown[-1] if self.shown else []
            if len(last) == len(parts) and all(map(str.__contains__, last, parts)):
                return
            time.sleep(0.005)
        raise AssertionError(self.shown[-3:])


def test_quick_step_shows_nothing() -> None:
    cell = Cell()
    with NotebookReporter(cell.show, after_s=60).step("quick"):
        pass
    assert cell.shown == []


def test_open_steps_are_shown_with_their_latest_line_until_they_end() -> None:
    cell = Cell()
    reporter = NotebookReporter(cell.show, after_s=0.01, look_s=0.01)
    with reporter.step("%lab reset"):
        cell.waits_for("%lab reset: 0 s")
        with reporter.step("restore etcd") as step:
            step.line("one\n")
            step.line(" ")
            cell.waits_for("%lab reset: 0 s", "restore etcd: 0 s, one")
        cell.waits_for("%lab reset: 0 s")
    assert cell.shown[-1] == []
    before = len(cell.shown)
    with reporter.step("the next cell"):
        cell.waits_for("the next cell: 0 s")
    assert len(cell.shown) > before
    assert cell.shown[-1] == []


def test_step_that_fails_is_shown_no_longer() -> None:
    cell = Cell()
    reporter = NotebookReporter(cell.show, after_s=0.01, look_s=0.01)

    @reporter.step("%check")
    def check() -> None:
        cell.waits_for("%check: 0 s")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check()
    assert cell.shown[-1] == []


class Watching(NotebookClient):
    """Keeps what a notebook shows, also what is replaced later."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, **options)
        self.seen: list[tuple[int, str, dict[str, Any]]] = []

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if "data" in msg["content"]:
            self.seen.append((cell_index, msg["msg_type"], msg["content"]))
        return super().process_message(msg, cell, cell_index)


CELLS = (
    """
    import time
    from labkit.lab.progress import NotebookReporter, reporter_of_cells
    type(reporter_of_cells()).__name__
    """,
    """
    with NotebookReporter(after_s=0.05, look_s=0.05).step("<b>slow</b>") as step:
        step.line("a line")
        time.sleep(0.5)
    "done"
    """,
    "'next'",
)


def test_progress_is_shown_below_its_cell_and_nbval_does_not_compare_it() -> None:
    cells = [nbformat.v4.new_code_cell(dedent(it)) for it in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = Watching(notebook, timeout=60, kernel_name="python3")
    client.execute()
    first, slow, following = notebook.cells
    assert first.outputs[0].data["text/plain"] == "'NotebookReporter'"
    marked = [it for it in client.seen if it[2]["metadata"].get(PROGRESS_MARK)]
    assert {cell for cell, _, _ in marked} == {1}
    assert [kind for _, kind, _ in marked][:2] == ["display_data", "update_display_data"]
    shown = marked[0][2]["data"]
    assert shown["text/plain"] == "<b>slow</b>: 0 s, a line"
    assert "&lt;b&gt;slow&lt;/b&gt;: 0 s, a line" in shown["text/html"]
    progress, result = slow.outputs
    assert progress.data == {"text/html": "", "text/plain": ""}
    assert result.data["text/plain"] == "'done'"
    assert len(following.outputs) == 1

    compared: list[Any] = []
    spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    root = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(root)

    def compare(*given: Any) -> bool:
        compared.append(given)
        return False

    assert root.of_results(compare)(slow.outputs, ["stored"]) is False
    assert compared == [([result], ["stored"])]
