"""Every exercise in a lab: untouched it is not solved, solved it is, and wrong solutions fail.

The lab is reset after each solution that changes it, so an exercise costs a few checks and resets.
An exercise of the usual labs that names no machine which a light lab lacks is proven in a light
lab, where all this costs less; its notebook solves it in the usual one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import read_environment, workshop
from labkit.resources import split_mode
from labkit.workshop import Exercise, Outcome, exercises
from labkit.workshop.exercises import eavesdropping_2

pytestmark = pytest.mark.lab
LIGHT = "light"
Labs = Callable[[str], Any]


def machines(mode: str) -> set[str]:
    return {node.name for node in read_environment(mode).nodes}


#: The machines that a light lab lacks.
LACKED = machines("insecure") - machines("light-insecure")


def profile_of(it: Exercise) -> str:
    """Return the profile in whose labs an exercise is proven; empty for the usual pair."""
    profile, _ = split_mode(it.mode)
    said = [it.solution, *(text for wrong in it.wrong for text in (wrong.code, wrong.says))]
    is_whole = any(name in text for name in LACKED for text in said)
    return profile or ("" if is_whole else LIGHT)


def in_profile(it: Exercise, profile: str) -> Any:
    return pytest.param(it.name, marks=[pytest.mark.profile(profile)] if profile else [])


IN_LAB = [it for it in exercises.values() if it.kind != "predict"]
PROVEN = [in_profile(it, profile_of(it)) for it in IN_LAB]
ONLY_SOLVED = [in_profile(it, LIGHT) for it in IN_LAB if not profile_of(it)]


def attempt(name: str, code: str, lab_of: Labs) -> Outcome:
    """Carry out a solution in the session's labs, check it, and reset the lab."""
    found = exercises[name]
    lab = lab_of(found.mode)
    workshop.exercise(name, lab=lab.name)
    # named as in the notebook: solutions use the exercise's own lab alone
    namespace = {split_mode(found.mode)[1]: lab}
    try:
        exec(code, namespace)
        return workshop.check(name, namespace.get("answer"), lab=lab.name)
    finally:
        if found.kind == "harden":
            workshop.reset(found.mode, lab=lab.name)


def light(lab_of: Labs) -> Labs:
    """Return the function that returns the light lab of a mode."""
    return lambda mode: lab_of(f"{LIGHT}-{mode}")


@pytest.mark.parametrize("name", PROVEN)
def test_exercise_is_proven_both_ways(name: str, lab_of: Labs) -> None:
    found = exercises[name]
    if profile_of(found) == LIGHT:
        lab_of = light(lab_of)
    lab = lab_of(found.mode).name
    untouched = workshop.check(name, lab=lab)
    assert untouched.state in ("open", "no-answer"), untouched
    for wrong in found.wrong:
        outcome = attempt(name, wrong.code, lab_of)
        assert outcome.state == wrong.state, (wrong.what, outcome)
        assert wrong.says in repr(outcome), wrong.what
    # its notebook solves it a second time
    outcome = attempt(name, found.solution, lab_of)
    assert outcome.solved, outcome
    if found.kind == "attack":
        workshop.reset(found.mode, lab=lab)
    assert name in workshop.progress(lab=lab)


@pytest.mark.parametrize("name", ONLY_SOLVED)
def test_exercise_is_solved_in_a_light_lab(name: str, lab_of: Labs) -> None:
    lab = light(lab_of)(exercises[name].mode).name
    assert not workshop.check(name, lab=lab).solved
    assert attempt(name, exercises[name].solution, light(lab_of)).solved


@pytest.mark.profile(LIGHT)
def test_folder_that_only_chmod_closed_counts_as_closed(lab_of: Labs) -> None:
    code = 'insecure.exec("master", ["chmod", "0700", "/etc/kubernetes"])'
    outcome = attempt("master-2", code, light(lab_of))
    assert outcome.solved, outcome


INLINE = """
import base64, re
for worker in insecure.machines("worker"):
    def inline(found):
        data = base64.b64encode(insecure.read_file(worker, found[2])).decode()
        return f"{found[1]}-data: {data}"
    text = re.sub("(client-certificate|client-key): (.+)", inline, kubeconfig)
    insecure.write_file(worker, "/etc/kubernetes/kube-proxy.conf", text, 0o600)
    insecure.exec(worker, ["systemctl", "restart", "kube-proxy"])
"""


@pytest.mark.profile(LIGHT)
def test_kubeconfig_with_the_certificate_in_it_is_right(lab_of: Labs) -> None:
    """As kubeadm writes it; it has a key in it, so it is nobody else's to read."""
    outcome = attempt("eavesdropping-2", eavesdropping_2.VERIFIED + INLINE, light(lab_of))
    assert outcome.solved, outcome


def test_no_flag_and_no_edit_is_left(
    labs: dict[str, Any], settled: Callable[..., list[str]]
) -> None:
    assert settled(labs["insecure"]) == []


@pytest.mark.profile(LIGHT)
def test_nothing_is_left_in_a_light_lab(lab_of: Labs, settled: Callable[..., list[str]]) -> None:
    assert settled(light(lab_of)("insecure")) == []
