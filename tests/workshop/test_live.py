"""Every exercise in a lab: untouched it is not solved, solved it is, and wrong solutions fail.

The lab is reset after each solution that changes it, so an exercise costs a few checks and resets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import workshop
from labkit.resources import split_mode
from labkit.workshop import Outcome, exercises
from labkit.workshop.exercises import eavesdropping_2

pytestmark = pytest.mark.lab
IN_LAB = [
    pytest.param(it.name, marks=[pytest.mark.profile(profile)] if profile else [])
    for it in exercises.values()
    if it.kind != "predict"
    for profile, _ in [split_mode(it.mode)]
]
Labs = Callable[[str], Any]


def attempt(name: str, code: str, lab_of: Labs) -> Outcome:
    """Carry out a solution in the session's labs, check it, and reset the lab."""
    found = exercises[name]
    lab = lab_of(found.mode)
    workshop.exercise(name, lab=lab.name)
    # named as in the notebook; of a profile, solutions use the exercise's own lab alone
    profile, _ = split_mode(found.mode)
    modes = [found.mode] if profile else ["insecure", "hardened"]
    namespace = {split_mode(mode)[1]: lab_of(mode) for mode in modes}
    try:
        exec(code, namespace)
        return workshop.check(name, namespace.get("answer"), lab=lab.name)
    finally:
        if found.kind == "harden":
            workshop.reset(found.mode, lab=lab.name)


@pytest.mark.parametrize("name", IN_LAB)
def test_exercise_is_proven_both_ways(name: str, lab_of: Labs) -> None:
    found = exercises[name]
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


def test_folder_that_only_chmod_closed_counts_as_closed(lab_of: Labs) -> None:
    code = 'insecure.exec("master", ["chmod", "0700", "/etc/kubernetes"])'
    outcome = attempt("master-2", code, lab_of)
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


def test_kubeconfig_with_the_certificate_in_it_is_right(lab_of: Labs) -> None:
    """As kubeadm writes it; it has a key in it, so it is nobody else's to read."""
    outcome = attempt("eavesdropping-2", eavesdropping_2.VERIFIED + INLINE, lab_of)
    assert outcome.solved, outcome


def test_no_flag_and_no_edit_is_left(
    labs: dict[str, Any], settled: Callable[..., list[str]]
) -> None:
    assert settled(labs["insecure"]) == []
