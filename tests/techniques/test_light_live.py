"""Light labs: every claim is true, every technique goes as in the full lab, and memory is small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import techniques, verify
from labkit.lab import Lab
from labkit.lab.light import full_form
from labkit.lab.nodes import find_nodes
from labkit.matrix import Variant, try_cell
from labkit.model import read_model

pytestmark = [pytest.mark.lab, pytest.mark.profile("light")]
REASONS = Path(__file__).with_name("reasons")
#: The most megabytes of all machines of a new light lab, as `docker stats` counts them.
MOST_MB = 700


@pytest.fixture(params=["light-insecure", "light-hardened"])
def light(request: pytest.FixtureRequest, lab_of: Callable[[str], Lab]) -> Lab:
    return lab_of(request.param)


def megabytes(lab: Lab) -> float:
    """Return what the machines of a lab use, without the pages of files that may go."""
    total = 0
    for container in find_nodes(lab.client, lab.name, lab.mode):
        said: Any = container.stats(stream=False)
        memory = said["memory_stats"]
        kept = memory["stats"]
        total += memory["usage"] - kept.get("total_inactive_file", kept.get("inactive_file", 0))
    return total / 1e6


def test_new_light_lab_takes_little_memory(light: Lab) -> None:
    assert megabytes(light) < MOST_MB


def test_every_claim_of_a_light_lab_is_true(light: Lab) -> None:
    report = verify(light)
    assert report.rows
    assert (report.disagree, report.unprobed) == ((), ())


def test_techniques_go_as_predicted_and_for_the_reasons_of_the_full_lab(light: Lab) -> None:
    model, variant = read_model(light.environment), Variant(light.mode)
    wrong = []
    with light.exclusive("test"):
        for technique in techniques.values():
            if technique.why_not(light.environment):
                continue
            foothold = technique.footholds[0]
            cell = try_cell(light, model, variant, technique, foothold)
            written = yaml.safe_load((REASONS / f"{technique.name}.yaml").read_text())
            reason = written[full_form(light.mode)]
            if isinstance(reason, dict):
                reason = reason[str(foothold)]
            if not cell.agree or cell.reason != reason:
                wrong.append(cell)
    assert wrong == []
