"""The Python programs outside the package: what they import from labkit exists."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = sorted(
    path
    for folder in ("scripts", "benchmarks")
    for path in (ROOT / folder).iterdir()
    if path.suffix == ".py"
    or (path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env py"))
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_program_imports_names_that_labkit_has(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labkit"):
            module = import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                found = hasattr(module, name) or find_spec(f"{node.module}.{name}") is not None
                assert found, f"{node.module} has no {name}"
