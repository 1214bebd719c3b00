"""Exercises, their hints and their answers; the lab tests carry out every solution."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from labkit import read_environment, techniques
from labkit.controls import with_controls
from labkit.errors import NoSuchName
from labkit.model import read_model
from labkit.model.footholds import POD
from labkit.resources import split_mode
from labkit.workshop import Hint, Outcome, exercises
from labkit.workshop.checks import Mistake, compare, smallest_set, tally
from labkit.workshop.definition import KINDS, Exercise
from labkit.workshop.exercises import tokens_2
from labkit.workshop.ledger import Seat
from labkit.workshop.proofs import parse_claims, prove
from labkit.workshop.records import Record, after_check, next_hint

ROOT = Path(__file__).resolve().parent.parent.parent
ALL = list(exercises.values())
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def outputs(notebook: str) -> list[tuple[str, str]]:
    """Return the source of each code cell of a notebook, and its stored outputs as JSON."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    code = (cell for cell in cells if cell["cell_type"] == "code")
    return [("".join(cell["source"]), json.dumps(cell["outputs"])) for cell in code]


def code_cells(notebook: str) -> list[str]:
    """Return the sources of a notebook's code cells."""
    return [source for source, _ in outputs(notebook)]


def test_there_are_exercises_of_every_kind() -> None:
    assert {it.kind for it in ALL} == set(KINDS)


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_notebook_has_two_exercises(notebook: str) -> None:
    assert len([it for it in ALL if it.notebook == notebook]) >= 2


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_notebook_ends_with_what_to_do_on_your_own_cluster(notebook: str) -> None:
    text = (ROOT / "notebooks" / f"{notebook}.ipynb").read_text()
    cells = ["".join(it["source"]) for it in json.loads(text)["cells"]]
    [own] = [it for it in cells if it.startswith("## On your own cluster\n")]
    assert "```sh\n" in own
    assert not [it for it in cells[cells.index(own) :] if it.startswith("%check")]


@pytest.mark.parametrize("name", exercises)
def test_exercise_has_the_name_of_its_file(name: str) -> None:
    assert exercises[name].name == name


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_exercise_is_complete(exercise: Exercise) -> None:
    assert set(exercise.techniques) <= set(techniques)
    assert len([it for it in exercise.hints if not it.state]) >= 2
    assert exercise.wrong
    for wrong in exercise.wrong:
        assert wrong.state != "solved"
        assert wrong.says
    for code in (exercise.solution, *(it.code for it in exercise.wrong)):
        compile(code, exercise.name, "exec")
    assert ("answer = " in exercise.solution) == exercise.has_answer


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_notebook_has_the_exercise_as_it_is(exercise: Exercise) -> None:
    cells = code_cells(exercise.notebook)
    solution = f"### BEGIN SOLUTION\n{exercise.solution.strip()}\n### END SOLUTION"
    answer = " answer" if exercise.has_answer else ""
    wanted = [f"%exercise {exercise.name}", solution, f"%check {exercise.name}{answer}"]
    places = [cells.index(cell) for cell in wanted]
    assert places == sorted(places)


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_notebook_shows_the_exercise_as_solved(exercise: Exercise) -> None:
    """So nbval solves each one once more than test_live.py does."""
    check = f"%check {exercise.name}{' answer' if exercise.has_answer else ''}"
    [shown] = [stored for source, stored in outputs(exercise.notebook) if source == check]
    assert "solved: " in shown
    assert "not yet" not in shown


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_notebook_resets_the_lab_after_an_exercise_that_changes_it(exercise: Exercise) -> None:
    cells = code_cells(exercise.notebook)
    after = cells[cells.index(f"%exercise {exercise.name}") :]
    if exercise.kind != "predict":
        assert f"%lab reset {exercise.mode}" in after


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_task_does_not_give_the_solution_away(exercise: Exercise) -> None:
    lines = [line.strip() for line in exercise.solution.splitlines() if len(line.strip()) > 12]
    assert not [line for line in lines if line in exercise.text]


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_task_says_how_to_edit_only_where_files_are_edited(exercise: Exercise) -> None:
    says = f"labkit exec MACHINE --mode {exercise.mode} -- COMMAND" in exercise.text
    assert says is (exercise.kind == "harden")


@pytest.mark.parametrize(
    "exercise", [it for it in ALL if it.kind == "harden"], ids=lambda it: it.name
)
def test_task_calls_the_lab_as_the_notebook_does(exercise: Exercise) -> None:
    [name] = {"insecure", "hardened"} & {split_mode(exercise.mode)[1]}
    assert f"`{name}.exec(" in exercise.text
    assert "-insecure.exec" not in exercise.text


