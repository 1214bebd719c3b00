"""The command labkit export."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.formats import FORMATS, read
from labkit.model import read_model

run = CliRunner().invoke


def test_export_prints_the_model():
    result = run(app, ["export", "hardened", "--format", "otm"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["project"]["name"] == "hardened"


def test_export_writes_and_reads_files(tmp_path):
    first, second = tmp_path / "model.json", tmp_path / "model.yaml"
    result = run(app, ["export", "insecure", "-f", "threat-dragon", "-o", str(first)])
    assert (result.exit_code, result.stdout) == (0, "")
    result = run(app, ["export", str(first), "-f", "threagile", "-o", str(second)])
    assert result.exit_code == 0
    assert read(second) == read_model("insecure")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hardened", "--format", "sarfi"], "did you mean sarif?"),
        (["nowhere", "--format", "otm"], "no environment at nowhere"),
        (["hardened", "--format", "otm", "-o", "/nowhere/a"], "/nowhere/a: cannot be written"),
    ],
)
def test_export_with_bad_input_exits_with_1(arguments, said):
    result = run(app, ["export", *arguments])
    assert result.exit_code == 1
    assert said in result.stderr


def test_export_help_names_every_format():
    shown = " ".join(run(app, ["export", "--help"], env={"COLUMNS": "200"}).stdout.split())
    assert all(name in shown for name in FORMATS)
