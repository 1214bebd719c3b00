"""The bundle: what it refuses, and a laptop without a network that installs and runs from it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import ConfigError
from labkit.lab.progress import QuietReporter
from labkit.workshop import bundle, bundle_install
from labkit.workshop.linked_pages import with_pages
from labkit.workshop.participants import participants_notebooks

LAB = f"bundle-{os.getpid()}"
#: Variables that could point to another labkit or another environment.
HIDDEN = ("LABKIT_", "PYTHON", "VIRTUAL_ENV", "PIP_")


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Leave out the image and the packages; return the versions of Python that are asked for."""
    asked: list[tuple[str, ...]] = []

    def gather(folder: Path, _: object, __: object, pythons: tuple[str, ...], *___: object) -> None:
        asked.append(pythons)
        (folder / "install.py").write_text("pass\n")

    monkeypatch.setattr(bundle, "_gather", gather)
    return asked


def write(file: Path, **options: Any) -> int:
    engine: Any = None
    return bundle.write_bundle(file, engine, QuietReporter(), **options)


def test_archive_names_nobody_and_is_readable(
    tmp_path: Path, gathered: list[tuple[str, ...]]
) -> None:
    site = tmp_path / "site"
    site.mkdir(mode=0o700)
    (site / "index.html").write_text("docs")
    assert write(tmp_path / "b.tar", pythons=["3.12", "3.11", "3.12"], site=site) > 0
    assert gathered == [("3.12", "3.11")]
    with tarfile.open(tmp_path / "b.tar") as archive:
        members = {it.name: it for it in archive.getmembers()}
    assert {"labkit-bundle/install.py", "labkit-bundle/docs/index.html"} <= set(members)
    assert {(it.uid, it.uname) for it in members.values()} == {(0, "")}
    assert members["labkit-bundle/docs"].mode == 0o755
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "site"]


def test_failure_leaves_the_old_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "b.tar").write_text("old")
    monkeypatch.setattr(bundle, "_gather", fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        write(tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]
    assert (tmp_path / "b.tar").read_text() == "old"


def test_folder_without_documentation_is_refused(
    tmp_path: Path, gathered: list[tuple[str, ...]]
) -> None:
    with pytest.raises(ConfigError, match=r"no index\.html"):
        write(tmp_path / "b.tar", site=tmp_path)
    assert gathered == []


@pytest.mark.parametrize(
    ("given", "said", "unsaid"),
    [
        ((), ["13-identity, which need --image provider", "which need --image reviewer"], []),
        (("provider",), ["14-delegated-decisions, which need --image reviewer"], ["13-identity"]),
    ],
)
def test_command_names_the_notebooks_that_have_no_labs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    said: list[str],
    unsaid: list[str],
) -> None:
    monkeypatch.setattr("labkit.lab.engine.connect", lambda: None)
    monkeypatch.setattr(bundle, "write_bundle", lambda *_, **__: 1 << 20)
    options = [word for name in given for word in ("--image", name)]
    done = CliRunner().invoke(app, ["bundle", str(tmp_path / "b.tar"), *options])
    assert done.exit_code == 0
    assert [text for text in said if text not in done.stderr] == []
    assert [text for text in unsaid if text in done.stderr] == []


def test_pip_that_fails_says_why() -> None:
    with QuietReporter().step("x") as step, pytest.raises(ConfigError) as caught:
        bundle._pip(step, ["download", "--no-index", "labkit-no-such-package"])
    assert any("labkit-no-such-package" in line for line in caught.value.evidence)