@pytest.mark.parametrize("exercise", ALL, ids=lambda it: it.name)
def test_reset_in_a_hint_names_a_machine_of_the_lab(exercise: Exercise) -> None:
    for hint in exercise.hints:
        for mode, machine in re.findall(r"%lab reset ([a-z-]+)(?: ([a-z0-9]+))?", hint.text):
            assert mode == exercise.mode
            assert not machine or read_environment(mode).node(machine)


def test_unknown_exercise_is_refused_with_the_command_that_lists_them() -> None:
    with pytest.raises(NoSuchName) as caught:
        exercises["no-such-thing"]
    assert caught.value.hint == "labkit workshop list"


@pytest.mark.parametrize(("kind", "plant"), [("attack", None), ("guess", None)])
def test_exercise_that_cannot_work_is_refused(kind: str, plant: None) -> None:
    with pytest.raises(ValueError):
        Exercise("x", "", "", kind, "", "", (), lambda *_: Outcome("open"), "", (), (), plant)


# -- hints ----------------------------------------------------------------------------------


def with_hints(*hints: Hint) -> Exercise:
    check = lambda *_: Outcome("open")  # noqa: E731
    return Exercise("x", "", "", "harden", "insecure", "", hints, check, "do()", (), ())


def shown(exercise: Exercise, record: Record, count: int) -> list[str]:
    found = []
    for _ in range(count):
        text, record = next_hint(exercise, record)
        found.append(text)
    return found


def test_hints_for_the_state_come_first_and_the_solution_last() -> None:
    exercise = with_hints(Hint("one"), Hint("two"), Hint("fits", "uneven"), Hint("not", "weak"))
    assert shown(exercise, Record(state="uneven"), 5) == [
        "fits",
        "one",
        "two",
        "the solution:\n\ndo()",
        "the solution:\n\ndo()",
    ]


def test_hint_of_another_state_is_shown_when_the_state_is_reached() -> None:
    exercise = with_hints(Hint("one"), Hint("weak", "weak"))
    text, record = next_hint(exercise, Record(state="open"))
    assert text == "one"
    text, record = next_hint(exercise, after_check(record, Outcome("weak")))
    assert text == "weak"
    assert record.hints == (0, 1)


@pytest.mark.parametrize(
    ("outcome", "named"),
    [
        (compare({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 4}), "b"),
        (tally({"a": "solved", "b": "late", "c": "alone"}, {"alone": "x", "late": "y"}), "c"),
    ],
    ids=["compared", "judged"],
)
def test_first_hint_after_a_wrong_prediction_names_a_wrong_part(
    outcome: Outcome, named: str
) -> None:
    exercise = with_hints(Hint("one"))
    record = after_check(Record(), outcome)
    assert shown(exercise, record, 2) == [f"Look again at {named}.", "one"]
    solved = after_check(record, Outcome("solved"))
    assert shown(exercise, solved, 1) == ["one"]


def test_solved_exercise_stays_solved() -> None:
    record = after_check(after_check(Record(), Outcome("solved")), Outcome("open"))
    assert record.solved
    assert record.tries == 2
    assert record.state == "open"


# -- answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"a": 1, "b": 2}, "solved"),
        ({"a": 1, "b": 3}, "wrong-answer"),
        ({"a": 1}, "incomplete"),
        ({"a": 1, "b": 2, "c": 3}, "other-names"),
        (None, "no-answer"),
        ("a", "no-answer"),
    ],
)
def test_prediction_is_compared(answer: object, state: str) -> None:
    assert compare({"a": 1, "b": 2}, answer).state == state


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("refuse", "no such name: refuse; there is refused"),
        ({"etcd-read", "etcd-raed"}, "no such name: etcd-raed; there is etcd-read"),
        (["encryption-at-rst"], "no such name: encryption-at-rst; there is encryption-at-rest"),
        ("refused", None),
        ("HTTP 403", None),
        ("kubelet@worker2 -> kube-apiserver@master:8080", None),
        (3, None),
        ({2}, None),
    ],
)
def test_misspelt_name_is_no_wrong_idea(given: object, line: str | None) -> None:
    outcome = compare({"a": "succeeded", "b": 2}, {"a": given, "b": 2})
    said = outcome.lines[1:]
    assert said == (() if line is None else (line,))
    assert outcome.state == ("wrong-answer" if line is None else "other-names")


WRONG_IDEA = Mistake("idea", "think again", {"a": 2})


@pytest.mark.parametrize(
    ("answer", "state"),
    [({"a": 2, "b": 9}, "idea"), ({"a": 9, "b": 2}, "wrong-answer"), ({"a": 1, "b": 2}, "solved")],
)
def test_mistake_is_recognised_by_its_answers(answer: object, state: str) -> None:
    assert compare({"a": 1, "b": 2}, answer, [WRONG_IDEA]).state == state


def test_recognised_mistake_is_said_beside_the_count() -> None:
    said = repr(compare({"a": 1, "b": 2}, {"a": 2, "b": 2}, [WRONG_IDEA]))
    assert said == "not yet: 1 of 2 is as the model says\n  think again"


