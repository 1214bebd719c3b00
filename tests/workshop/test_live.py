"""Every exercise in a lab: untouched it is not solved, solved it is, and wrong solutions fail.

The lab is reset after each solution that changes it, so an exercise costs a few checks and resets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import workshop
from labkit.workshop import Outcome, exercises

pytestmark = pytest.mark.lab
IN_LAB = [it.name for it in exercises.values() if it.kind != "predict"]


def attempt(name: str, code: str, labs: dict[str, Any]) -> Outcome:
    """Carry out a solution in the session's lab, check it, and reset the lab."""
    found = exercises[name]
    lab = labs[found.mode]
    workshop.exercise(name, lab=lab.name)
    namespace = dict(labs)
    try:
        exec(code, namespace)
        return workshop.check(name, namespace.get("answer"), lab=lab.name)
    finally:
        if found.kind == "harden":
            workshop.reset(found.mode, lab=lab.name)


@pytest.mark.parametrize("name", IN_LAB)
def test_exercise_is_proven_both_ways(name: str, labs: dict[str, Any]) -> None:
    found = exercises[name]
    untouched = workshop.check(name, lab=labs[found.mode].name)
    assert untouched.state in ("open", "no-answer"), untouched
    for wrong in found.wrong:
        outcome = attempt(name, wrong.code, labs)
        assert outcome.state == wrong.state, (wrong.what, outcome)
        assert wrong.says in repr(outcome), wrong.what
    for _ in range(2):
        outcome = attempt(name, found.solution, labs)
        assert outcome.solved, outcome
        if found.kind == "attack":
            workshop.reset(found.mode, lab=labs[found.mode].name)
    assert name in workshop.progress(lab=labs[found.mode].name)


def test_no_flag_and_no_edit_is_left(
    labs: dict[str, Any], settled: Callable[..., list[str]]
) -> None:
    assert settled(labs["insecure"]) == []
