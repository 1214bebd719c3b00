"""``attack``, ``reach``, ``matrix``, ``technique`` and ``control``: without Docker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from labkit import controls, read_environment, techniques
from labkit.cli import app
from labkit.errors import ProbeTimeout
from labkit.lab import LabStatus, Timings
from labkit.techniques import Verdict


class FakeLab:
    """A lab in which everything goes as it is told to go."""

    succeeds: ClassVar[bool] = False
    edits: ClassVar[tuple[Any, ...]] = ()
    interrupted: ClassVar[bool] = False

    def __init__(self, mode: str, *, name: str = "default", reporter: Any = None) -> None:
        self.mode, self.name = mode, name
        self.environment = read_environment(mode, self.edits)

    def status(self) -> LabStatus:
        return LabStatus(self.name, self.mode, "ready", {}, self.interrupted)

    def apply(self, edits: Any) -> Timings:
        type(self).edits = tuple(edits)
        self.environment = read_environment(self.mode, edits)
        return Timings(1.5)

    def wait(self) -> None:
        pass


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLab]:
    FakeLab.succeeds, FakeLab.edits = False, ()

    def run(self: Any, lab: FakeLab, foothold: str = "") -> Verdict:
        where = foothold or self.footholds[0]
        return Verdict(self.name, lab.mode, where, lab.succeeds, "because", ("seen",), "control")

    monkeypatch.setattr("labkit.lab.Lab", FakeLab)
    monkeypatch.setattr("labkit.techniques.Technique.run", run)
    monkeypatch.delenv("LABKIT_NAME", raising=False)
    monkeypatch.delenv("LABKIT_MODE", raising=False)
    return FakeLab


def labkit(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_attack_says_what_was_predicted_and_what_happened(fake: type[FakeLab]) -> None:
    done = labkit("attack", "etcd-read", "--mode", "hardened", "--from", "pod")
    assert done.exit_code == 0
    assert "etcd-read, hardened, inside a pod: refused" in done.stdout
    assert "predicted: refused, because required" in done.stdout
    fake.succeeds = True
    assert labkit("attack", "etcd-read", "--mode", "hardened").exit_code == 1


def test_attack_json() -> None:
    done = labkit("attack", "etcd-read", "--mode", "hardened", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["predicted"], row["observed"], row["reason"]) == ("refused", "refused", "because")


def test_path_is_carried_out_step_by_step(fake: type[FakeLab]) -> None:
    fake.succeeds = True
    done = labkit("attack", "--mode", "insecure", "--path", "admin", "--json")
    assert done.exit_code == 0
    assert all(row["observed"] == "succeeded" for row in json.loads(done.stdout))


def test_path_that_there_is_not() -> None:
    done = labkit("attack", "--mode", "hardened", "--path", "admin")
    assert done.exit_code == 2
    assert "knows no path on the cluster network to cluster-admin" in done.stderr
    assert "labkit reach --mode hardened --from network" in done.stderr


def test_technique_or_path() -> None:
    for arguments in ([], ["etcd-read", "--path", "admin"]):
        done = labkit("attack", "--mode", "hardened", *arguments)
        assert done.exit_code == 2
        assert "one of the two" in done.stderr


def test_what_says_nothing_is_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any) -> Verdict:
        raise ProbeTimeout("etcd1 did not answer")

    monkeypatch.setattr("labkit.techniques.Technique.run", run)
    done = labkit("attack", "etcd-read", "--mode", "hardened")
    assert done.exit_code == 2
    assert "etcd1 did not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attack", "nonsense", "--mode", "insecure"], "no technique 'nonsense'"),
        (["reach", "--mode", "insecure", "--from", "moon"], "no foothold 'moon'"),
        (["attack", "--mode", "insecure", "--path", "moon"], "no goal 'moon'"),
        (["control", "show", "nonsense"], "no control 'nonsense'"),
        (["matrix", "--control", "nonsense"], "no control 'nonsense'"),
        (["technique", "show", "nonsense"], "no technique 'nonsense'"),
    ],
)
def test_misspelt_name_is_told_with_the_right_ones(arguments: list[str], said: str) -> None:
    done = labkit(*arguments)
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert "choose one of" in done.stderr


def test_reach() -> None:
    done = labkit("reach", "--mode", "insecure", "--from", "network")
    assert done.exit_code == 0
    assert "cluster-admin: etcd-forge" in done.stdout
    rows = json.loads(labkit("reach", "--mode", "hardened", "--json").stdout)
    assert len(rows) == 7
    assert rows[0]["reaches"] == ["on the cluster network"]


def test_reach_cut() -> None:
    done = labkit("reach", "--mode", "hardened", "--from", "network", "--cut", "admin")
    assert (
        done.stdout == "from 'on the cluster network' to 'cluster-admin': out of reach as it is\n"
    )


def test_control_list_and_show() -> None:
    lines = labkit("control", "list", "--mode", "insecure").stdout.splitlines()
    assert len(lines) == len(controls.all())
    assert all(line.startswith("off") for line in lines)
    shown = labkit("control", "show", "kubelet-anonymous").stdout
    assert "The kubelet takes no anonymous callers" in shown
    assert "see: CIS Kubernetes Benchmark 4.2.1" in shown


def test_control_off_and_on(fake: type[FakeLab]) -> None:
    done = labkit("control", "off", "kubelet-anonymous", "--mode", "hardened")
    assert "kubelet-anonymous is off in lab default (hardened), 1.5 s" in done.stderr
    assert fake.edits == controls.find("kubelet-anonymous").off
    assert "off already" in labkit("control", "off", "kubelet-anonymous", "-m", "hardened").stderr
    labkit("control", "on", "kubelet-anonymous", "--mode", "hardened")
    assert fake.edits == ()


def test_control_that_was_interrupted_is_not_there_already(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "interrupted", True)
    done = labkit("control", "on", "kubelet-anonymous", "--mode", "hardened")
    assert "kubelet-anonymous is on in lab default" in done.stderr


def test_technique_list_and_show() -> None:
    lines = labkit("technique", "list").stdout.splitlines()
    assert len(lines) == len(techniques.all())
    shown = labkit("technique", "show", "at-rest").stdout
    assert "hardened, root on an etcd machine: refused, because encryption at rest" in shown


def test_matrix_is_written_drawn_and_gone_on_with(tmp_path: Path) -> None:
    file, picture, table = (tmp_path / name for name in ("m.json", "m.png", "m.md"))
    common = ["matrix", "--json", str(file), "--picture", str(picture), "--table", str(table)]
    done = labkit(*common, "--control", "none", "--mode", "hardened")
    cells = json.loads(file.read_text())
    # in the fake lab nothing succeeds, so what the model says is no residual risk holds
    assert {cell["environment"] for cell in cells} == {"hardened"}
    assert done.exit_code == (0 if all(cell["agree"] for cell in cells) else 1)
    labkit(*common, "--control", "kubelet-anonymous", "--mode", "hardened")
    more = json.loads(file.read_text())
    assert len(more) == 2 * len(cells)
    assert {cell["control"] for cell in more} == {None, "kubelet-anonymous"}
    assert picture.stat().st_size > 1000
    assert "| technique | from | hardened | why |" in table.read_text()