def test_tally_takes_the_most_important_state() -> None:
    found = {"a": "weak", "b": "solved", "c": "gone"}
    outcome = tally(found, {"gone": "nothing is left", "weak": "a part is left"})
    assert outcome.state == "gone"
    assert outcome.lines == (
        "1 of 3 is as the model says",
        "1 answer: nothing is left",
        "1 answer: a part is left",
    )


def test_tally_of_right_answers_is_solved() -> None:
    assert tally({"a": "solved", "b": "solved"}, {"weak": "a part is left"}).solved


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"a", "b"}, "solved"),
        (["b", "a"], "solved"),
        ({"a", "c"}, "solved"),
        ({"a"}, "not-enough"),
        ({"a", "b", "c"}, "too-many"),
        ({"a", "z"}, "other-names"),
        (set(), "not-enough"),
        ("ab", "no-answer"),
        (None, "no-answer"),
    ],
)
def test_any_set_of_the_smallest_size_is_right(answer: object, state: str) -> None:
    def missing(chosen: frozenset[str]) -> str:
        return "" if "a" in chosen and len(chosen) > 1 else "a way is left"

    assert smallest_set(answer, "abc", missing, lambda: 2).state == state


def test_wrong_prediction_does_not_name_what_is_wrong() -> None:
    said = repr(compare({"first": 1, "second": 2}, {"first": 1, "second": 3}))
    assert "first" not in said
    assert "second" not in said


# -- predictions need no lab ----------------------------------------------------------------


@pytest.mark.parametrize(
    "exercise", [it for it in ALL if it.kind == "predict"], ids=lambda it: it.name
)
def test_prediction_is_proven_both_ways(exercise: Exercise) -> None:
    lab: Any = None
    assert not exercise.check(lab, None).solved
    for wrong in exercise.wrong:
        outcome = exercise.check(lab, answer_of(wrong.code))
        assert outcome.state == wrong.state, wrong.what
        assert wrong.says in repr(outcome), wrong.what
    answer = answer_of(exercise.solution)
    assert exercise.check(lab, answer).solved
    kept = after_check(Record(), Outcome("solved"), answer)
    [(_, claim)] = parse_claims(json.dumps({"it": asdict(kept)}).encode()).items()
    client: Any = None
    assert prove(exercise, claim, Seat("p01", exercise.mode), client, None).solved, "for the board"


@pytest.mark.parametrize(
    "exercise", [it for it in ALL if it.kind == "predict"], ids=lambda it: it.name
)
def test_hint_of_a_prediction_is_for_a_state_that_is_reached(exercise: Exercise) -> None:
    reached = {it.state for it in exercise.wrong}
    assert {it.state for it in exercise.hints if it.state} <= reached


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (
            "paths-2",
            {
                "apiserver-authorization",
                "docker-client-auth",
                "docker-socket-mode",
                "etcd-users",
                "insecure-port",
            },
        ),
        ("own-2", {"encryption": "tls1.2", "authorization": "enforced"}),
        (
            "matrix-2",
            {
                "default-account": ["default-account-unbound", "apiserver-authorization"],
                "docker-group": ["docker-group", "docker-socket-mode"],
                "etcd-read": ["etcd-client-tls", "etcd-own-ca"],
                "kubelet-exec": ["abac-least-privilege", "kubelet-authorization"],
            },
        ),
    ],
)
def test_another_right_answer_than_the_stored_one_solves(name: str, answer: object) -> None:
    lab: Any = None
    assert exercises[name].check(lab, answer).solved


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("own-2", {"open": False}, "no such name: open"),
        ("own-2", {"encryption": "unknown", "authorization": "enforced"}, "reads the secrets"),
        ("paths-2", {"docker-tpc"}, "no such name: docker-tpc"),
        ("matrix-2", {"default-account": set(), "etcd-read": set()}, "no answer for"),
    ],
)
def test_way_around_the_question_does_not_solve(name: str, answer: object, says: str) -> None:
    lab: Any = None
    outcome = exercises[name].check(lab, answer)
    assert not outcome.solved
    assert says in repr(outcome)


def answer_of(code: str) -> object:
    namespace: dict[str, object] = {}
    exec(code, namespace)
    return namespace["answer"]


@pytest.mark.parametrize(
    "names",
    [
        {"apiserver-authorization", "service-account-automount"},
        {"default-account-unbound", "service-account-automount"},
        set(tokens_2.CONTROLS),
    ],
    ids=len,
)
def test_controls_taken_out_at_once_are_those_taken_out_one_by_one(names: set[str]) -> None:
    env = with_controls(read_environment("hardened"), dict.fromkeys(names, False))
    predicted = techniques["pod-token"].predict(read_model(env), POD)
    assert (tokens_2.still_refused(frozenset(names)) == "") == bool(predicted.succeeds)
