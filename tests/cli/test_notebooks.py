"""``labkit notebooks``: what it writes, what it refuses to overwrite, what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from labkit.cli import app
from labkit.resources import notebooks_dir

NAMES = sorted(path.name for path in notebooks_dir().glob("*.ipynb"))
#: The pages that notebooks link to: what is beside the folder, JupyterLab does not open.
PAGES = ["docs/matrix.html", "docs/your-own-cluster.md"]


def linked(name: str) -> bytes:
    """Return a notebook as it stands beside its pages."""
    return (notebooks_dir() / name).read_bytes().replace(b"](../docs/", b"](docs/")


def notebooks(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["notebooks", *map(str, arguments)])


def test_all_notebooks_are_written_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "my course" / "day 1"
    done = notebooks(folder)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [str(folder / name) for name in NAMES + PAGES]
    assert f"-m jupyterlab{' --allow-root' * (os.geteuid() == 0)} '{folder}'" in done.stderr
    assert "missing" not in done.stderr
    for name in NAMES:
        assert (folder / name).read_bytes() == linked(name)
    assert b"](docs/your-own-cluster.md)" in linked("12-your-own-cluster.ipynb")
    assert all((folder / page).stat().st_size > 1000 for page in PAGES)


def test_only_missing_notebooks_are_written(tmp_path: Path) -> None:
    notebooks(tmp_path)
    assert notebooks(tmp_path).stdout == ""
    (tmp_path / NAMES[0]).unlink()
    assert notebooks(tmp_path).stdout == f"{tmp_path / NAMES[0]}\n"


def test_changed_notebook_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).write_text("mine")
    done = notebooks(tmp_path)
    assert done.exit_code == 1
    assert f"| {NAMES[1]}\n" in done.stderr
    assert "nothing was written" in done.stderr
    assert f"labkit notebooks --overwrite {tmp_path}" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]
    assert (tmp_path / NAMES[1]).read_text() == "mine"
    assert notebooks("--overwrite", tmp_path).exit_code == 0
    assert (tmp_path / NAMES[1]).read_bytes() == linked(NAMES[1])


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = notebooks(tmp_path / "file")
    assert done.exit_code == 1
    assert "file: notebooks cannot be written: File exists" in done.stderr


def test_missing_jupyterlab_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.cli.notebooks.find_spec", lambda name: None)
    done = notebooks(tmp_path)
    assert done.exit_code == 0
    assert "-m pip install 'labkit[notebooks]'" in done.stderr
    assert notebooks(tmp_path, "--quiet").stderr == ""
