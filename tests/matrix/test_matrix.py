"""The truth matrix with fake techniques and labs, without Docker."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from labkit import controls, read_environment
from labkit.errors import ConfigError, ProbeError, ProbeTimeout
from labkit.lab import Output
from labkit.matrix import Cell, Matrix, Variant, combinations, run, run_matrix, variants
from labkit.model import Foothold, read_model
from labkit.render.matrix import cover, heat_map, markdown
from labkit.render.matrix_page import encoded
from labkit.techniques import Prediction, Technique, Verdict
from labkit.techniques._lib.technique import NETWORK, POD

OFF = Variant("hardened", "kubelet-anonymous", "off")


class FakeLab:
    """A lab that records the edits it gets."""

    mode = "hardened"

    def __init__(self) -> None:
        self.environment = read_environment("hardened")
        self.applied: list[int] = []

    def apply(self, edits: Any) -> None:
        self.environment = read_environment("hardened", edits)
        self.applied.append(len(self.environment.edits))

    def wait(self) -> None:
        pass

    def exec(self, *_: Any, **__: Any) -> Output:
        return Output(0, b"", b"")

    def recover(self) -> None:
        pass

    def exclusive(self, what: str) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def technique(answer: Any, predicted: bool | None = False) -> Technique:
    def execute(lab: Any, foothold: Foothold) -> Verdict:
        said = answer(lab, foothold)
        if isinstance(said, Exception):
            raise said
        return Verdict(
            "probe", lab.mode, foothold, said, "HTTP 200" if said else "HTTP 401", (), "HTTP 200"
        )

    return Technique(
        name="probe",
        title="Probe",
        footholds=(NETWORK, POD),
        grants=(),
        about="",
        properties=(),
        attack=("T1000",),
        stride=("spoofing",),
        cwe=("CWE-1",),
        sources=("made up",),
        predict=lambda model, foothold: Prediction(predicted, ("made up",)),
        execute=execute,
    )


def test_control_is_flipped_for_its_cells_and_restored() -> None:
    lab: Any = FakeLab()
    control = controls["kubelet-anonymous"]

    def seen(lab: Any, foothold: Foothold) -> bool:
        return not control.holds(read_model(lab.environment))

    cells = run_matrix(lab, [Variant("hardened"), OFF], known=[technique(seen)])
    assert [cell.observed for cell in cells] == ["refused", "refused", "succeeded", "succeeded"]
    assert [cell.agree for cell in cells] == [True, True, False, False]
    assert lab.applied == [0, 0, len(control.edits(on=False)), 0]
    assert Matrix(cells).effects() == {
        ("kubelet-anonymous", "off"): {("probe", str(NETWORK)), ("probe", str(POD))}
    }
    assert Matrix(cells).exit_code == 1


def test_lab_is_restored_if_a_technique_raises() -> None:
    lab: Any = FakeLab()
    with pytest.raises(ZeroDivisionError):
        run_matrix(lab, [OFF], known=[technique(lambda lab, foothold: 1 / 0)])
    assert lab.applied[-1] == 0


@pytest.mark.parametrize("error", [ProbeTimeout("no answer"), ProbeError("says nothing")])
def test_inconclusive_result_is_unprobed_and_not_a_refusal(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAUSE_S", 0)
    lab: Any = FakeLab()
    cells = run_matrix(lab, [Variant("hardened")], known=[technique(lambda *_: error)])
    assert {cell.observed for cell in cells} == {"unprobed"}
    assert not any(cell.agree for cell in cells)
    assert cells[0].reason == str(error)
    assert Matrix(cells).exit_code == 2


def test_failed_cell_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAUSE_S", 0)
    lab: Any = FakeLab()
    answers = iter([ProbeError("not yet"), False, False])
    cells = run_matrix(lab, [Variant("hardened")], known=[technique(lambda *_: next(answers))])
    assert [cell.observed for cell in cells] == ["refused", "refused"]


def test_finished_cells_are_not_repeated() -> None:
    lab: Any = FakeLab()
    told: list[str] = []
    plan = variants(lab.environment, ["kubelet-anonymous"])
    assert plan == [Variant("hardened"), OFF]
    run_matrix(
        lab,
        plan,
        known=[technique(lambda *_: False)],
        done={
            ("hardened", None, None, "probe", str(NETWORK)),
            ("hardened", None, None, "probe", str(POD)),
            ("hardened", "kubelet-anonymous", "off", "probe", str(POD)),
        },
        tell=lambda variant, cells, seconds: told.append(
            f"{variant}: {[c.foothold for c in cells]}"
        ),
    )
    assert told == [f"hardened, kubelet-anonymous off: {[str(NETWORK)]}"]


def cell(control: str | None, observed: str, technique: str = "probe") -> Cell:
    return Cell(
        "insecure", control, control and "on", str(POD), technique, "succeeded", observed,
        "HTTP 200", observed == "succeeded",
    )  # fmt: skip


def test_matrix_is_equal_after_a_json_round_trip(tmp_path: Path) -> None:
    matrix = Matrix([cell(None, "succeeded"), cell("a", "refused")])
    path = tmp_path / "matrix.json"
    path.write_text(matrix.to_json())
    assert Matrix.read(path).cells == matrix.cells
    for broken in ("", "{}", '[{"environment": "x"}]', "[1]"):
        path.write_text(broken)
        with pytest.raises(ConfigError, match="is not a truth matrix"):
            Matrix.read(path)


def test_stored_rows_do_not_depend_on_the_order_of_trials() -> None:
    cells = [
        Cell(mode, control, way, str(foothold), name, "refused", "refused", "HTTP 401", True)
        for mode in ("insecure", "hardened")
        for control, way in ((None, None), ("b", "on"), ("a", "on"), ("a", "off"))
        for name in ("probe", "another")
        for foothold in (POD, NETWORK)
    ]
    text = Matrix(cells).to_json()
    assert Matrix(reversed(cells)).to_json() == text
    keys = ["environment", "control", "direction", "technique", "foothold"]
    rows = json.loads(text)
    assert rows == sorted(rows, key=lambda row: [row[key] or "" for key in keys])
    assert {tuple(row) for row in rows} == {tuple(rows[0])}


def test_duration_is_shown_and_not_stored() -> None:
    lab: Any = FakeLab()
    took: list[float] = []
    cells = run_matrix(
        lab,
        [Variant("hardened")],
        known=[technique(lambda *_: False)],
        tell=lambda variant, cells, seconds: took.append(seconds),
    )
    assert took[0] > 0
    assert "seconds" not in Matrix(cells).to_json()


def test_control_that_stops_nothing_is_marked() -> None:
    matrix = Matrix([cell(None, "succeeded"), cell("stops", "refused"), cell("idle", "succeeded")])
    text = markdown(matrix)
    assert "| idle | nothing by itself |  |" in text
    assert "| stops | probe |  |" in text
    assert "| insecure stops on | probe | inside a pod | succeeded | refused |" in text
    assert matrix.exit_code == 1
    assert "do not agree" not in markdown(Matrix([cell(None, "succeeded")]))


def test_heat_map_is_drawn(tmp_path: Path) -> None:
    matrix = Matrix([cell(None, "succeeded"), cell("a", "refused"), cell("b", "unprobed")])
    heat_map(matrix).savefig(tmp_path / "a.png")
    heat_map(matrix).savefig(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 5000


def words_on(picture: Any) -> dict[str, float]:
    """Return the texts of a picture, and the size of their letters in points."""
    texts = [text for text in picture.findobj(Text) if text.get_text()]
    return {text.get_text(): text.get_fontsize() for text in texts}


def test_heat_map_leaves_out_controls_that_change_nothing() -> None:
    matrix = Matrix([cell(None, "succeeded"), cell("stops", "refused"), cell("idle", "succeeded")])
    words = words_on(heat_map(matrix))
    assert "stops" in words
    assert "idle" not in words
    assert min(words.values()) >= 8


def test_cover_counts_the_controls_that_stop_a_technique() -> None:
    cells = [cell(None, "succeeded"), cell("a", "refused"), cell("b", "refused")]
    cells += [cell("c", "unprobed"), cell("d", "succeeded")]
    words = words_on(cover(Matrix(cells)))
    assert "S  1 of 1" in words
    assert "2" in words
    assert min(words.values()) >= 8


def of_profiles() -> Matrix:
    """Return a matrix with one technique of the usual modes, and one of each of two profiles."""
    return Matrix(
        Cell(mode, None, None, "inside a pod", name, seen, seen, "", True)
        for name, lacks, has in (
            ("usual", "insecure", "hardened"),
            ("first", "aa-insecure", "aa-hardened"),
            ("second", "bb-insecure", "bb-hardened"),
        )
        for mode, seen in ((lacks, "succeeded"), (has, "refused"))
    )


def test_cover_shows_what_a_profile_adds_in_the_columns_of_the_usual_modes() -> None:
    words = words_on(cover(of_profiles()))
    assert {"insecure", "hardened", "usual", "first", "second"} <= set(words)
    assert not [word for word in words if "-insecure" in word]
    drawn = [text.get_text() for text in cover(of_profiles()).findobj(Text)]
    assert (drawn.count("S  1 of 1"), drawn.count("R  0 of 1")) == (3, 3)


def test_modes_that_try_the_same_technique_have_a_column_each() -> None:
    cells = [
        Cell(mode, None, None, "inside a pod", "usual", "refused", "refused", "", True)
        for mode in ("hardened", "light-hardened")
    ]
    assert {"hardened", "light-hardened"} <= set(words_on(cover(Matrix(cells))))


def test_tables_show_each_profile_by_itself_and_the_usual_modes_first() -> None:
    heads = [line for line in markdown(of_profiles()).splitlines() if line.startswith("## In ")]
    assert heads == [
        "## In insecure and hardened",
        "## In aa-insecure and aa-hardened",
        "## In bb-insecure and bb-hardened",
    ]


def test_control_that_opens_something_does_not_count_as_stopping_it() -> None:
    plain = cell(None, "refused")
    assert Matrix([plain, cell("opens", "succeeded")]).effects() == {("opens", "on"): set()}


def test_unprobed_cell_counts_as_no_effect() -> None:
    plain = cell(None, "succeeded")
    assert Matrix([plain, cell("a", "unprobed")]).effects() == {("a", "on"): set()}


def test_empty_matrix_proves_nothing() -> None:
    assert Matrix([]).exit_code == 2


def test_combinations_are_the_same_for_the_same_seed_and_can_be_read() -> None:
    env = read_environment("hardened")
    found = combinations(env, 12, seed=3)
    assert found == combinations(env, 12, seed=3)
    assert found != combinations(env, 12, seed=4)
    for variant in found:
        names = str(variant.control).split("+")
        assert len(names) >= 2
        changed = read_model(variant.environment(env))
        assert not any(controls[name].holds(changed) for name in names), variant


def test_combination_flips_all_of_its_controls() -> None:
    lab: Any = FakeLab()
    variant = Variant("hardened", "kubelet-anonymous+kubelet-read-only-port", "off")
    run_matrix(lab, [variant], known=[technique(lambda *_: False)])
    assert lab.applied == [0, 2, 0]


def test_unknown_prediction_is_no_disagreement_and_its_result_is_found_out() -> None:
    lab: Any = FakeLab()
    cell, _ = run_matrix(lab, [OFF], known=[technique(lambda *_: True, predicted=None)])
    assert (cell.predicted, cell.observed, cell.agree) == ("unknown", "succeeded", False)
    found = Matrix([cell])
    assert (found.disagree, found.found_out, found.exit_code) == ((), (cell,), 0)
    assert found.summary() == "1 cell: 0 agree, 0 disagree, 0 unprobed, 1 found out"
    assert "What the lab showed where the model does not know" in markdown(found)
    assert "Where the model and the lab do not agree" not in markdown(found)
    assert encoded(found)["rows"][0][2:4] == ["N", "S"]
    late = replace(cell, observed="unprobed")
    assert (Matrix([late]).unprobed, Matrix([late]).exit_code) == ((late,), 2)
