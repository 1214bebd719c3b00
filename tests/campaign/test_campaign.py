"""Campaigns of configurations at random, with fake labs and techniques, without Docker."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit import read_environment, techniques
from labkit.campaign import (
    Campaign,
    Choice,
    Difference,
    Outcome,
    catalogue,
    draw,
    edits_of,
    read_overlay,
    run_campaign,
    trial,
    write_overlay,
)
from labkit.cluster import Environment
from labkit.cluster.accounts import permissions_of
from labkit.cluster.edits import TmpfilesLine, Whole
from labkit.errors import CommandFailed, ConfigError, ProbeError, StartTimeout
from labkit.lab import Output
from labkit.matrix import run as matrix_run
from labkit.model import Foothold, Model, read_model
from labkit.techniques import Prediction, Technique, Verdict
from labkit.verification import Report, Row

MODES = ("insecure", "hardened")
#: Rows that labkit does not read, and says so.
UNREAD = {"https, verified under another name"}
ROWS = [(name, mode) for name, row in catalogue().items() for mode in row.modes]


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_setting_fits_its_modes_and_is_read(name: str, mode: str) -> None:
    plain, row = read_environment(mode), catalogue()[name]
    every = {value: row.edits(value, plain) for value in row.values}
    assert all(every.values())
    if name.endswith(" may"):  # many values, each a file of its own
        files = [edit for edits in every.values() for edit in edits]
        apart = [
            Whole(it.role, f"manifests/{at}.yaml", it.text)
            for at, it in enumerate(files)
            if isinstance(it, Whole)
        ]
        every = {"every value": tuple(apart)}
    # all values in one mode, one value in the other: each takes a fifteenth of a second
    some = list(every.items())[: None if mode == row.modes[0] else 1]
    for value, edits in some:
        env = read_environment(plain.folder, edits)
        odd = set(env.unknowns) - set(plain.unknowns)
        assert bool(odd) == (value in UNREAD), (value, odd)
    read_model(env)


@pytest.mark.parametrize("mode", MODES)
def test_every_prediction_can_be_made_for_drawn_configurations(mode: str) -> None:
    plain = read_environment(mode)
    for number in range(1, 11):
        edits = edits_of(plain, draw(plain, 9, number))
        try:
            model = read_model(read_environment(plain.folder, edits))
        except ConfigError:
            continue  # refused, which is an outcome
        for technique in techniques.values():
            for foothold in technique.footholds:
                assert technique.predict(model, foothold).word


@pytest.mark.parametrize("mode", MODES)
def test_changed_file_mode_is_taken_back_by_the_plain_environment(mode: str) -> None:
    plain = read_environment(mode)
    rows = [row for row in catalogue().values() if mode in row.modes]
    edits = [
        (row.name, edit)
        for row in rows
        if not row.name.startswith("control ")  # tests/controls has these
        for value in row.values
        for edit in row.edits(value, plain)
        if isinstance(edit, TmpfilesLine)
    ]
    assert edits
    for name, edit in edits:
        node = next(node for node in plain.nodes if node.role == edit.role)
        assert permissions_of(edit.about, node.permissions), name


@pytest.mark.parametrize("mode", MODES)
def test_draw_is_deterministic_and_every_setting_changes_something(mode: str) -> None:
    plain = read_environment(mode)
    drawn = [draw(plain, 5, number) for number in range(1, 41)]
    assert drawn == [draw(plain, 5, number) for number in range(1, 41)]
    assert drawn != [draw(plain, 6, number) for number in range(1, 41)]
    assert {len(choices) for choices in drawn} == {1, 2, 3, 4, 5, 6}
    assert len(set(drawn)) == 40


def test_value_that_the_mode_already_has_is_not_drawn() -> None:
    plain = read_environment("hardened")
    drawn = {choice for number in range(1, 150) for choice in draw(plain, 2, number)}
    named = {(choice.setting, choice.value) for choice in drawn}
    assert ("kube-apiserver --anonymous-auth", "true") in named
    assert ("kube-apiserver --anonymous-auth", "false") not in named
    assert ("kubelet.yaml authorization.mode", "AlwaysAllow") in named
    assert ("kubelet.yaml authorization.mode", "Webhook") not in named


class FakeLab:
    """A lab that takes edits; a configuration with a bad one does not start."""

    mode = "hardened"

    def __init__(self, bad: str = "", error: Exception | None = None) -> None:
        self.environment = read_environment("hardened")
        self.bad, self.error = bad, error
        self.applied: list[int] = []
        self.resets = 0
        self.restarts = 0

    def apply(self, edits: Any) -> None:
        edits = tuple(edits)
        self.environment = read_environment("hardened", edits)
        self.applied.append(len(edits))
        if self.error and any(self.bad in str(edit) for edit in edits):
            raise self.error

    def reset(self) -> None:
        self.resets += 1
        self.environment = read_environment("hardened")

    def wait(self) -> None:
        pass

    def exec(self, node: str, argv: Sequence[str], **_: Any) -> Output:
        if list(argv)[:2] == ["systemctl", "show"]:
            state = f"Id=kubelet.service\nActiveState=active\nNRestarts={self.restarts}\n"
            return Output(0, state.encode(), b"")
        return Output(0, b"", b"")

    def container(self, node: str) -> str:
        return node

    def recover(self) -> None:
        pass

    def exclusive(self, what: str) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def technique(predict: Any, answer: Any) -> Technique:
    def execute(lab: Any, foothold: Foothold) -> Verdict:
        said = answer(lab)
        if isinstance(said, Exception):
            raise said
        return Verdict(
            "probe", lab.mode, foothold, said, "HTTP 200" if said else "HTTP 401", (), "HTTP 200"
        )

    real = techniques["apiserver-anonymous"]
    return replace(
        real,
        predict=lambda model, foothold: Prediction(predict(model), ("made up",)),
        execute=execute,
        leaves=(),
    )


GUILTY = Choice("kube-apiserver --anonymous-auth", "true")
SETTINGS = (
    Choice("kubelet.yaml readOnlyPort", "10255"),
    Choice("kube-apiserver --profiling", "true"),
    GUILTY,
    Choice("kube-scheduler --bind-address", "0.0.0.0"),
    Choice("kube-apiserver --tls-min-version", "VersionTLS12"),
)


def is_open(env: Environment) -> bool:
    return env.component("kube-apiserver@master").setting("anonymous-auth").value == "true"


@pytest.fixture(autouse=True)
def nothing_to_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "verify", lambda lab, model, only=None: Report([]))
    monkeypatch.setattr(trial, "PAUSE_S", 0)
    monkeypatch.setattr(matrix_run, "PAUSE_S", 0)


def run_one(lab: Any, known: Technique, settings: tuple[Choice, ...] = SETTINGS) -> Outcome:
    again = [Outcome("hardened", 7, 3, settings, "disagrees")]
    (outcome,) = run_campaign(lab, 1, 1, again=again, most=1, known=[known])
    return outcome


def test_planted_disagreement_is_found_and_shrunk_to_the_guilty_setting() -> None:
    lab: Any = FakeLab()
    # the prediction does not look at the flag, the lab does
    wrong = technique(lambda model: False, lambda lab: is_open(lab.environment))
    outcome = run_one(lab, wrong)
    assert outcome.verdict == "disagrees"
    assert outcome.fewest == (GUILTY,)
    places = [(it.predicted, it.observed) for it in outcome.differences]
    assert places == [("refused", "succeeded")] * len(wrong.footholds)
    assert lab.applied[-1] == 0
    assert Campaign([outcome]).exit_code == 1


def test_disagreement_of_two_settings_keeps_both() -> None:
    def both(lab: Any) -> bool:
        scheduler = lab.environment.component("kube-scheduler@master")
        return is_open(lab.environment) and scheduler.setting("bind-address").value == "0.0.0.0"

    outcome = run_one(FakeLab(), technique(lambda model: False, both))
    assert outcome.fewest == (GUILTY, SETTINGS[3])


def test_right_prediction_agrees() -> None:
    def predicts(model: Model) -> bool:
        return is_open(model.environment)

    outcome = run_one(FakeLab(), technique(predicts, lambda lab: is_open(lab.environment)))
    assert outcome.verdict == "agrees"
    assert outcome.cells == {"agree": len(techniques["apiserver-anonymous"].footholds)}
    assert Campaign([outcome]).exit_code == 0


def test_result_that_the_model_does_not_know_is_no_difference() -> None:
    outcome = run_one(FakeLab(), technique(lambda model: None, lambda lab: True))
    assert (outcome.verdict, outcome.differences) == ("agrees", ())
    assert list(outcome.cells or ()) == ["found out"]


def test_difference_that_does_not_repeat_is_no_disagreement_and_no_agreement() -> None:
    footholds = len(techniques["apiserver-anonymous"].footholds)
    answers = iter([*[True] * footholds, *[False] * footholds])
    outcome = run_one(FakeLab(), technique(lambda model: False, lambda lab: next(answers)))
    assert (outcome.verdict, outcome.fewest) == ("differs once", ())
    assert len(outcome.differences) == footholds
    assert Campaign([outcome]).exit_code == 2


def test_unprobed_cell_has_its_cause() -> None:
    silent = technique(lambda model: False, lambda lab: ProbeError("the kubelet says 405"))
    outcome = run_one(FakeLab(), silent)
    assert outcome.verdict == "unprobed"
    assert {it.reason for it in outcome.unprobed} == {"the kubelet says 405"}
    assert Campaign([outcome]).exit_code == 0
    nameless = replace(outcome.unprobed[0], reason=" ")
    assert Campaign([replace(outcome, unprobed=(nameless,))]).exit_code == 2
    late = replace(outcome.unprobed[0], reason="the time for this configuration was over")
    assert Campaign([replace(outcome, unprobed=(late,))]).exit_code == 2


def test_cause_of_many_cells_is_tried_again_once() -> None:
    tried = []

    def answer(lab: Any) -> Exception:
        tried.append(lab)
        return ProbeError("the kubelet says 405")

    outcome = run_one(FakeLab(), technique(lambda model: False, answer))
    assert len(outcome.unprobed) == len(techniques["apiserver-anonymous"].footholds) > 1
    assert len(tried) == len(outcome.unprobed) + 1


def test_cell_that_has_a_result_later_is_probed() -> None:
    answers = iter([ProbeError("not yet"), *[False] * 20])
    outcome = run_one(FakeLab(), technique(lambda model: False, lambda lab: next(answers)))
    assert outcome.verdict == "agrees"


def test_configuration_that_takes_too_long_says_what_was_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial, "MOST_S", -1)
    outcome = run_one(FakeLab(), technique(lambda model: False, lambda lab: False))
    assert outcome.verdict == "unprobed"
    assert [it.reason for it in outcome.unprobed] == ["the time for this configuration was over"]
    assert outcome.cells == {"not tried": len(techniques["apiserver-anonymous"].footholds)}


def test_fault_of_a_technique_is_a_difference() -> None:
    outcome = run_one(FakeLab(), technique(lambda model: False, lambda lab: 1 // 0))
    assert outcome.verdict == "disagrees"
    assert "ZeroDivisionError" in outcome.differences[0].reason


def test_claim_that_disagrees_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def verified(lab: Any, model: Model, only: Any = None) -> Report:
        channel = model.channels[0].id
        seen = "anonymous" if is_open(lab.environment) else "required"
        verdict = "agree" if seen == "required" else "disagree"
        row = Row("hardened", channel, "client_authentication", "required", "", seen, "200", "",
                  verdict)  # fmt: skip
        return Report([row])

    monkeypatch.setattr(trial, "verify", verified)
    outcome = run_one(FakeLab(), technique(lambda model: False, lambda lab: False))
    assert outcome.fewest == (GUILTY,)
    assert outcome.claims == {"disagree": 1}


def test_component_that_does_not_start_is_named() -> None:
    said = ["m systemd[1]: started", "kube-apiserver: invalid value", "m systemd[1]: failed"]
    error = StartTimeout("the apiserver is not ready", evidence=said)
    lab: Any = FakeLab("anonymous-auth", error)
    outcome = run_one(lab, technique(lambda model: False, lambda lab: False))
    assert outcome.verdict == "does not start"
    assert "kube-apiserver: invalid value" in outcome.reason
    assert lab.applied[-1] == 0
    assert Campaign([outcome]).exit_code == 0


def test_component_that_ends_again_and_again_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "w kubelet: error: unknown flag\nw kubelet: bye\nw systemd[1]: kubelet failed"
    monkeypatch.setattr(trial, "journal", lambda machine, unit, lines: said)
    lab: Any = FakeLab()

    def answer(lab: Any) -> bool:
        lab.restarts += 5
        return True

    outcome = run_one(lab, technique(lambda model: False, answer))
    assert outcome.verdict == "does not start"
    assert outcome.reason.endswith("does not stay up: w kubelet: error: unknown flag")


def test_object_that_the_apiserver_refuses_is_named() -> None:
    said = ['Error from server (Forbidden): pods "extra" is forbidden: violates PodSecurity']
    lab: Any = FakeLab("anonymous-auth", CommandFailed("kubectl apply failed", evidence=said))
    outcome = run_one(lab, technique(lambda model: False, lambda lab: False))
    assert outcome.verdict == "refused"
    assert "violates PodSecurity" in outcome.reason


def test_edit_that_labkit_refuses_never_reaches_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Any, edits: Any = ()) -> Environment:
        if edits:
            raise ConfigError("not a boolean: off")
        return read_environment(folder)

    monkeypatch.setattr(trial, "read_environment", refuse)
    lab: Any = FakeLab()
    outcome = run_one(lab, technique(lambda model: False, lambda lab: False))
    assert (outcome.verdict, outcome.reason) == ("refused", "labkit: not a boolean: off")
    assert not any(lab.applied)


def test_lab_is_reset_if_it_cannot_return_to_the_plain_configuration() -> None:
    class Stuck(FakeLab):
        def apply(self, edits: Any) -> None:
            super().apply(edits)
            if len(self.applied) == 3:
                raise StartTimeout("still not ready")

    lab: Any = Stuck("anonymous-auth", StartTimeout("not ready"))
    run_one(lab, technique(lambda model: False, lambda lab: False))
    assert lab.resets == 1


def test_interrupted_campaign_goes_on() -> None:
    right = technique(
        lambda model: is_open(model.environment), lambda lab: is_open(lab.environment)
    )
    first = run_campaign(FakeLab(), 4, 1, most=3, known=[right])  # type: ignore[arg-type]
    done = {outcome.number for outcome in first}
    assert done == {1, 2, 3}
    more = run_campaign(FakeLab(), 4, 1, done=done, most=2, known=[right])  # type: ignore[arg-type]
    assert [outcome.number for outcome in more] == [4, 5]
    assert not run_campaign(FakeLab(), 4, 0, known=[right])[1:]  # type: ignore[arg-type]


def outcome() -> Outcome:
    seen = Difference("etcd-read", "inside a pod", "refused", "succeeded", "HTTP 200")
    return Outcome(
        "hardened", 1, 4, SETTINGS, "disagrees", cells={"agree": 3}, differences=(seen,),
        fewest=(GUILTY,),
    )  # fmt: skip


def test_campaign_is_equal_after_a_json_round_trip(tmp_path: Path) -> None:
    found = Campaign([outcome(), Outcome("hardened", 1, 3, (GUILTY,), "refused", "labkit: no")])
    path = tmp_path / "campaign.json"
    path.write_text(found.to_json(), encoding="utf-8")
    assert Campaign.read(path).outcomes == found.outcomes
    assert [row["number"] for row in json.loads(found.to_json())] == [3, 4]
    assert found.summary() == "2 configurations: 0 agrees, 1 refused, 1 disagrees"
    for broken in ("", "{}", "[1]", '[{"mode": "x"}]'):
        path.write_text(broken)
        with pytest.raises(ConfigError, match="is not a campaign"):
            Campaign.read(path)


def test_overlay_holds_the_fewest_settings_and_can_be_read(tmp_path: Path) -> None:
    plain = read_environment("hardened")
    path = write_overlay(tmp_path / "found", outcome(), plain)
    overlay = read_overlay(path)
    assert overlay.mode == "hardened"
    assert overlay.edits == edits_of(plain, [GUILTY])
    assert overlay.places == (("etcd-read", "inside a pod"),)
    path.write_text("mode: [")
    with pytest.raises(ConfigError, match="is not an overlay"):
        read_overlay(path)


def test_setting_that_is_not_in_the_catalogue_is_said() -> None:
    with pytest.raises(ConfigError, match="no setting sky: blue"):
        edits_of(read_environment("hardened"), [Choice("sky", "blue")])


def test_empty_campaign_proves_nothing() -> None:
    assert Campaign([]).exit_code == 2


STORED = Path(__file__).parents[2] / "docs" / "campaign.json"


def test_stored_configurations_agree_with_the_lab_and_have_their_causes() -> None:
    stored = Campaign.read(STORED)
    assert len(stored) > 0
    assert not [it.key for it in stored if it.verdict in ("disagrees", "differs once")]
    assert not [it.key for it in stored if it.unnamed]
    started = [it for it in stored if it.verdict in ("agrees", "unprobed")]
    assert all(it.cells and it.claims for it in started)
    assert all(it.reason for it in stored if it not in started)
