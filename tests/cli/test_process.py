"""The process of a command: its exit status and its two outputs."""

from __future__ import annotations

import subprocess
import sys

import labkit


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "labkit", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_module_runs_the_command() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"labkit {labkit.__version__}\n"


def test_unknown_command_ends_with_2_and_prints_no_data() -> None:
    done = run("no-such-command")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'no-such-command'" in done.stderr


def test_command_is_not_run_when_its_module_is_imported() -> None:
    argv = [sys.executable, "-c", "import labkit.__main__", "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_of_an_unknown_exercise_is_one_line_in_a_new_process() -> None:
    done = run("workshop", "check", "no-such-exercise")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
