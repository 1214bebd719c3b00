"""Bad input at the command line: one clear message, its exit status, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from typer.testing import CliRunner, Result

from labkit.cli import app

LAB_COMMANDS = [
    ["up"],
    ["down"],
    ["status"],
    ["status", "--all"],
    ["reset"],
    ["exec", "worker1", "--mode", "insecure", "--", "true"],
    ["kubectl", "--mode", "hardened", "--", "get", "pods"],
    ["logs", "worker1", "--mode", "insecure"],
    ["image", "build"],
    ["image", "save", "node.tar.gz"],
    ["image", "load", "node.tar.gz"],
    ["image", "push", "registry.example:5000"],
    ["image", "pull", "registry.example:5000"],
]


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"unix://{tmp_path}/nobody-listens.sock"
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.chdir(tmp_path)
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def assert_one_message(result: Result, message: str, hint: str) -> None:
    assert result.stdout == ""
    assert result.stderr.count("error:") == 1, result.stderr
    assert message in result.stderr
    assert f"next: {hint}" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("command", LAB_COMMANDS, ids=" ".join)
def test_command_without_an_engine_exits_with_1_and_one_message(
    command: list[str], tmp_path: Path
) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert_one_message(result, "Docker Engine does not answer", "labkit doctor")
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.usefixtures("no_engine")
def test_verify_without_an_engine_is_not_a_disagreement() -> None:
    result = run("verify")
    assert result.exit_code == 2
    assert_one_message(result, "Docker Engine does not answer", "labkit doctor")


@pytest.mark.usefixtures("no_engine")
def test_doctor_says_what_to_do_without_an_engine() -> None:
    result = run("doctor")
    assert result.exit_code == 1
    assert "BAD  Docker Engine:" in result.stdout
    assert "next: make lab" in result.stdout


def test_process_without_an_engine_shows_no_traceback(no_engine: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "up"],
        capture_output=True,
        text=True,
        env={**os.environ, "DOCKER_HOST": no_engine},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: Docker Engine does not answer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", LAB_COMMANDS[:8], ids=" ".join)
def test_unknown_mode_is_refused(command: list[str]) -> None:
    if "--all" in command:
        pytest.skip("takes no mode")
    command = [word for word in command if word not in ("insecure", "hardened", "--mode")]
    result = run(command[0], "--mode", "lax", *command[1:])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "lax" in result.stderr
    assert "next: " in result.stderr


@pytest.mark.parametrize("name", ["Upper", "under_score", "-x", "x" * 33, "../up", ""])
def test_malformed_lab_name_is_refused(name: str) -> None:
    result = run("status", f"--name={name}")
    assert result.exit_code == 1
    assert "is not a valid name for a lab" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "--nonsense"], "No such option"),
        (["upp"], "No such command"),
        (["image", "steal"], "No such command"),
        (["exec", "worker1", "--", "true"], "--mode"),
        (["exec", "--mode", "insecure"], "NODE"),
        (["exec", "worker1", "--mode", "insecure"], "COMMAND"),
        (["kubectl", "get", "pods"], "--mode"),
        (["logs", "worker1"], "--mode"),
        (["logs", "worker1", "--mode", "insecure", "--lines", "0"], "--lines"),
        (["exec", "w", "--mode", "insecure", "--timeout", "soon", "--", "true"], "--timeout"),
        (["image", "save"], "FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_error_exits_with_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABKIT_MODE", raising=False)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_docker_client_error_is_shown_as_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import docker

    def broken(*_: object, **__: object) -> None:
        raise docker.errors.APIError("500 Server Error", explanation="no space left on device")

    monkeypatch.setattr("labkit.lab.Lab", broken)
    result = run("down")
    assert result.exit_code == 1
    assert_one_message(result, "Docker Engine refused a request", "labkit doctor")
    assert "no space left on device" in result.stderr


def test_unexpected_exception_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("labkit.lab.Lab", broken)
    assert isinstance(run("down").exception, ZeroDivisionError)


def test_interrupted_command_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labkit.lab.Lab", interrupted)
    result = run("down")
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_notebook_shows_the_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    raising = "raise LabError('etcd1 is gone', evidence=['exit 137'], hint='labkit reset')"
    shell.run_cell(f"from labkit.errors import LabError\n{raising}")
    assert capsys.readouterr().out == "etcd1 is gone\n  | exit 137\n  next: labkit reset\n"
    # the positive control: another error has one
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out
