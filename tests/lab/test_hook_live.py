"""The labs whose apiserver asks webhooks: techniques as predicted, and the controls flipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import controls, techniques
from labkit.lab import Lab
from labkit.lab.progress import make_reporter
from labkit.model import read_model
from labkit.verification import verify

pytestmark = pytest.mark.lab
MODES = ("hook-insecure", "hook-hardened")
CONTROLS = ("webhook-tls", "webhook-fail-closed", "front-proxy-names")
REASONS = Path(__file__).parents[1] / "techniques/reasons"


@pytest.fixture(scope="module", params=MODES)
def asking(request: pytest.FixtureRequest, lab_name: str) -> Iterator[Any]:
    """Yield a lab with a reviewer; one mode after the other, because each takes 2 GB."""
    lab = Lab(request.param, name=lab_name, reporter=make_reporter())
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


def agrees(lab: Any, name: str, like: str) -> None:
    """Try a technique, and compare it with the prediction and the expected reason."""
    technique = techniques[name]
    reason = yaml.safe_load((REASONS / f"{name}.yaml").read_text())[like]
    foothold = technique.footholds[0]
    predicted = technique.predict(read_model(lab.environment), foothold)
    verdict = technique.run(lab, foothold)
    assert (verdict.word, verdict.reason) == (predicted.word, reason), verdict
    assert verdict.succeeded or verdict.control


def test_techniques_end_as_predicted_and_each_control_turns_its_own(
    asking: Any, settled: Callable[..., list[str]]
) -> None:
    [other] = set(MODES) - {asking.mode}
    plain, on = asking.environment, asking.mode == MODES[0]
    for name in (name for control in CONTROLS for name in controls[control].stops):
        agrees(asking, name, asking.mode)
    try:
        for control in CONTROLS:
            # each alone: the edits of the one before are not among these
            asking.apply(controls[control].flip(plain, on=on))
            for name in controls[control].stops:
                agrees(asking, name, other)
    finally:
        asking.apply(())
    asking.wait()
    assert settled(asking) == []


def test_channels_to_the_reviewer_are_as_claimed(asking: Any) -> None:
    ids = [it.id for it in read_model(asking.environment).channels if "opa@" in it.id]
    report = verify(asking, only=ids)
    assert report.exit_code == 0, report
    # labkit does not evaluate Rego: there the lab finds out what the model does not claim
    unclaimed = report.select(verdict="found out").rows
    assert [(it.property, it.observed) for it in unclaimed] == (
        [("authorization", "enforced")] if asking.mode == "hook-hardened" else []
    )