def test_pip_that_never_ends_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PIP_S", 0.2)
    with bundle._process([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        process.wait(30)
    assert process.returncode < 0


def test_failure_beside_pip_ends_pip() -> None:
    def fail() -> None:
        with bundle._process([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
            running.append(process)
            raise ZeroDivisionError

    running: list[subprocess.Popen[str]] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert running[0].returncode < 0


@pytest.mark.parametrize(
    ("url", "known"),
    [("file://{clone}", True), ("file:///no/such/clone", False), ("https://x/labkit.whl", False)],
)
def test_source_is_what_labkit_was_installed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, known: bool
) -> None:
    class Installed:
        def read_text(self, _: str) -> str:
            return json.dumps({"url": url.format(clone=tmp_path)})

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Installed())
    if known:
        assert bundle._source() == tmp_path
        return
    with pytest.raises(ConfigError, match="not installed from a clone"):
        bundle._source()


def test_other_platform_and_its_remedy_are_named() -> None:
    about = {"pythons": ["3.11", "3.12"], "platform": "linux-x86_64"}
    assert bundle_install.unsuitable(about, "3.12", "linux-x86_64") == ""
    assert "python3.11 install.py" in bundle_install.unsuitable(about, "3.10", "linux-x86_64")
    said = bundle_install.unsuitable(about, "3.11", "macosx-14.0-arm64")
    assert "made on such a machine" in said


@pytest.mark.parametrize("argument", ["--help", "-h", "/elsewhere"])
def test_argument_explains_the_installer_and_installs_nothing(
    argument: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        bundle_install.main(tmp_path, [argument])
    assert "no network" in str(caught.value)
    assert f"installs in {tmp_path}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_step_that_fails_ends_with_its_last_lines_and_what_to_do() -> None:
    argv = [sys.executable, "-c", "import sys; print('broken wheel'); sys.exit(3)"]
    with pytest.raises(SystemExit) as caught:
        bundle_install.run("install the packages", argv, "  next: again")
    assert str(caught.value).splitlines() == [
        "error: install the packages failed",
        "  | broken wheel",
        "  next: again",
    ]


def test_slow_step_gives_signs_of_life_and_a_step_without_an_end_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundle_install, "SIGN_S", 0.2)
    argv = [sys.executable, "-c", "import time; time.sleep(0.7)"]
    bundle_install.run("load", argv, "  next: again")
    first, *signs, last = capsys.readouterr().out.splitlines()
    assert (first, set(signs)) == (" … load", {"   load: 0 s", "   load: 1 s"} & set(signs))
    assert len(signs) >= 2
    assert last.startswith(" ✓ load (")
    monkeypatch.setattr(bundle_install, "STEP_S", 0.3)
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(SystemExit, match=r"^error: load: no end after 0.3 s\n  next: again$"):
        bundle_install.run("load", argv, "  next: again")


def test_pages_that_notebooks_link_to_are_there() -> None:
    found = with_pages(participants_notebooks())
    pages = {name for name in found if name.startswith("docs/")}
    assert {"docs/your-own-cluster.md", "docs/matrix.html"} <= pages
    links = {
        link
        for name, data in found.items()
        if name.endswith(".ipynb")
        for link in re.findall(r"\]\(([^)#:]+)\)", data.decode())
    }
    assert links > pages
    assert [link for link in sorted(links) if link not in found] == []


# -- with the network cut ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a bundle and unpack it in a new folder."""
    folder = tmp_path_factory.mktemp("bundle")
    labkit = Path(sys.executable).with_name("labkit")
    subprocess.run([labkit, "bundle", folder / "b.tar"], check=True, timeout=900)
    with tarfile.open(folder / "b.tar") as archive:
        archive.extractall(folder, filter="data")
    (folder / "b.tar").unlink()
    yield folder / "labkit-bundle"
    shutil.rmtree(folder)


def offline(*argv: str | Path, folder: Path) -> str:
    """Run a command in a network namespace that has loopback only; return its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv]
    done = subprocess.run(
        inside, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may cut the network")
def test_laptop_without_a_network_installs_runs_and_checks(unpacked: Path) -> None:
    connect = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
    with pytest.raises(AssertionError, match="Network is unreachable"):  # the network is cut
        offline(sys.executable, "-c", connect, folder=unpacked)
    said = offline(sys.executable, "install.py", folder=unpacked)
    assert "labkit is installed" in said
    labkit = unpacked / "venv" / "bin" / "labkit"
    lab = ("--mode", "insecure", "--name", LAB)
    try:
        offline(labkit, "up", *lab, folder=unpacked)
        assert "0 disagree" in offline(labkit, "verify", *lab, folder=unpacked)
        assert "succeeded" in offline(labkit, "attack", "etcd-read", *lab, folder=unpacked)
        assert "solved" not in offline(labkit, "workshop", "list", folder=unpacked)
    finally:
        offline(labkit, "down", *lab, folder=unpacked)
    listed = (unpacked / "notebooks" / "02-etcd.ipynb").read_text()
    assert "# your solution" in listed
    # nbval runs the notebooks themselves; here a kernel of the new environment has to start
    cells = [nbformat.v4.new_code_cell(it) for it in ("%load_ext labkit", "%progress")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), unpacked / "own.ipynb")
    shown = ["nbconvert", "--to", "markdown", "--execute", "--stdout", "own.ipynb"]
    said = offline(unpacked / "venv" / "bin" / "jupyter", *shown, folder=unpacked)
    assert "02-etcd" in said
    assert "not up: " in said
