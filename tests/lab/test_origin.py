"""The labels of a lab distinguish it from the lab of another folder with the same name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.cluster import read_environment
from labkit.lab import Lab
from labkit.lab.engine import LOCK, labels
from labkit.lab.origin import is_made_from, may_be_of, origin
from labkit.resources import environments_dir


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("insecure", "common"):
        shutil.copytree(environments_dir() / name, tmp_path / name)
    shutil.copy(environments_dir() / "topology.yaml", tmp_path)
    return tmp_path


def test_a_copy_is_the_same_environment_wherever_it_lies(copy: Path) -> None:
    own = read_environment("insecure")
    other = read_environment(copy / "insecure")
    assert origin(own)["files"] == origin(other)["files"]
    assert origin(own)["folder"] != origin(other)["folder"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("topology.yaml", "host: 66", "host: 67"),
        ("topology.yaml", "keys: [api-key]", "keys: [api-key, other]"),
        ("insecure/environment.yaml", "description:", "description: x"),
        ("insecure/pki.yaml", "common_name:", "common_name: x"),
        ("insecure/manifests/agent.yaml", "kind: Pod", "kind: Pod  # x"),
        ("insecure/worker/etc/kubernetes/kubelet.yaml", "port: 10250", "port: 10251"),
        ("common/flannel-network.json", "10.244", "10.245"),
    ],
)
def test_every_file_counts(copy: Path, file: str, old: str, new: str) -> None:
    env = read_environment(copy / "insecure")
    made = [labels("default", "insecure", **origin(env))]
    assert is_made_from(env, made)
    path = copy / file
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    assert path.read_text() != text
    changed = read_environment(copy / "insecure")
    assert not is_made_from(changed, made)
    assert may_be_of(changed, made), "the folder is the same"
    assert not may_be_of(read_environment("insecure"), [labels("d", "insecure", folder="/x")])


def test_a_lab_without_these_labels_is_of_no_known_files() -> None:
    env = read_environment("insecure")
    made = [labels("default", "insecure")]
    assert not is_made_from(env, made)
    assert not may_be_of(env, made)


def test_a_lab_of_other_files_is_not_attacked_verified_or_changed(
    lab_insecure: Lab, copy: Path
) -> None:
    unit = copy / "insecure/master/etc/systemd/system/kube-apiserver.service"
    unit.write_text(unit.read_text() + "\n# changed\n")
    options = ["--mode", str(copy / "insecure"), "--name", lab_insecure.name]
    for command in (
        ["attack", "etcd-read"],
        ["verify"],
        ["control", "on", "etcd-peer-tls"],
        ["control", "list"],
        ["matrix", "--control", "none"],
        ["up"],
        ["down", "--force"],
    ):
        done = CliRunner().invoke(app, [*command, *options])
        assert done.exit_code in (1, 2), command
        assert "was made from other files" in done.output, command
    shown = CliRunner().invoke(app, ["status", *options])
    assert "was made from other files; next: labkit down" in shown.output
    assert lab_insecure.status().state == "ready"


def test_a_lock_without_machines_belongs_to_its_folder() -> None:
    found = [labels("d", "insecure", role=LOCK, files="0", folder="/somewhere/else")]
    assert not may_be_of(read_environment("insecure"), found)
