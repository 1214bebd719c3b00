"""The checker of turns of phrase, scripts/check-words."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check-words"
TURNS = tomllib.loads((ROOT / "scripts" / "words.toml").read_text())["turn"]


def loaded() -> Any:
    loader = SourceFileLoader("check_words", str(SCRIPT))
    spec = spec_from_loader("check_words", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


WORDS = loaded()


def found_in(path: Path) -> list[str]:
    text = WORDS.prose(path)
    return [m[0] for pattern, _ in WORDS.patterns(TURNS) for m in pattern.finditer(text)]


def test_texts_in_scope_have_no_listed_turn() -> None:
    run = subprocess.run([sys.executable, SCRIPT], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn["pattern"][:20])
def test_turn_is_found_in_its_example(turn: dict[str, str], tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(turn["example"])
    assert found_in(document)
    document.write_text(turn["instead"])
    assert not found_in(document), "what to write instead is itself listed"


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("broken.md", "as\nfar as it goes", 1),
        ("code.md", "`whoever`\n```sh\nwhoever\n```\n", 0),
        ("comment.py", "# the same, as\n# far as it is there\n", 1),
        ("docstring.py", '"""Write it\n    anew."""\nx = 1\n', 1),
        ("string.py", 'print("whoever calls")\n', 1),
        ("names.py", "whoever = anew\n", 0),
        ("part.md", "a newcomer, renewed", 0),
        ("cell.ipynb", '{"cells": [{"cell_type": "markdown", "source": ["who", "ever"]}]}', 1),
        ("cell.ipynb", '{"cells": [{"cell_type": "code", "source": ["whoever"]}]}', 0),
    ],
)
def test_only_prose_is_read(tmp_path: Path, name: str, text: str, count: int) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert len(found_in(path)) == count


def test_line_of_a_turn_is_named() -> None:
    text = WORDS.comments_and_strings('x = 1\n"""a\nanew"""\n')
    assert text.split("\n")[2].startswith("anew")
