"""The scripts behind make: when they fail, they say what to do next."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_unreachable_docker_host_is_refused_and_not_replaced(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/nobody-listens.sock"
    done = run("scripts/docker-engine", sys.executable, DOCKER_HOST=host)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Docker Engine does not answer at DOCKER_HOST={host} (")
    assert "next: start it there" in done.stderr


def test_missing_python_is_refused(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    done = run("scripts/python-env", str(venv), PYTHON=str(tmp_path / "python"))
    assert done.returncode == 1
    assert "error: Python 3.11 or later was not found" in done.stderr
    assert not venv.exists()


def test_old_python_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")  # the check for the version fails
    old.chmod(0o755)
    done = run("scripts/python-env", str(tmp_path / "venv"), PYTHON=str(old))
    assert done.returncode == 1
    assert "next: install it" in done.stderr


JOURNAL = """\
2026-12-01T07:39:26+00:00 etcd1 systemd[1]: etcd.service: Main process exited, code=killed
2026-12-01T07:39:27+00:00 etcd1 etcd[5606]: {"level":"warn","msg":"closed TCP streaming connection"}
2026-12-01T07:39:28+00:00 etcd1 kube-proxy[7]: F1201 07:39:28.029585       7 run.go:72] no route
"""


def ci(tmp_path: Path, *, lint: int = 0, test: int = 0) -> tuple[int, list[str]]:
    """Run a copy of .ci/run with a fake make and a fake labkit."""
    for folder in (".ci", ".venv/bin", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    programs = {
        "bin/make": 'case $1 in lint) exit "$LINT";; test) echo "== 3 passed in 1.2s =="; '
        'mkdir -p "$LABKIT_TEST_LOGS"; echo "$JOURNAL" >"$LABKIT_TEST_LOGS/insecure-etcd1.log"; '
        'exit "$TEST";; esac',
        # of two tests' processes, the second left a lab; the other one is a person's
        ".venv/bin/labkit": 'echo "$@" >>called; case $1 in status) printf '
        '\'[{"name":"%s-gw1","mode":"logs-insecure"},{"name":"default","mode":"insecure"}]\''
        ' "$LABKIT_TEST_NAME";; esac',
        ".venv/bin/python": f'exec {sys.executable} "$@"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", tmp_path / ".ci" / "run"],
        env={**os.environ, "PATH": path, "LINT": str(lint), "TEST": str(test), "JOURNAL": JOURNAL},
        capture_output=True,
        text=True,
        timeout=60,
    )
    asked, *removed = (tmp_path / "called").read_text().splitlines()
    assert asked == "status --all --json"
    assert len(removed) == 1, "labs are removed in any case, and no others"
    assert re.fullmatch(r"down --name ci-\d+-gw1 --mode logs-insecure", removed[0])
    return done.returncode, done.stdout.splitlines()


def test_ci_passes(tmp_path: Path) -> None:
    status, lines = ci(tmp_path)
    assert status == 0
    assert lines[-1] == "== 3 passed in 1.2s =="


def test_ci_fails_with_the_tests_and_shows_the_lab_logs(tmp_path: Path) -> None:
    status, lines = ci(tmp_path, lint=1, test=2)
    assert status == 2
    at = lines.index("--- .ci/logs/labs/insecure-etcd1.log")
    said = JOURNAL.splitlines()
    assert lines[at + 1 : at + 3] == [said[0], said[2]], "starts, ends and what is fatal"
    assert said[1] not in lines
    assert lines[-1] == "== 3 passed in 1.2s =="


def test_ci_fails_when_only_lint_does(tmp_path: Path) -> None:
    status, lines = ci(tmp_path, lint=1)
    assert status == 1
    assert any("make lint failed" in line for line in lines)
