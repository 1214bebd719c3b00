"""Every program is a file that runs alone on a machine, and there is one way to send it."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import agents

LABKIT = Path(agents.__file__).parent.parent
FOLDER = LABKIT / "agents"
PYTHON = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
SHELL = sorted(path.stem for path in FOLDER.glob("*.sh"))
SHELLS = {"sh", "bash", "python3"}
#: A pod that is created has no loader; its command is one line.
ONE_LINE = "techniques/_lib/api/breakout.py"


def test_there_are_programs_of_both_kinds() -> None:
    assert len(PYTHON) > 10
    assert len(SHELL) > 5
    assert not set(PYTHON) & set(SHELL), "a name says which program is meant"


@pytest.mark.parametrize("name", PYTHON)
def test_program_imports_nothing_but_the_standard_library(name: str) -> None:
    tree = ast.parse(agents.load(name))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize("name", PYTHON)
def test_program_does_nothing_when_it_is_imported(name: str) -> None:
    # alone, as on a machine: neither labkit nor any other package can be found
    script = "import sys; exec(compile(sys.stdin.read(), 'agent', 'exec'), {'__name__': 'agent'})"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        input=agents.load(name),
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SHELL)
def test_shell_program_is_well_formed(name: str) -> None:
    run = subprocess.run(["sh", "-n"], input=agents.load(name), capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert agents.load(name).startswith("# "), "its first line says what it does"


def test_program_in_python_gets_its_arguments() -> None:
    argv = agents.argv("connect_socket", "/no/such/socket")
    assert argv[:3] == ["python3", "-IS", "-c"]
    run = subprocess.run([sys.executable, *argv[1:]], capture_output=True, text=True, check=True)
    assert run.stdout == '{"error": "failed", "text": "FileNotFoundError"}'


def test_program_in_shell_gets_its_arguments(tmp_path: Path) -> None:
    there = tmp_path / "a file"
    there.touch()
    argv = agents.argv("lab_state", str(there), str(tmp_path / "none"), str(tmp_path / "none"))
    run = subprocess.run(argv, check=False, timeout=60, capture_output=True, text=True)
    assert run.stdout == "ready\n"


def test_shared_text_stands_once_in_the_place_of_its_import() -> None:
    text = agents.load("probe")
    assert text.count("def failure(") == 1
    assert "labkit" not in {
        node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
    }


def test_unknown_program_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_program"):
        agents.load("no_such_program")


def test_nothing_is_read_before_it_is_used() -> None:
    script = (
        "import labkit.lab, labkit.verification\n"
        "from labkit import agents, techniques\n"
        "assert len(techniques) > 40\n"
        "print(agents._read.cache_info().currsize)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("0", "")


def test_no_program_stands_in_a_string() -> None:
    found = []
    for path in LABKIT.rglob("*.py"):
        name = str(path.relative_to(LABKIT))
        if name in ("agents/__init__.py", ONE_LINE):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List | ast.Tuple):
                words = [it.value if isinstance(it, ast.Constant) else "" for it in node.elts]
                pairs = itertools.pairwise(words)
                found += [f"{name}:{node.lineno}" for a, b in pairs if a in SHELLS and b == "-c"]
    assert not found, "a program is a file of labkit/agents"
