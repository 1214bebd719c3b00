"""``labkit detect`` without Docker: predictions, rules that can never fire, plain errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from labkit.cli import app

RULE = """\
title: A hostPath
id: 3d0b4f3e-7b5f-4a3e-9a0c-3f5f9d0a1b2c
logsource: {product: kubernetes, service: audit}
detection: {a: {hostPath: "*"}, condition: a}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["detect", *arguments])


def test_prediction_is_a_table_with_reasons() -> None:
    found = run("--mode", "hardened", "--predict", "scheduler-credential", "etcd-read")
    assert found.exit_code == 0
    head, _, first, second = found.stdout.splitlines()[:4]
    assert head.split() == ["technique", "foothold", "event", "because"]
    assert first.endswith("seen   get secrets in shop by system:kube-scheduler")
    assert second.endswith("none   it sends the apiserver no request")
    assert "1 seen, 4 none, 0 unknown" in found.stderr


def test_prediction_as_json_names_the_rule_of_the_policy() -> None:
    found = run("--mode", "hardened", "--predict", "--json", "scheduler-credential")
    [row] = json.loads(found.stdout)
    assert row["predicted"] == "seen"
    assert "audit-policy.yaml:6" in row["events"][0]["because"]


def test_cluster_of_a_user_is_predicted_and_said_to_be_another() -> None:
    folder = Path(__file__).parents[1] / "cluster" / "data" / "kubeadm"
    found = run("--mode", str(folder), "--predict")
    assert found.exit_code == 0
    assert "is no environment of a lab" in found.stderr


def test_rule_that_can_never_fire_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RULE)
    found = run("--mode", "hardened", "--predict", "--rules", str(tmp_path), "etcd-read")
    assert "can never fire: a (A hostPath): events have no field hostPath" in found.stderr
    assert "1 rule for the audit log; 1 can never fire" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "hardened", "--predict", "no-such-thing"], "there is no technique"),
        (["--mode", "nowhere-at-all", "--predict"], "nowhere-at-all"),
        (["--mode", "hardened", "--predict", "--rules", "nowhere"], "no folder at nowhere"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], said: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert found.stderr.count("error:") == 1
    assert said in found.stderr
    assert "Traceback" not in found.output


def test_without_pysigma_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigma.collection", None)
    monkeypatch.delitem(sys.modules, "labkit.detection.sigma_rules", raising=False)
    found = run("--mode", "hardened", "etcd-read")
    assert found.exit_code == 2
    assert "pip install pysigma pysigma-backend-sqlite" in found.stderr
    assert run("--mode", "hardened", "--predict", "etcd-read").exit_code == 0
