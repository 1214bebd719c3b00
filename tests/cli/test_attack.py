"""``attack``, ``reach``, ``matrix``, ``technique`` and ``control``: without Docker."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from labkit import controls, read_environment, techniques
from labkit.cli import app
from labkit.errors import ProbeTimeout
from labkit.lab import LabStatus, Output, Timings
from labkit.matrix import Cell, Matrix
from labkit.model import Foothold
from labkit.techniques import Prediction, Verdict


class FakeLab:
    """A lab in which every technique has the result that the test sets."""

    succeeds: ClassVar[bool] = False
    edits: ClassVar[tuple[Any, ...]] = ()
    recovered: ClassVar[int] = 0

    def __init__(self, mode: str, *, name: str = "default", **options: Any) -> None:
        self.mode, self.name = mode, name
        self.environment = read_environment(mode, self.edits)

    def status(self) -> LabStatus:
        return LabStatus(self.name, self.mode, "ready", {})

    def apply(self, edits: Any) -> Timings:
        type(self).edits = tuple(edits)
        self.environment = read_environment(self.mode, edits)
        return Timings(1.5)

    def wait(self) -> None:
        pass

    def exec(self, *_: Any, **__: Any) -> Output:
        return Output(0, b"", b"")

    def require_same_files(self) -> None:
        pass

    def recover(self) -> None:
        type(self).recovered += 1

    def exclusive(self, what: str) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLab]:
    FakeLab.succeeds, FakeLab.edits = False, ()

    def run(self: Any, lab: FakeLab, foothold: Foothold | None = None) -> Verdict:
        where = foothold or self.footholds[0]
        return Verdict(self.name, lab.mode, where, lab.succeeds, "because", ("seen",), "control")

    monkeypatch.setattr("labkit.lab.Lab", FakeLab)
    monkeypatch.setattr("labkit.techniques.Technique.run", run)
    monkeypatch.delenv("LABKIT_NAME", raising=False)
    monkeypatch.delenv("LABKIT_MODE", raising=False)
    return FakeLab


def labkit(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_technique_that_does_not_apply_to_a_light_lab_is_refused_with_the_reason() -> None:
    result = labkit("attack", "kubelet-neighbour", "--mode", "light-insecure")
    assert result.exit_code == 2
    expected = "kubelet-neighbour does not apply to light-insecure: there is no worker2"
    assert expected in result.output


def test_attack_shows_prediction_and_result(fake: type[FakeLab]) -> None:
    done = labkit("attack", "etcd-read", "--mode", "hardened", "--from", "pod")
    assert done.exit_code == 0
    assert "etcd-read, hardened, inside a pod: refused" in done.stdout
    assert "predicted: refused, because required" in done.stdout
    fake.succeeds = True
    assert labkit("attack", "etcd-read", "--mode", "hardened").exit_code == 1


@pytest.mark.parametrize("succeeds", [True, False])
def test_attack_on_an_unknown_prediction_says_what_was_found_out(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, succeeds: bool
) -> None:
    fake.succeeds = succeeds
    unknown = Prediction(None, ("unknown (a plugin decides): docker.service:4",))
    monkeypatch.setattr("labkit.cli.attack._carry_out", _with(unknown))
    done = labkit("attack", "etcd-read", "--mode", "hardened")
    assert done.exit_code == 0
    assert "predicted: unknown, because unknown (a plugin decides)" in done.stdout
    word = "succeeded" if succeeds else "refused"
    assert f"found out: {word}, which the model does not know" in done.stdout
    rows = json.loads(labkit("attack", "etcd-read", "--mode", "hardened", "--json").stdout)
    assert (rows[0]["predicted"], rows[0]["observed"]) == ("unknown", word)


def _with(prediction: Prediction) -> Any:
    def carry_out(lab: Any, model: Any, name: str, foothold: Foothold) -> Any:
        return prediction, techniques[name].run(lab, foothold)

    return carry_out


def test_attack_prints_json() -> None:
    done = labkit("attack", "etcd-read", "--mode", "hardened", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["predicted"], row["observed"], row["reason"]) == ("refused", "refused", "because")


def test_attack_path_is_executed_step_by_step(fake: type[FakeLab]) -> None:
    fake.succeeds = True
    done = labkit("attack", "--mode", "insecure", "--path", "admin", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert rows
    assert {row["observed"] for row in rows} == {"succeeded"}


def test_missing_attack_path_exits_with_2() -> None:
    done = labkit("attack", "--mode", "hardened", "--path", "admin")
    assert done.exit_code == 2
    assert "no path of techniques leads from network to admin" in done.stderr
    assert "labkit reach --mode hardened --from network" in done.stderr


def test_attack_needs_either_a_technique_or_a_path() -> None:
    for arguments in ([], ["etcd-read", "--path", "admin"]):
        done = labkit("attack", "--mode", "hardened", *arguments)
        assert done.exit_code == 2
        assert "either a TECHNIQUE" in done.stderr


def test_inconclusive_attack_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any) -> Verdict:
        raise ProbeTimeout("etcd1 did not answer")

    monkeypatch.setattr("labkit.techniques.Technique.run", run)
    done = labkit("attack", "etcd-read", "--mode", "hardened")
    assert done.exit_code == 2
    assert "etcd1 did not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["attack", "nonsense", "--mode", "insecure"], 2, "no technique 'nonsense'"),
        (["reach", "--mode", "insecure", "--from", "moon"], 1, "no foothold or goal 'moon'"),
        (["attack", "--mode", "insecure", "--path", "moon"], 2, "no foothold or goal 'moon'"),
        (["control", "show", "nonsense"], 1, "no control 'nonsense'"),
        (["matrix", "--control", "nonsense"], 2, "no control 'nonsense'"),
        (["technique", "show", "nonsense"], 1, "no technique 'nonsense'"),
    ],
)
def test_misspelt_name_is_refused_with_the_next_command(
    arguments: list[str], status: int, said: str
) -> None:
    done = labkit(*arguments)
    assert done.exit_code == status
    assert said in done.stderr
    assert any(hint in done.stderr for hint in ("next: one of: network", " list\n"))


def test_reach_prints_paths_and_json() -> None:
    done = labkit("reach", "--mode", "insecure", "--from", "network")
    assert done.exit_code == 0
    assert "on the cluster network" in done.stdout
    assert "insecure-port" in done.stdout
    rows = json.loads(labkit("reach", "--mode", "hardened", "--json").stdout)
    assert rows[0] == {"from": "network", "reaches": {}, "possible": {}}
    reached = {row["from"]: row["reaches"] for row in rows}
    assert reached["root:etcd1"]["secrets"][0]["step"] == "own-the-store"


def test_reach_prints_the_minimal_cut() -> None:
    done = labkit("reach", "--mode", "hardened", "--from", "network", "--cut", "admin")
    assert done.stdout == "on the cluster network -> cluster-admin: out of reach as it is\n"


@pytest.mark.parametrize(
    ("every", "known", "says"),
    [
        (("a", "b"), ("a",), "a, b"),
        (None, ("a",), "a cut every known path; no controls cut the possible ones"),
        (None, (), "no path is known; no controls cut the possible ones"),
        (None, None, "no controls cut every path"),
    ],
)
def test_reach_says_what_a_cut_leaves(
    monkeypatch: pytest.MonkeyPatch, every: object, known: object, says: str
) -> None:
    def cut(*_: object, possible: bool = True) -> object:
        return every if possible else known

    monkeypatch.setattr("labkit.analysis.minimal_cut", cut)
    done = labkit("reach", "--mode", "hardened", "--from", "network", "--cut", "admin")
    assert done.stdout.startswith(f"on the cluster network -> cluster-admin: {says}")


def test_control_list_and_show_print_controls() -> None:
    lines = labkit("control", "list", "--mode", "insecure").stdout.splitlines()
    assert len(lines) == len(controls.values())
    of_profiles = {name for name, it in controls.items() if it.modes != ("insecure", "hardened")}
    assert {line.split()[1] for line in lines if line.startswith("-")} == of_profiles
    assert all(line.startswith(("off", "-")) for line in lines)
    shown = labkit("control", "show", "kubelet-anonymous").stdout
    assert "The kubelet refuses anonymous callers" in shown
    assert "see: CIS Kubernetes Benchmark 4.2.1" in shown
    assert "on: worker: /etc/kubernetes/kubelet.yaml: authentication.anonymous.enabled: false" in (
        shown.splitlines()
    )


@pytest.mark.parametrize("name", sorted(controls))
def test_shown_control_has_no_file_in_it(name: str) -> None:
    lines = labkit("control", "show", name).stdout.splitlines()
    assert max(map(len, lines)) < 400
    assert not [line for line in lines if "(role=" in line]


def test_control_off_and_on_apply_edits(fake: type[FakeLab]) -> None:
    done = labkit("control", "off", "kubelet-anonymous", "--mode", "hardened")
    assert "kubelet-anonymous is off in lab default (hardened), 1.5 s" in done.stderr
    assert fake.edits == controls["kubelet-anonymous"].edits(on=False)
    assert "already off" in labkit("control", "off", "kubelet-anonymous", "-m", "hardened").stderr
    labkit("control", "on", "kubelet-anonymous", "--mode", "hardened")
    assert fake.edits == ()


@pytest.mark.parametrize(
    "command",
    [("attack", "etcd-read"), ("control", "on", "kubelet-anonymous"), ("matrix", "-c", "none")],
)
def test_what_needs_a_clean_lab_recovers_it_first(
    command: tuple[str, ...], fake: type[FakeLab]
) -> None:
    before = fake.recovered
    labkit(*command, "--mode", "hardened")
    assert fake.recovered > before


def test_technique_list_and_show() -> None:
    lines = labkit("technique", "list").stdout.splitlines()
    assert len(lines) == len(techniques.values())
    shown = labkit("technique", "show", "at-rest").stdout
    assert "hardened, root on an etcd machine: refused, because encryption at rest" in shown


def test_matrix_is_written_drawn_and_resumed(tmp_path: Path) -> None:
    file, picture, table = (tmp_path / name for name in ("m.json", "m.png", "m.md"))
    common = ["matrix", "--json", str(file), "--picture", str(picture), "--table", str(table)]
    done = labkit(*common, "--control", "none", "--mode", "hardened")
    cells = json.loads(file.read_text())
    assert {cell["environment"] for cell in cells} == {"hardened"}
    # in the fake lab nothing succeeds, and in the model a stolen credential does
    assert {cell["technique"] for cell in cells if not cell["agree"]} >= {
        "controller-manager-credential"
    }
    assert done.exit_code == 1
    labkit(*common, "--control", "kubelet-anonymous", "--mode", "hardened")
    more = json.loads(file.read_text())
    assert len(more) == 2 * len(cells)
    assert {cell["control"] for cell in more} == {None, "kubelet-anonymous"}
    assert picture.stat().st_size > 1000
    assert "| technique | from | hardened | why |" in table.read_text()


def test_matrix_of_a_profile_tries_what_the_profile_adds(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    labkit("matrix", "--json", str(file), "--mode", "cloud-insecure")
    cells = json.loads(file.read_text())
    names = {"cloud-key-file", "cloud-metadata-role", "cloud-volume"}
    assert {cell["technique"] for cell in cells} == names
    flips = {"metadata-tokens", "cloud-role-by-tag", "cloud-key-permissions"}
    assert {cell["control"] for cell in cells} == {None, *flips}
    labkit("matrix", "etcd-read", "--json", str(file), "--mode", "cloud-insecure", "-c", "none")
    more = {(cell["technique"], cell["control"]) for cell in json.loads(file.read_text())}
    assert more == {(cell["technique"], cell["control"]) for cell in cells} | {("etcd-read", None)}


def test_technique_that_is_named_twice_is_tried_once_and_one_that_does_not_apply_is_named(
    tmp_path: Path,
) -> None:
    file = tmp_path / "m.json"
    named = ["etcd-read", "etcd-read", "cloud-volume"]
    done = labkit("matrix", *named, "--json", str(file), "--mode", "hardened", "-c", "none")
    assert "cloud-volume does not apply to hardened" in done.stderr
    places = [(cell["technique"], cell["foothold"]) for cell in json.loads(file.read_text())]
    assert places == [
        ("etcd-read", str(it)) for it in sorted(techniques["etcd-read"].footholds, key=str)
    ]


def test_matrix_keeps_the_stored_cells_of_other_variants(tmp_path: Path) -> None:
    file, table = tmp_path / "m.json", tmp_path / "m.md"
    stored = [
        Cell("hardened", control, way, "inside a pod", "probe", "refused", seen, seen, agree)
        for control, way, seen, agree in (
            (None, None, "refused", True),
            ("etcd-users", "off", "refused", True),
            ("insecure-port", "off", "unprobed", False),
            ("insecure-port+etcd-users", "off", "refused", True),
            ("no-such-control", "off", "refused", True),
            ("etcd-users", "on", "refused", True),
        )
    ]
    stored.append(Cell("mine", None, None, "inside a pod", "probe", "refused", "refused", "", True))
    file.write_text(Matrix(stored).to_json())
    arguments = ["--control", "kubelet-anonymous", "--mode", "hardened"]
    done = labkit("matrix", "--json", str(file), "--table", str(table), *arguments)
    cells = set(Matrix.read(file))
    stale = {it for it in stored if it.control == "no-such-control" or it.direction == "on"}
    assert set(stored) & cells == set(stored) - stale
    assert {it.control for it in cells - set(stored)} == {None, "kubelet-anonymous"}
    assert "etcd-users" in table.read_text(), "the table shows the whole file"
    assert "insecure-port" not in done.stdout, "the results are those of the wanted variants"


def test_matrix_of_combinations_replaces_the_stored_combinations(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    single = Cell(
        "hardened", "etcd-users", "off", "inside a pod", "x", "refused", "refused", "", True
    )
    pair = dataclasses.replace(single, control="etcd-users+insecure-port")
    file.write_text(Matrix([single, pair]).to_json())
    labkit("matrix", "--json", str(file), "--combinations", "2", "--mode", "hardened")
    cells = set(Matrix.read(file))
    assert single in cells
    assert pair not in cells
    assert len({it.control for it in cells}) == 3


def test_matrix_writes_a_page_a_picture_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell("insecure", None, None, "inside a pod", "probe", "refused", "refused", "401", True)
    monkeypatch.setattr("labkit.cli.matrix_run.fill", lambda *_, **__: (Matrix([cell]),) * 2)
    page, picture, table = (tmp_path / f"m.{suffix}" for suffix in ("html", "png", "md"))
    arguments = ["--html", str(page), "--picture", str(picture), "--table", str(table)]
    run = CliRunner().invoke(app, ["matrix", *arguments])
    assert run.exit_code == 0, run.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "| probe | inside a pod | refused | 401 |" in table.read_text()
